-- How members are told of what happens while they are not looking.

alter table members
    -- Kinds of which they want to hear nothing; see `core.notifying.Kind`.
    add column silent_kinds text[] not null default '{}',
    -- One mail in their morning instead of one for each thing.
    add column daily_digest boolean not null default false;

-- Up to which message of a conversation a member was told by mail: they are told of the next one once
-- they have read those.
create table told_by_mail (
    owner_id        uuid not null,
    conversation_id uuid not null,
    number          integer not null,
    constraint told_by_mail_pk primary key (owner_id, conversation_id)
);

-- What waits for a member's digest, in the order in which it came. As in a job, ids and no texts.
create table digest_items (
    owner_id uuid not null,
    key      text not null,
    -- Another one each time that it comes.
    number   bigint generated always as identity,
    payload  json not null,
    constraint digest_items_pk primary key (owner_id, key)
);
