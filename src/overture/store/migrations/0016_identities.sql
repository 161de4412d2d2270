-- Signing in through the host's identity provider.

-- Who members are there. A member is one of it, and it of one member.
create table identities (
    issuer    text not null,
    subject   text not null,
    member_id uuid not null,
    linked_at timestamptz not null default now(),
    used_at   timestamptz,
    constraint identities_pk primary key (issuer, subject)
);
create unique index identities_by_member on identities (member_id);

-- Who only ever signs in through it has no password.
alter table accounts alter column password drop not null;

-- That a browser was signed in through it, and may be signed out there as well.
alter table sessions add column by_identity boolean not null default false;
