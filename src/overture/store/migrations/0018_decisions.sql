-- What an operator decides of members, of itself or on a report, and what members say against it.
--
-- Nothing is destroyed by a suspension: it is an instant on the member's row, which ends as it began.
-- Every decision on a member is kept with its reasons, as the member is told them.

alter table members add column suspended_at timestamptz;
create index members_suspended on members (suspended_at, id) where suspended_at is not null;

create table decisions (
    -- On whom.
    owner_id        uuid not null,
    id              uuid not null,
    measure         text not null constraint decisions_measure
                    check (measure in ('warning', 'suspension', 'lifted')),
    ground          text not null constraint decisions_ground check (ground in ('terms', 'law')),
    statement       text not null,
    -- Whether a report led to it; whose it was the member is not told.
    report_id       uuid,
    at              timestamptz not null,
    constraint decisions_pk primary key (owner_id, id)
);

-- What was reported as it looked then, and what became of it. `measure` is none where nothing was done;
-- `answer` is what the reporter is told.
alter table reports
    add column snapshot json,
    add column decided_at timestamptz,
    add column measure text constraint reports_measure
        check (measure in ('none', 'warning', 'suspension')),
    add column answer text not null default '';
create index reports_by_id on reports (id);
create index reports_on_member on reports (member_id);
create index reports_open on reports (at, id) where decided_at is null;

-- At most one a decision and side: of who was decided against, or of who reported.
create table complaints (
    owner_id    uuid not null,
    id          uuid not null,
    about       text not null constraint complaints_about check (about in ('decision', 'report')),
    about_id    uuid not null,
    text        text not null,
    at          timestamptz not null,
    answered_at timestamptz,
    outcome     text constraint complaints_outcome check (outcome in ('stands', 'reversed')),
    answer      text not null default '',
    constraint complaints_pk primary key (owner_id, id)
);
create unique index complaints_one_each on complaints (owner_id, about_id);
create index complaints_by_id on complaints (id);
create index complaints_by_time on complaints (at, id);
