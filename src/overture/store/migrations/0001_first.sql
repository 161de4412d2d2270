-- The first schema, whole.
--
-- Every table that grows has its owner first in its key, so that it can be sharded by owner later:
-- no foreign key, unique key or lock reaches across owners, and there are no triggers. A conversation
-- lives with the member who began it (its home); what the other side sees of it is that member's own
-- row in `inbox`. Names that must be unique over all members have small tables of their own.

create extension if not exists pg_trgm;

-- Members and their network ----------------------------------------------------------------------

create table members (
    id                  uuid not null,
    handle              text not null,
    name                text not null,
    headline            text not null default '',
    company             text not null default '',
    location            text not null default '',
    time_zone           text not null default 'UTC',
    email               text,
    external_id         text,
    -- An imported person who has no account yet is a member all the same, but not claimed.
    claimed             boolean not null default true,
    created_at          timestamptz not null,
    closed_at           timestamptz,
    accept_inmail       boolean not null default true,
    open_profile        boolean not null default false,
    receipts_and_typing boolean not null default true,
    email_notifications boolean not null default true,
    -- Until when any subscription of this member runs; the year 9999 while none is to end.
    premium_until       timestamptz,
    -- Name, headline and company as `core.text.fold` makes them; emptied when the account closes.
    search_text         text not null,
    constraint members_pk primary key (id)
);
create index members_search on members using gin (search_text gin_trgm_ops);

create table handles (
    handle    text not null,
    member_id uuid not null,
    constraint handles_pk primary key (handle)
);

create table external_ids (
    external_id text not null,
    member_id   uuid not null,
    constraint external_ids_pk primary key (external_id)
);

-- Who an imported profile address is, so that two archives that name one person agree.
create table imported_profiles (
    profile_key text not null,
    member_id   uuid not null,
    constraint imported_profiles_pk primary key (profile_key)
);
create index imported_profiles_of_member on imported_profiles (member_id);

create table connections (
    owner_id  uuid not null,
    member_id uuid not null,
    since     timestamptz not null,
    constraint connections_pk primary key (owner_id, member_id)
);

-- One row a side: the inviter's is outgoing, the invitee's is not. Both carry the same id.
create table invitations (
    owner_id    uuid not null,
    id          uuid not null,
    other_id    uuid not null,
    outgoing    boolean not null,
    note        text not null default '',
    state       text not null constraint invitations_state
                check (state in ('pending', 'accepted', 'declined', 'withdrawn')),
    sent_at     timestamptz not null,
    answered_at timestamptz,
    constraint invitations_pk primary key (owner_id, id)
);
create unique index invitations_one_pending_a_pair on invitations (owner_id, other_id)
    where state = 'pending';
create index invitations_by_time on invitations (owner_id, outgoing, sent_at, id)
    where state = 'pending';

create table blocks (
    owner_id   uuid not null,
    blocked_id uuid not null,
    at         timestamptz not null,
    constraint blocks_pk primary key (owner_id, blocked_id)
);

create table reports (
    owner_id        uuid not null,
    id              uuid not null,
    member_id       uuid not null,
    conversation_id uuid,
    reason          text not null,
    note            text not null default '',
    at              timestamptz not null,
    constraint reports_pk primary key (owner_id, id)
);
create index reports_by_time on reports (at, id);

-- Subscriptions, credits and the ledger ----------------------------------------------------------

-- One row a member and pool: the subscription and the lots as JSON, one row to write for each send.
-- The ledger is the truth; this row is what it adds up to, and `overture ledger verify` proves it.
create table credit_accounts (
    owner_id    uuid not null,
    pool        text not null,
    version     bigint not null,
    balance     integer not null constraint credit_accounts_balance_not_negative check (balance >= 0),
    next_due_at timestamptz,
    state       json not null,
    constraint credit_accounts_pk primary key (owner_id, pool)
) with (fillfactor = 70);
create index credit_accounts_due on credit_accounts (next_due_at) where next_due_at is not null;

create table ledger_entries (
    owner_id   uuid not null,
    pool       text not null,
    number     integer not null,
    at         timestamptz not null,
    kind       text not null constraint ledger_entries_kind check (kind in
               ('grant', 'spend', 'refund', 'defer', 'no_refund', 'expire', 'forfeit', 'adjust')),
    credits    integer not null,
    forfeited  integer not null constraint ledger_entries_forfeited_not_negative check (forfeited >= 0),
    reason     text not null,
    plan       text,
    lot        integer,
    -- When the lot that this entry opened dies; null on entries that open none.
    expires_at timestamptz,
    inmail_id  uuid,
    balance    integer not null constraint ledger_entries_balance_not_negative check (balance >= 0),
    constraint ledger_entries_pk primary key (owner_id, pool, number)
);
-- Entries are added and read, never changed: not even by the role that owns the table.
revoke update, delete, truncate on ledger_entries from current_user;

-- What members asked for of their subscriptions, in order: with it the ledger can be replayed whole.
create table subscription_wishes (
    owner_id      uuid not null,
    pool          text not null,
    number        integer not null,
    at            timestamptz not null,
    wish          text not null constraint subscription_wishes_wish
                  check (wish in ('choose', 'cancel_now', 'cancel_at_period_end')),
    plan          text,
    -- How many entries the account had when the wish was carried out.
    after_entry   integer not null,
    constraint subscription_wishes_pk primary key (owner_id, pool, number)
);
revoke update, delete, truncate on subscription_wishes from current_user;

-- Conversations ----------------------------------------------------------------------------------

create table conversations (
    owner_id         uuid not null,
    id               uuid not null,
    kind             text not null constraint conversations_kind check (kind in ('direct', 'inmail')),
    -- Null for an imported group, which has participants instead.
    recipient_id     uuid,
    participants     json,
    subject          text not null default '',
    channel          text not null constraint conversations_channel
                     check (channel in ('message', 'open_profile', 'inmail')),
    state            text not null constraint conversations_state check (state in
                     ('open', 'closed', 'imported',
                      'pending', 'accepted', 'declined', 'withdrawn', 'undeliverable')),
    started_at       timestamptz not null,
    pool             text,
    -- One instant a credit charged here: until when a response returns it. Empty for a free one.
    refundable_until timestamptz[] not null default '{}',
    response         text constraint conversations_response
                     check (response in ('accepted', 'declined', 'undeliverable')),
    responded_at     timestamptz,
    withdrawn_at     timestamptz,
    last_activity_at timestamptz not null,
    -- When the recipient last wrote here; rule 5 asks whether they wrote since a withdrawal.
    recipient_wrote_at timestamptz,
    sender_wrote_at  timestamptz,
    -- False for an imported conversation that only the importer sees.
    shared           boolean not null default true,
    messages         integer not null,
    constraint conversations_pk primary key (owner_id, id)
) with (fillfactor = 85);

-- Where an importer alone sees a member who never got a row for it: to find what closing must erase.
create index conversations_unshared on conversations (recipient_id) where not shared;
create index conversations_participants on conversations
    using gin ((participants::jsonb) jsonb_path_ops) where participants is not null;

create table messages (
    owner_id        uuid not null,
    conversation_id uuid not null,
    number          integer not null,
    id              uuid not null,
    -- Null where an archive names no one.
    sender_id       uuid,
    sent_at         timestamptz not null,
    body            text not null,
    quick_reply     text,
    constraint messages_pk primary key (owner_id, conversation_id, number)
);

-- What one member sees of a conversation: an inbox page is one index range of this table.
create table inbox (
    owner_id           uuid not null,
    conversation_id    uuid not null,
    home_id            uuid not null,
    counterpart_id     uuid,
    counterpart_handle text not null default '',
    counterpart_name   text not null default '',
    participants       json,
    kind               text not null,
    -- Whether the owner of this row began the conversation.
    begun              boolean not null,
    state              text not null,
    box                text not null constraint inbox_box
                       check (box in ('inbox', 'requests', 'archived', 'spam')),
    subject            text not null default '',
    last_message_id    uuid,
    last_sender_id     uuid,
    last_message_at    timestamptz,
    snippet            text not null default '',
    last_activity_at   timestamptz not null,
    unread             integer not null default 0
                       constraint inbox_unread_not_negative check (unread >= 0),
    -- The number of the last message that this member has read, and the instant of reading it.
    read_number        integer not null default 0,
    read_at            timestamptz,
    pending_since      timestamptz,
    credits            integer not null default 0,
    expires_refund_at  timestamptz,
    constraint inbox_pk primary key (owner_id, conversation_id)
) with (fillfactor = 85);
create index inbox_by_activity on inbox (owner_id, box, last_activity_at, conversation_id);
create index inbox_begun on inbox (owner_id, last_activity_at, conversation_id) where begun;
create index inbox_unread on inbox (owner_id, last_activity_at, conversation_id)
    where unread > 0 and box <> 'spam';
-- What lies between two members. One index finds it and keeps two promises: a pair has one pending
-- InMail at most, in either direction, and one direct conversation beside what was imported.
create unique index inbox_by_counterpart on inbox (owner_id, counterpart_id, (
    case
        when state = 'pending' then '00000000-0000-0000-0000-000000000000'
        when kind = 'direct' and state in ('open', 'closed')
            then '00000000-0000-0000-0000-000000000001'
        else conversation_id
    end));

-- The instants of a member's free letters to Open Profiles within the last day: their daily limit.
create table open_profile_sends (
    owner_id uuid not null,
    version  bigint not null,
    sent_at  timestamptz[] not null,
    constraint open_profile_sends_pk primary key (owner_id)
);

-- Around the effects -----------------------------------------------------------------------------

-- Each write appends its events here, in its own transaction; whoever reacts reads by sequence.
create table outbox (
    sequence bigint generated always as identity,
    owner_id uuid not null,
    kind     text not null,
    at       timestamptz not null,
    payload  json not null,
    constraint outbox_pk primary key (sequence, owner_id)
);

-- Answers kept for repeats, in the effect's own transaction. Times here are of the real clock.
create table idempotency_keys (
    owner_id    uuid not null,
    route       text not null,
    key         text not null,
    fingerprint bytea not null,
    status      smallint not null,
    response    bytea not null,
    kept_at     timestamptz not null default now(),
    constraint idempotency_keys_pk primary key (owner_id, route, key)
);
create index idempotency_keys_age on idempotency_keys using brin (kept_at);

-- Bearer tokens, by the SHA-256 of their text. Times here are of the real clock.
create table tokens (
    hash       bytea not null,
    id         uuid not null,
    member_id  uuid,
    operator   boolean not null,
    scopes     text[] not null,
    label      text not null default '',
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    constraint tokens_pk primary key (hash),
    constraint tokens_of_a_member_or_an_operator check (operator = (member_id is null))
);
create index tokens_of_member on tokens (member_id) where member_id is not null;

create table audit (
    id        uuid not null,
    at        timestamptz not null,
    actor     text not null,
    action    text not null,
    member_id uuid,
    detail    json not null,
    constraint audit_pk primary key (id)
);
create index audit_by_time on audit (at, id);
revoke update, delete, truncate on audit from current_user;

-- The policies in force, each from an instant on: the past is judged by the policy of its time.
create table policies (
    holds_from  timestamptz not null,
    document    text not null,
    recorded_at timestamptz not null default now(),
    constraint policies_pk primary key (holds_from)
);

-- Present only in an installation that was started with a test clock.
create table test_clock (
    singleton boolean not null default true constraint test_clock_singleton check (singleton),
    now       timestamptz not null,
    constraint test_clock_pk primary key (singleton)
);
