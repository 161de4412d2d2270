-- Being signed in by the host site, there or in a frame of one of its pages.

-- What opened a session, so that it opens no second one; dropped once it could open none anyway.
create table handovers (
    hash    bytea not null,
    over_at timestamptz not null,
    constraint handovers_pk primary key (hash)
);
create index handovers_old on handovers (over_at);

-- The origin of the pages in whose frames the session counts; null: where the browser shows us itself.
alter table sessions add column frame text;
