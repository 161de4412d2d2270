-- Where a browser takes notices although no page is open. A part of its session, so that whoever signs
-- out, or is signed out, hears nothing there any more.

alter table sessions
    add column push_endpoint text,
    add column push_key bytea,
    add column push_auth bytea,
    add constraint sessions_push_whole
        check (num_nulls(push_endpoint, push_key, push_auth) in (0, 3));

-- A browser has one place, and speaks for whoever had notices sent there last.
create index sessions_by_push_endpoint on sessions using hash (push_endpoint)
    where push_endpoint is not null;
