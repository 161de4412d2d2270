-- How many mails went out and came in, hour by hour of the real clock, and why some did not: for the
-- operator, who is told of no address and no member by it. What is old is dropped.

create table mail_counts (
    hour  timestamptz not null,
    came  text not null constraint mail_counts_came check (
        came in ('sent', 'failed', 'refused', 'taken', 'passed_over', 'not_taken', 'later')),
    -- A sentence or code of ours, of which there are few.
    why   text not null,
    count bigint not null,
    constraint mail_counts_pk primary key (hour, came, why)
);
