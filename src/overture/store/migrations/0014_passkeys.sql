-- Passkeys: keys of a member's devices that sign in by themselves, or as the second step.

create table passkeys (
    member_id  uuid not null,
    id         uuid not null,
    -- By what its device knows it, and what its signatures are verified with.
    credential bytea not null,
    public_key bytea not null,
    -- As its device counts how often it signed; 0 where it does not.
    uses       bigint not null,
    transports json not null,
    name       text not null,
    added_at   timestamptz not null default now(),
    used_at    timestamptz,
    constraint passkeys_pk primary key (member_id, id)
);
create unique index passkeys_by_credential on passkeys (member_id, credential);
