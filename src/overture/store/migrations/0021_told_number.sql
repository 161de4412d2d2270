-- What a member reads while their receipts are off is not told later either, once they are on again.

alter table inbox
    -- Up to where the other side is told that this one has read; null as far as it has.
    add column told_number integer;
