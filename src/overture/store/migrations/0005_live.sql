-- What the live stream needs.

-- Members with an open stream: since when, and when it was last noted. Times are of the real clock. It is
-- worth nothing after a crash, so it is not logged.
create unlogged table presence (
    member_id uuid not null,
    came_at   timestamptz not null,
    seen_at   timestamptz not null,
    constraint presence_pk primary key (member_id)
) with (fillfactor = 50);
