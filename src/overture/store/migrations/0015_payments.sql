-- Plans that are paid for with a payment provider: its customers, what is known of their contracts, and
-- which of its events were taken.
--
-- Customers and contracts come with names of the provider's, often before it is known whose they are:
-- like handles, they have tables of their own, with the name as the key.

create table payment_customers (
    id        text not null,
    member_id uuid not null,
    constraint payment_customers_pk primary key (id)
);
create index payment_customers_of on payment_customers (member_id);

-- The terms as they were last told; see core/payments.py. `told_at` and `standing_at` are of the
-- provider's clock, `grace_until` is of the members'. A contract that is over stays, so that what is told
-- late does not begin it again.
create table payment_contracts (
    id          text not null,
    customer_id text not null,
    standing    text not null constraint payment_contracts_standing
        check (standing in ('not_begun', 'paid', 'failing', 'over')),
    standing_at timestamptz not null,
    prices      json not null,
    ends_at     timestamptz,
    told_at     timestamptz not null,
    telling     smallint not null,
    changed     text[] not null,
    grace_until timestamptz,
    pools       text[] not null default '{}',
    -- Why nothing follows from it, for the operator; null where all is well.
    problem     text constraint payment_contracts_problem
        check (problem in ('unknown_member', 'unknown_price', 'account_closed')),
    constraint payment_contracts_pk primary key (id)
);
create index payment_contracts_of on payment_contracts (customer_id);
create index payment_contracts_problems on payment_contracts (id) where problem is not null;

-- The pools in which a member's subscription is the provider's: there, what is not paid for ends.
create table payment_pools (
    owner_id uuid not null,
    pool     text not null,
    constraint payment_pools_pk primary key (owner_id, pool)
);

-- The provider tells each event at least once. In real time, like what waits for a network.
create table payment_events (
    id       text not null,
    kind     text not null,
    at       timestamptz not null,
    outcome  text,
    taken_at timestamptz not null default now(),
    constraint payment_events_pk primary key (id)
);
create index payment_events_taken on payment_events (taken_at);
