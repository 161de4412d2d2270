-- Webhooks: who is told of what happens, and how each try to tell them went.
--
-- What is still to be delivered are jobs, in a queue for each endpoint: `webhook:ID`.

create table webhook_endpoints (
    id            uuid not null,
    url           text not null,
    -- Which events: types, all of a noun (`inmail.*`), or everything (`*`).
    events        text[] not null,
    description   text not null,
    -- In clear, because signing needs them: `[{"text", "until"}]`, the newest first.
    secrets       json not null,
    created_at    timestamptz not null,
    -- Since when, by the real clock, nothing is delivered any more, and why if that came by itself.
    disabled_at   timestamptz,
    disabled_why  text,
    -- The first and the last try, by the real clock, of those that failed since one succeeded.
    failing_since timestamptz,
    failed_at     timestamptz,
    constraint webhook_endpoints_pk primary key (id)
);

-- Every try, by the real clock; an endpoint owns its own, which are dropped after a month.
create table webhook_deliveries (
    endpoint_id  uuid not null,
    number       bigint generated always as identity,
    -- The header of this name: the same for each try to deliver one event.
    webhook_id   uuid not null,
    -- The event's number in the outbox; a test has none.
    event        bigint,
    type         text not null,
    member_id    uuid,
    tried_at     timestamptz not null,
    tries        integer not null,
    outcome      text not null,
    status       integer,
    problem      text,
    milliseconds integer not null,
    constraint webhook_deliveries_pk primary key (endpoint_id, number)
);
create index webhook_deliveries_failed on webhook_deliveries (endpoint_id, number)
    where outcome <> 'delivered';
