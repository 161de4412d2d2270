-- The ledger's chain: each entry carries the SHA-256 of itself and of the link before it, so that nobody
-- can rewrite an entry unnoticed, whatever rights they have. What is there already is linked here, field by
-- field as core.chain does it.

alter table ledger_entries add column link text;

grant update on ledger_entries to current_user;
do $$
declare
    entry ledger_entries;
    before text := '';
    instant constant text := 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"';
begin
    for entry in select * from ledger_entries order by owner_id, pool, number loop
        if entry.number = 1 then
            before := '';
        end if;
        before := encode(sha256(convert_to(concat_ws(E'\n',
            before, entry.owner_id, entry.pool, entry.number,
            to_char(entry.at at time zone 'UTC', instant), entry.kind, entry.credits,
            entry.forfeited, coalesce(entry.plan, ''), coalesce(entry.lot::text, ''),
            coalesce(to_char(entry.expires_at at time zone 'UTC', instant), ''),
            coalesce(entry.inmail_id::text, ''), entry.balance, entry.reason), 'UTF8')), 'hex');
        update ledger_entries
        set link = before
        where owner_id = entry.owner_id and pool = entry.pool and number = entry.number;
    end loop;
end $$;
revoke update on ledger_entries from current_user;

update credit_accounts a
set state = jsonb_set(a.state::jsonb, '{link}', to_jsonb(e.link))::json
from (
    select distinct on (owner_id, pool) owner_id, pool, link
    from ledger_entries
    order by owner_id, pool, number desc
) e
where e.owner_id = a.owner_id and e.pool = a.pool;

alter table ledger_entries alter column link set not null;

-- The audit log's chain, likewise: all its entries in one row, in the order in which they were made.
alter table audit add column number bigint, add column link text;

-- How far the log has come. Whoever adds to it holds this row until they commit.
create table audit_head (
    singleton boolean not null default true constraint audit_head_singleton check (singleton),
    number    bigint not null,
    link      text not null,
    constraint audit_head_pk primary key (singleton)
);

grant update on audit to current_user;
do $$
declare
    entry audit;
    before text := '';
    count bigint := 0;
begin
    for entry in select * from audit order by at, id loop
        count := count + 1;
        before := encode(sha256(convert_to(concat_ws(E'\n',
            before, count, entry.id,
            to_char(entry.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
            entry.actor, entry.action, coalesce(entry.member_id::text, ''), entry.detail), 'UTF8')),
            'hex');
        update audit set number = count, link = before where id = entry.id;
    end loop;
    insert into audit_head (number, link) values (count, before);
end $$;
revoke update on audit from current_user;
alter table audit alter column number set not null, alter column link set not null;
create unique index audit_by_number on audit (number);
