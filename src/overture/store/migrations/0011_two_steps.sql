-- Signing in in two steps, and being asked again who one is. Lifetimes here are of the real clock.

-- When the member last showed in this browser who they are: by signing in, or when asked again.
alter table sessions add column proved_at timestamptz not null default '-infinity';
alter table sessions alter column proved_at set default now();

-- Since when a password alone does not sign in any more; null where it does.
alter table accounts add column two_steps_at timestamptz;

-- The app that makes a member's codes. A code belongs to a counter of half minutes; those up to `used`
-- open nothing any more.
create table code_apps (
    member_id uuid not null,
    secret    text not null,
    used      bigint not null,
    added_at  timestamptz not null default now(),
    constraint code_apps_pk primary key (member_id)
);

-- Codes for when the app is lost, each for once: hashed like passwords, all of a member's with one salt.
create table recovery_codes (
    member_id uuid not null,
    hash      text not null,
    constraint recovery_codes_pk primary key (member_id, hash)
);

-- What a browser began and is to end soon, by the SHA-256 of its cookie: a sign-in that lacks its second
-- step, an app that has not made its first code.
create table ceremonies (
    hash       bytea not null,
    kind       text not null,
    -- Null where nobody is known yet.
    member_id  uuid,
    payload    json not null,
    slips      integer not null default 0,
    expires_at timestamptz not null,
    constraint ceremonies_pk primary key (hash)
);
create index ceremonies_of_member on ceremonies (member_id);
