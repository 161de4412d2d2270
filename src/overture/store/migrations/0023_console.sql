-- Operators sign in as the members that they are, and enter the console with a second factor.

-- Since when a member's account is an operator's; null for everybody else.
alter table accounts add column operator_at timestamptz;
create index accounts_of_operators on accounts (member_id) where operator_at is not null;

alter table sessions
    -- When a code or a passkey was last shown in this browser: at the sign-in, or asked again.
    add column factor_at timestamptz,
    -- Since when it is in the console, and when a page of it was last asked for.
    add column console_at timestamptz,
    add column console_seen_at timestamptz;

-- The audit log as the console looks for things in it: what was not members' own, a member's, of a kind.
create index audit_of_operators on audit (at, id) where actor not like 'member:%';
create index audit_of_member on audit (member_id, at, id) where member_id is not null;
create index audit_by_action on audit (action, at, id);
