-- What the queries run over. Columns marked `secret` are classified; no other column depends on them but in views.
create type place as (street text, code text);
create domain token as text check (length(value) > 2);
create table customers (
    id      integer primary key,
    name    text not null,
    city    text,
    level   integer,
    joined  date,
    email   text,           -- secret
    ssn     text unique,    -- secret
    balance numeric(16, 2), -- secret
    score   bigint,         -- secret
    born    date,           -- secret
    seen    timestamp,      -- secret
    photo   bytea,          -- secret
    profile jsonb,          -- secret
    tags    text[],         -- secret
    badge   uuid,           -- secret
    bounds  int8range,      -- secret
    home    place,          -- secret
    pass    token,          -- secret
    weight  double precision -- secret
);
create table orders (
    id integer primary key, customer_id integer, item text, amount numeric(10, 2),
    paid boolean, placed timestamp, facts jsonb, parts text[],
    card text               -- secret
);
create table payments (id integer not null, order_id integer, amount numeric(10, 2), day date, iban text /* secret */)
    partition by range (id);
create table payments_low partition of payments for values from (0) to (4);
create table payments_high partition of payments for values from (4) to (100);
create table people (id integer primary key, name text, pin bigint /* secret */);
create table employees (boss integer, wage numeric /* secret */) inherits (people);
-- Where statements that write may put things.
create table sink (id integer, label text, number numeric, at date, note jsonb);
