-- The secret by which this installation knows the addresses and links that it put into mails.

-- Made once, and read by the server alone: no export, log or API ever shows it.
create table installation_secret (
    singleton boolean not null default true constraint installation_secret_singleton check (singleton),
    key       bytea   not null constraint installation_secret_is_long check (length(key) >= 32),
    constraint installation_secret_pk primary key (singleton)
);

-- Members whose mail came back for good: nothing more goes to this address until they verify it again,
-- or have another. `why` is what the mail servers' code for it was, such as 5.1.1.
create table failing_addresses (
    member_id uuid not null,
    address   text not null,
    failed_at timestamptz not null,
    why       text not null,
    constraint failing_addresses_pk primary key (member_id)
);
