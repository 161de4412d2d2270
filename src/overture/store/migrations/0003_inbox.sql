-- The inbox as members arrange it: stars, snoozes, mutes, Focused and Other; and messages that were
-- edited or deleted.
--
-- A send writes two rows of `inbox`, so only what every page needs has an index of its own, and the
-- marks that few rows carry have partial ones.

alter table inbox
    -- Whether it lies under Focused or under Other; see `core.boxes`.
    add column focused       boolean not null default true,
    add column starred       boolean not null default false,
    -- In the list as ever, but it counts in no badge and rings nowhere.
    add column muted         boolean not null default false,
    -- Marked by hand. `unread` and `read_number` stay: nothing is ever un-read for the other side.
    add column marked_unread boolean not null default false,
    -- Out of the inbox until then, or until a new message; past it, back on top until it is opened.
    add column snoozed_until timestamptz,
    -- What became of the credit once this was answered; told to the one who paid.
    add column refund        text constraint inbox_refund
                             check (refund in ('refunded', 'deferred', 'none'));

create index inbox_listed on inbox (owner_id, focused, last_activity_at, conversation_id)
    where box in ('inbox', 'requests');
create index inbox_starred on inbox (owner_id, last_activity_at, conversation_id) where starred;
create index inbox_snoozed on inbox (owner_id, snoozed_until, conversation_id)
    where snoozed_until is not null;
drop index inbox_unread;
create index inbox_unread on inbox (owner_id, last_activity_at, conversation_id)
    where (unread > 0 or marked_unread) and box <> 'spam';

-- A deleted message keeps its place and number, without its text.
alter table messages
    add column edited_at  timestamptz,
    add column deleted_at timestamptz;
