-- Due work by the hundred thousand, and what was under way before there was any.
--
-- Jobs come and go: there is room in the pages for the lease that is written into them, and a vacuum
-- comes before much of the indexes is dead.

alter table jobs set (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05,
    vacuum_truncate = off
);
create index jobs_failing on jobs (queue) where problem is not null and parked_at is null;

-- Accounts and letters from before jobs were made of events: their members are told what comes now.
insert into jobs (owner_id, queue, key, due_at, payload)
select a.owner_id, 'credits', a.pool, c.now, json_build_object('since', c.now)
from credit_accounts a
cross join (select coalesce((select now from test_clock), now()) as now) c
where a.state ->> 'subscription' is not null
on conflict do nothing;

-- When exactly a reminder is welcome is looked up when it is due.
insert into jobs (owner_id, queue, key, due_at, payload)
select (o.payload ->> 'recipient_id')::uuid, 'reminders', o.sequence::text,
    o.at + interval '48 hours',
    json_build_object('conversation_id', o.payload ->> 'conversation_id', 'sender_id', o.owner_id)
from outbox o
cross join (select coalesce((select now from test_clock), now()) as now) c
where o.kind = 'inmail.sent' and o.at > c.now - interval '72 hours'
on conflict do nothing;
