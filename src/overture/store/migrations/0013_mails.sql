-- Mails are sent by jobs.

-- Those about accounts that were wanted before: each has a job from now on, as later ones are made with.
insert into jobs (owner_id, queue, key, due_at, payload)
select coalesce(m.member_id, '00000000-0000-0000-0000-000000000000'), 'mail:accounts', m.id::text,
    coalesce((select t.now from test_clock t), now()), '{}'
from mails m;
