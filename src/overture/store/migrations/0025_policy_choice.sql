-- The policy that a server was last started with, so that the same one again does not undo what was
-- applied since.
create table policy_choice (
    singleton boolean not null default true constraint policy_choice_singleton check (singleton),
    document  text not null,
    constraint policy_choice_pk primary key (singleton)
);
