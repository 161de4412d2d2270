-- Drafts, kept across a member's devices: what is written and not sent yet has to survive a closed
-- window, a refusal and another phone. There is one a place; a row's place is a conversation (a reply),
-- a member (a letter) or the nil id (a letter to nobody yet). A draft may be longer than what can be
-- sent, since a text that is too long is shown and not cut.

create table drafts (
    owner_id uuid not null,
    place_id uuid not null,
    kind     text not null constraint drafts_kind check (kind in ('reply', 'letter', 'nobody')),
    pool     text,
    subject  text not null default '',
    body     text not null default '',
    saved_at timestamptz not null,
    constraint drafts_pk primary key (owner_id, place_id),
    constraint drafts_size check (char_length(subject) <= 1000 and char_length(body) <= 20000)
);
