-- What looks like abuse: shown to the operator with its evidence, decided by nobody but people.

-- Whoever sends one letter to many is held to a new account's pace until then.
alter table members add column slowed_until timestamptz;

-- Of each letter to a stranger what tells it from others, without a word of it, and whom it links to.
-- Made from the outbox, not by the send; dropped once it is old.
create table letter_sketches (
    owner_id        uuid not null,
    conversation_id uuid not null,
    at              timestamptz not null,
    sketch          bytea not null,
    places          text[] not null,
    constraint letter_sketches_pk primary key (owner_id, conversation_id)
);
create index letter_sketches_by_time on letter_sketches (owner_id, at);
create index letter_sketches_old on letter_sketches (at);

-- One a member and kind. `weight` is what was counted, `dismissed_weight` how much of it the operator
-- has found to be nothing.
create table suspicions (
    owner_id         uuid not null,
    kind             text not null constraint suspicions_kind
                     check (kind in ('same_letter', 'links', 'refunds')),
    since            timestamptz not null,
    at               timestamptz not null,
    weight           integer not null,
    evidence         json not null,
    dismissed_at     timestamptz,
    dismissed_weight integer not null default 0,
    constraint suspicions_pk primary key (owner_id, kind)
);
create index suspicions_open on suspicions (at, owner_id) where dismissed_at is null;
