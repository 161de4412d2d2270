-- Photos and files.

-- Who members are ----------------------------------------------------------------------------------

alter table members add column about text not null default '';
-- The version of the member's photo, which names it in its address; null without one.
alter table members add column photo text;

-- A photo in its two sizes, WebP, made anew from what was uploaded.
create table photos (
    owner_id uuid not null,
    version  text not null,
    small    bytea not null,
    large    bytea not null,
    constraint photos_pk primary key (owner_id)
);
alter table photos alter column small set storage external;
alter table photos alter column large set storage external;

-- Files that go with messages ----------------------------------------------------------------------

-- What a message shows of its files (id, name, kind, bytes, size of the preview) stands with it, so
-- that reading a thread costs nothing more; null for the many that have none.
alter table messages add column files json;

-- The files themselves, at their conversation's home. They are compressed by their kinds already.
create table files (
    owner_id        uuid not null,
    conversation_id uuid not null,
    id              uuid not null,
    number          integer not null,
    sender_id       uuid not null,
    name            text not null,
    kind            text not null,
    content         bytea not null,
    -- A small still of an image.
    preview         bytea,
    constraint files_pk primary key (owner_id, conversation_id, id)
);
alter table files alter column content set storage external;
alter table files alter column preview set storage external;

-- How many bytes of files each member has sent that are still there.
create table file_space (
    owner_id uuid not null,
    bytes    bigint not null constraint file_space_not_negative check (bytes >= 0),
    constraint file_space_pk primary key (owner_id)
);

-- Settings ---------------------------------------------------------------------------------------------

-- Whether single keys do things; who needs them for something else switches them off.
alter table members add column shortcuts boolean not null default true;
