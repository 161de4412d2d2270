-- When the ledger and the audit log were last verified, and what was found: for those who watch over
-- the installation, who would else have to ask whoever ran the command.

create table verifications (
    kind     text not null constraint verifications_pk primary key
             constraint verifications_kind check (kind in ('ledger', 'audit')),
    at       timestamptz not null,
    entries  bigint not null,
    found    bigint not null constraint verifications_found_not_negative check (found >= 0),
    -- When nothing was found the last time; null where something always was.
    sound_at timestamptz
);
