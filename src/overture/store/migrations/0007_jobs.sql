-- Due work, and how far the outbox was read to make it.
--
-- Jobs are made from the outbox, after the commit of what they follow from: never within a send's
-- transaction. `due_at` is of the members' clock, which a test may move; `not_before`, `held_until`
-- and `parked_at` are of the real one, like everything that waits for a network.

create table jobs (
    owner_id   uuid not null,
    -- Who does it: each queue is worked off by itself, so that none holds up another.
    queue       text not null,
    -- What there is one of at a time; what follows from an event has the event's number in it.
    key        text not null,
    -- In which order jobs were made; an operator names them by it.
    number     bigint generated always as identity,
    due_at     timestamptz not null,
    payload    json not null,
    tries      integer not null default 0,
    not_before timestamptz not null default '-infinity',
    held_until timestamptz not null default '-infinity',
    -- Given up, until an operator has it done again; and what the last try met.
    parked_at  timestamptz,
    problem    text,
    constraint jobs_pk primary key (owner_id, queue, key)
);
create index jobs_due on jobs (queue, due_at, number) where parked_at is null;
-- What of a member's must be done before what.
create index jobs_in_order on jobs (queue, owner_id, number) where parked_at is null;
create index jobs_parked on jobs (number) where parked_at is not null;
create unique index jobs_by_number on jobs (number);

-- What was read of the outbox: everything up to `top` but the gaps, ranges with both ends in.
create table outbox_readers (
    name text not null,
    top  bigint not null,
    gaps json not null,
    constraint outbox_readers_pk primary key (name)
);
-- What happened before this version is past: nobody is written to about it now.
insert into outbox_readers (name, top, gaps)
select 'jobs', coalesce(max(sequence), 0), '[]' from outbox;

-- When the one reminder of a pending letter came, on the recipient's row.
alter table inbox add column reminded_at timestamptz;
