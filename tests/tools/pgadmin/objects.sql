-- An object of each kind that pgAdmin shows, beside the shop.
create schema desk;
grant usage, create on schema desk to app;
set search_path = desk;

create type colour as enum ('red', 'green');
create type pair as (a integer, b text);
create type span as range (subtype = integer);
create domain positive as integer default 1 constraint is_positive check (value > 0);
create collation plain from "C";

create function twice(n integer) returns integer language sql immutable as 'select n * 2';
create procedure nothing(inout n integer) language plpgsql as 'begin n := n + 1; end';
create function stamp() returns trigger language plpgsql as 'begin new.changed := now(); return new; end';
create aggregate total(integer) (sfunc = int4pl, stype = integer, initcond = '0');
create operator === (leftarg = integer, rightarg = integer, function = int4eq);
create operator family numbers using btree;
create operator class numbers_ops for type pair using btree family numbers as
    operator 1 < (record, record), operator 2 <= (record, record), operator 3 = (record, record),
    operator 4 >= (record, record), operator 5 > (record, record), function 1 btrecordcmp(record, record);
create cast (pair as text) with inout;

create table shelf (
    id      integer generated always as identity primary key,
    code    text collate plain not null unique,
    colour  colour default 'red',
    room    int4range,
    count   positive,
    doubled integer generated always as (twice(id)) stored,
    changed timestamptz,
    constraint coded check (length(code) < 100),
    constraint apart exclude using gist (room with &&)
) with (fillfactor = 90);
comment on table shelf is 'where books stand';
comment on column shelf.code is 'as it is written on the spine';
create index shelf_colour on shelf (colour desc nulls last) include (code) where colour is not null;
create index shelf_expression on shelf (lower(code));
create statistics shelf_statistics (dependencies) on colour, count from shelf;
create trigger stamped before update on shelf for each row when (old.code <> new.code) execute function stamp();
create rule kept as on delete to shelf do instead nothing;
alter table shelf enable row level security;
create policy seen on shelf for select to app using (id > 0);
insert into shelf (code, room, count) values ('A', '[1,3)', 1), ('B', '[3,5)', 2);

create table tome (
    id    bigserial primary key,
    shelf integer references shelf on delete cascade deferrable
) partition by range (id);
create table tome_1 partition of tome for values from (1) to (1000);
create table tome_rest partition of tome default;
create table wall (pages integer) inherits (shelf);
create table typed of pair;

create view shown as select id, code from shelf where colour = 'red' with local check option;
create materialized view counted as select colour, count(*) from shelf group by colour;
create index counted_colour on counted (colour);
create sequence numbers_given increment 5 minvalue 5 cache 3 cycle;

create text search template plainly (lexize = dsimple_lexize);
create text search dictionary words (template = simple);
create text search configuration speech (parser = "default");
alter text search configuration speech add mapping for word with words;
create text search parser letters (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);

create extension postgres_fdw schema desk;
create server elsewhere foreign data wrapper postgres_fdw options (host '127.0.0.1', dbname 'none');
create user mapping for app server elsewhere options (user 'none', password 'planted-password');
create foreign table far (id integer, name text) server elsewhere options (table_name 'far');
create publication news for table shelf;
create subscription feed connection 'host=127.0.0.1 password=planted-password' publication news with (connect = false);
create function noted() returns event_trigger language plpgsql as 'begin end';
create event trigger on_tables on ddl_command_end when tag in ('CREATE TABLE') execute function noted();

grant select, insert, update, delete on all tables in schema desk to app;
grant usage, select on all sequences in schema public, desk to app;
analyze;
