-- Accounts: how a member signs in. Lifetimes here are of the real clock.

-- How pages look to this member; null is as the browser asks.
alter table members
    add column language text,
    add column theme    text constraint members_theme check (theme in ('light', 'dark'));
-- Who has an address without having set a password yet: made by the operator, or imported.
create index members_by_email on members (lower(email)) where email is not null and closed_at is null;

-- A member who has set a password. `email` is as they wrote it, and repeated in `members`.
create table accounts (
    member_id   uuid not null,
    email       text not null,
    verified_at timestamptz,
    password    text not null,
    password_at timestamptz not null default now(),
    constraint accounts_pk primary key (member_id)
);

-- The addresses that members sign in with, folded: each is one member's.
create table emails (
    address   text not null,
    member_id uuid not null,
    constraint emails_pk primary key (address)
);
create index emails_of_member on emails (member_id);

-- Browsers that are signed in, by the SHA-256 of their cookie. `id` is what the member's own list of
-- them goes by.
create table sessions (
    hash       bytea not null,
    id         uuid not null,
    member_id  uuid not null,
    created_at timestamptz not null default now(),
    seen_at    timestamptz not null default now(),
    expires_at timestamptz not null,
    client     text not null,
    agent      text not null,
    constraint sessions_pk primary key (hash)
);
create index sessions_of_member on sessions (member_id);

-- Browsers that once signed in: they may still try when strangers have tried too often.
create table devices (
    hash      bytea not null,
    member_id uuid not null,
    seen_at   timestamptz not null default now(),
    constraint devices_pk primary key (hash, member_id)
);
create index devices_of_member on devices (member_id);

-- What a link in a mail permits, once: by the SHA-256 of its secret.
create table account_links (
    hash       bytea not null,
    member_id  uuid not null,
    purpose    text not null constraint account_links_purpose
               check (purpose in ('verify', 'email', 'password')),
    -- To whom the link was sent: who follows it has this address.
    email      text not null,
    expires_at timestamptz not null,
    constraint account_links_pk primary key (hash)
);
create index account_links_of_member on account_links (member_id);

-- How often something was tried, by the SHA-256 of what and by whom.
create table attempts (
    key     bytea not null,
    count   integer not null constraint attempts_count_not_negative check (count >= 0),
    ends_at timestamptz not null,
    constraint attempts_pk primary key (key)
);

-- Mails to be written. No secret stands here: a link is made when its mail is.
create table mails (
    id        uuid not null,
    kind      text not null,
    address   text not null,
    -- Null where it is only known to whom the mail goes.
    member_id uuid,
    language  text not null,
    wanted_at timestamptz not null default now(),
    constraint mails_pk primary key (id)
);
