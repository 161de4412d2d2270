-- Operators find members as they type: one or two letters are in so many texts that the index of their
-- parts takes as long as reading them all.
create index members_beginnings on members (search_text text_pattern_ops) where closed_at is null;
