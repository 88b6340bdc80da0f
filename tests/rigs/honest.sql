-- What ordinary programs and people ask: each statement must pass the gate under the shipped policy, and answer as it
-- does without a gate. Statements end with a semicolon at the end of a line. None touches a classified column.

-- Joins, sub-queries, WITH
select c.name, o.item from customers c join orders o on o.customer_id = c.id order by o.id;
select name, item from customers left join orders on customers.id = customer_id order by name, item;
select count(*) from customers cross join orders;
select a.id, b.id from orders a join orders b on a.customer_id = b.customer_id and a.id < b.id;
select o.id, p.paid from orders o natural join (select order_id as id, paid from payments) p order by 1;
select o.id, p.paid from orders o full join payments p on p.order_id = o.id order by 1;
select name from customers where id in (select customer_id from orders where amount > 100) order by 1;
select name from customers c where exists (select from orders o where o.customer_id = c.id) order by 1;
select name from customers c where not exists (select 1 from orders o where o.customer_id = c.id) order by 1;
select name, (select count(*) from orders o where o.customer_id = c.id) from customers c order by id;
select name from customers where id = any (array[1, 2]) order by 1;
select name from customers where id <> all (select customer_id from orders) order by 1;
select x.name, y.total from customers x, lateral (select sum(amount) as total from orders where customer_id = x.id) y order by 1;
with big as (select * from orders where amount > 10) select count(*) from big;
with a as (select 1 as n), b as (select n + 1 as n from a) select * from a union all select * from b;
with recursive t(n) as (select 1 union all select n + 1 from t where n < 5) select sum(n) from t;
with recursive walk(id, depth) as (select 1, 0 union all select id + 1, depth + 1 from walk where depth < 3) search depth first by id set o select id, depth from walk order by o;
with recursive g(f, t) as (values (1, 2), (2, 3), (3, 1)), w(n) as (select 1 union all select g.t from g, w where g.f = w.n) cycle n set looped using path select n, looped from w;
with m as materialized (select id from orders) select count(*) from m;
select * from (values (1, 'one'), (2, 'two')) as v(n, word) order by n;
values (1, 'a'), (2, 'b');
table payments;
select o.* from orders o where o.id = 1 and o.placed_at is not null and false;
select 1 where exists (table payments);

-- Aggregates, windows, grouping
select status, count(*), sum(amount), avg(amount)::numeric(10, 2), min(amount), max(amount) from orders group by status order by status;
select customer_id, count(*) filter (where status = 'new') from orders group by 1 order by 1;
select status, string_agg(item, ', ' order by item) from orders group by status having count(*) > 1;
select array_agg(distinct status order by status) from orders;
select status, city, count(*) from orders join customers on customers.id = customer_id group by grouping sets ((status), (city), ()) order by 1, 2;
select status, grouping(status), sum(amount) from orders group by rollup (status) order by 1;
select status, customer_id, count(*) from orders group by cube (status, customer_id) order by 1, 2;
select percentile_cont(0.5) within group (order by amount), mode() within group (order by status) from orders;
select id, row_number() over (order by amount desc), rank() over w, lag(amount) over w from orders window w as (partition by status order by id) order by id;
select id, sum(amount) over (order by id rows between unbounded preceding and current row) from orders order by id;
select id, first_value(item) over (partition by customer_id order by id), ntile(2) over (order by id) from orders order by id;
select distinct on (customer_id) customer_id, item from orders order by customer_id, amount desc;
select distinct status from orders order by 1;
select bool_and(amount > 0), bool_or(status = 'new'), every(id > 0) from orders;
select stddev(amount) is not null, corr(amount, id) is not null from orders;
select count(*), count(distinct customer_id) from orders;
select id from orders order by amount desc nulls last limit 2 offset 1;
select id from orders order by id fetch first 2 rows only;
select amount from orders order by amount fetch first 1 rows with ties;

-- Set operations
select id from orders union select order_id from payments order by 1;
select id from orders intersect select order_id from payments order by 1;
select id from orders except all select order_id from payments order by 1;
(select item from orders order by id limit 1) union all (select city from customers order by id limit 1);

-- Expressions, text, numbers, dates
select case when amount > 100 then 'large' when amount > 1 then 'small' else 'tiny' end from orders order by id;
select coalesce(notes, '-') is not null, nullif(city, 'London'), greatest(1, 2), least(3, 4) from customers order by id;
select upper(item), length(item), substring(item from 1 for 3), position('e' in item), trim(both 'b' from item) from orders order by id;
select item || ' #' || id, concat_ws('-', item, status), format('%s (%L) %I', item, status, 'x y') from orders order by id;
select item from orders where item like 'b%' or item ilike '%WIRE' or item similar to '(b|p)%' order by 1;
select item from orders where item ~ '^b' or item ~* 'ENGINE$' order by 1;
select regexp_replace(item, '[aeiou]', '*', 'g'), regexp_matches(item, '(\w+) ?', 'g') from orders order by id, 2;
select split_part(item, ' ', 1), string_to_array(item, ' '), regexp_split_to_array(item, '\s+') from orders order by id;
select left(item, 2), right(item, 2), repeat('x', 3), reverse(item), lpad(status, 10, '.'), initcap(item), md5(item) from orders order by id;
select amount::int, round(amount, 1), ceil(amount), floor(amount), amount % 7, abs(-amount), power(id, 2), sqrt(id), ln(id), width_bucket(amount, 0, 10000, 5) from orders order by id;
select 7 / 2, 7.0 / 2, 7 % 2, 2 ^ 10, 5 & 3, 5 | 3, 5 # 3, ~5, 1 << 4, @ -5, |/ 16;
select date '2024-02-29' + 1, date '2024-03-01' - date '2024-02-01', timestamp '2024-01-01 12:00' + interval '1 day 2 hours';
select extract(year from placed_at) > 2000, date_trunc('day', placed_at) <= placed_at, placed_at at time zone 'UTC' is not null from orders order by id;
select to_char(timestamp '2024-05-06 07:08:09', 'YYYY-MM-DD HH24:MI:SS'), to_date('06.05.2024', 'DD.MM.YYYY'), to_number('1,234.5', '9,999.9'), to_timestamp(0) at time zone 'UTC';
select age(timestamp '2024-05-06', timestamp '2020-01-01'), make_date(2024, 1, 2), make_interval(days => 3), justify_hours(interval '30 hours');
select (date '2024-01-01', date '2024-02-01') overlaps (date '2024-01-15', date '2024-03-01');
select now() >= transaction_timestamp(), clock_timestamp() >= now(), current_date = now()::date, localtimestamp is not null;
select 1 between symmetric 3 and 0, null is distinct from 1, 1 is not distinct from 1, true is true, (1, 2) < (1, 3), row (1, null) is null;
select cast('12' as integer), '12'::bigint, 'true'::boolean, '1.5'::float8, integer '7', bool 'off';
select encode('abc'::bytea, 'hex'), decode('616263', 'hex'), encode(sha256('abc'), 'base64'), '\x616263'::bytea, octet_length('añb'), ascii('a'), chr(98);
select 'a' collate "C" < 'B' collate "C", U&'\0061' = 'a', E'\x61' = 'a', $$dollar$$, $q$quo$$ted$q$;
select gen_random_uuid() is not null, random() between 0 and 1, pg_typeof(1), num_nulls(1, null), pg_column_size(1) > 0;
select xpath('/a/text()', '<a>b</a>'::xml), xmlcomment('x'), xpath_exists('/a', '<a/>'::xml);
select current_user is not null, session_user is not null, current_database(), current_schema(), version() is not null, pg_backend_pid() > 0;
select generate_series(1, 3), generate_series('2024-01-01'::date, '2024-01-03', '1 day') order by 1, 2;
select * from generate_series(1, 3) with ordinality as g(value, place);

-- Arrays, JSON, ranges, full text, XML
select (array[1, 2, 3])[2], (array[1, 2, 3])[2:3], array_length(array[1, 2], 1), 2 = any (array[1, 2]), array[1] || 2, array[1, 2] @> array[1], array_position(array['a', 'b'], 'b'), cardinality(array[1, 2]);
select unnest(array[3, 1, 2]) order by 1;
select * from unnest(array[1, 2], array['a', 'b']) as u(n, t);
select array_to_string(array_agg(item order by id), '|') from orders;
select to_jsonb(o) ->> 'item' from orders o order by id;
select row_to_json(o) is not null, json_build_object('item', item, 'n', id) from orders o order by id;
select json_agg(json_build_array(id, item) order by id) from orders;
select jsonb_object_agg(id, status) from orders;
select '{"a": {"b": [1, 2]}}'::jsonb #> '{a,b}', '{"a": 1}'::jsonb @> '{"a": 1}', '{"a": 1}'::jsonb ? 'a', '[1, 2]'::jsonb -> 0, '{"a": 1}'::jsonb || '{"b": 2}', '{"a": 1, "b": 2}'::jsonb - 'a';
select jsonb_set('{"a": 1}', '{a}', '2'), jsonb_path_query('{"a": [1, 2, 3]}', '$.a[*] ? (@ > 1)'), jsonb_pretty('{"a": 1}');
select key, value from jsonb_each_text('{"a": 1, "b": 2}') order by key;
select * from jsonb_to_recordset('[{"a": 1, "b": "x"}]') as r(a int, b text);
select * from json_array_elements_text('["x", "y"]') as e;
select int4range(1, 5) @> 3, int4range(1, 5) && int4range(4, 8), upper(int4range(1, 5)), numrange(1.5, 2.5), daterange('2024-01-01', '2024-02-01', '[]');
select int4multirange(int4range(1, 3), int4range(5, 7)) @> 6, range_agg(r) from (values (int4range(1, 3)), (int4range(2, 5))) as v(r);
select to_tsvector('english', item) @@ to_tsquery('english', 'engine'), ts_rank(to_tsvector('english', item), plainto_tsquery('english', 'engine')) >= 0, ts_headline('english', item, to_tsquery('english', 'engine')) from orders order by id;
select xmlelement(name item, item), xmlforest(id as number) from orders order by id;
select '192.168.1.5'::inet << '192.168.1.0/24'::cidr, host('10.0.0.1/8'::inet), '08:00:2b:01:02:03'::macaddr, point(1, 2) <-> point(4, 6), box '((0,0),(1,1))' && box '((1,1),(2,2))';
select B'101' & B'011', '$12.34'::money is not null, '550e8400-e29b-41d4-a716-446655440000'::uuid;

-- Writing, undone
begin;
insert into orders (customer_id, item, amount) values (1, 'gear', 1.5), (2, 'lever', 2.5);
insert into orders (id, customer_id, item, amount, status) values (999, 3, 'rotor', 3, default) returning id, item, status;
insert into imports select id, item from orders on conflict (id) do nothing;
insert into imports values (1, 'again') on conflict (id) do update set label = excluded.label || '!' where imports.id > 0 returning *;
update orders set status = 'sent', amount = amount * 2 where id = 999 returning id, amount;
update orders o set status = 'known' from payments p where p.order_id = o.id;
update orders set (status, amount) = ('x', 5) where id = 999;
delete from imports i using orders o where i.id = o.id and o.id = 999;
delete from imports where id = 1 returning label;
merge into imports i using orders o on i.id = o.id when matched then update set label = o.item when not matched then insert (id, label) values (o.id, o.item);
with gone as (delete from imports where id > 0 returning id) select count(*) > 0 from gone;
with made as (insert into imports values (50, 'fifty') returning *) select * from made;
select id from orders where id = 999 for update;
select id from orders order by id limit 1 for share skip locked;
select id from orders order by id limit 1 for no key update of orders nowait;
savepoint one;
insert into imports values (60, 'sixty');
rollback to savepoint one;
release savepoint one;
lock table imports in share mode;
rollback;
begin isolation level repeatable read read only;
select count(*) from orders;
commit;
start transaction;
set local statement_timeout = '10s';
set transaction isolation level serializable;
abort;

-- Cursors, prepared statements, COPY, EXPLAIN
begin;
declare seen cursor for select id, item from orders order by id;
fetch 2 from seen;
move forward 1 from seen;
fetch next from seen;
close seen;
declare back scroll cursor with hold for select id from orders order by id;
commit;
fetch last from back;
fetch prior from back;
close all;
prepare one_order (int) as select item from orders where id = $1;
execute one_order (2);
deallocate one_order;
prepare add_import as insert into imports values ($1, $2);
deallocate all;
copy orders (id, item) to stdout;
copy (select id, amount from orders order by id) to stdout with (format csv, header);
explain (costs off) select * from orders where id = 1;
explain (analyze, costs off, timing off, summary off, buffers off) select count(*) from payments;

-- Settings, catalogue
show server_version_num;
show search_path;
show transaction isolation level;
set statement_timeout = 10000;
set application_name to 'honest';
set time zone 'UTC';
set datestyle to iso, ymd;
set client_min_messages to warning;
select current_setting('application_name'), set_config('work_mem', '8MB', false);
reset statement_timeout;
select relname from pg_class where relname = 'orders';
select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a where a.attrelid = 'orders'::regclass and a.attnum > 0 order by a.attnum;
select table_name, column_name, data_type from information_schema.columns where table_name = 'payments' order by ordinal_position;
select pg_get_viewdef('customer_contacts'::regclass) is not null, to_regclass('orders'), obj_description('orders'::regclass) is null;
select has_table_privilege('orders', 'select'), pg_table_is_visible('orders'::regclass);
select nspname from pg_namespace where nspname = 'public';
select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'payments'::regclass order by 1;
select indexrelid::regclass from pg_index where indrelid = 'orders'::regclass;

-- What reports and applications ask
select c.id, c.name, count(o.id) filter (where o.status = 'new') as open from customers c left join orders o on c.id = o.customer_id group by c.id, c.name having count(o.id) > 0 order by 1;
select d::date, count(o.id) from generate_series('2024-01-01'::timestamp, '2024-01-03', '1 day') d left join orders o on o.placed_at::date = d::date group by d order by d;
select status, customer_id, sum(amount), grouping(status, customer_id) from orders group by grouping sets ((status), (customer_id), ()) order by 1, 2, 4;
select id, sum(amount) over w, avg(amount) over (order by id rows between 1 preceding and 1 following)::numeric(10, 2), cume_dist() over w from orders window w as (order by id) order by id;
select a.id, b.id from orders a full outer join payments b on a.id = b.order_id and b.paid > 1 or a.amount < 0 order by 1, 2;
select coalesce(nullif(item, ''), upper(status)), item = 'bombe' and 1 / id >= 0 from orders order by id;
select o.id, x from orders o cross join lateral jsonb_array_elements(jsonb_build_array(o.id, o.item)) x order by 1, 2;
select coalesce(city, upper(name)), city in ('London', lower(name)), id between 1 and length(name) from customers order by id;
select title as card, ssn.item as email from (select 'x' as title, item, id from orders) ssn order by ssn.id;
select tableoid::regclass, ctid is not null, id from payments order by id;
set search_path to public, pg_catalog;
reset search_path;
begin read only;
select count(*) from imports;
rollback;

-- Small things that clients do
select;
select 1 as "Mixed Case", 2 as "select";
select '' = '', ' ' <> '';
select 1; select 2;
/* a comment */ select 1 /* and /* another */ */ -- and one more
;
select pg_advisory_lock(7), pg_advisory_unlock(7);
select nextval('orders_id_seq') > 0, currval('orders_id_seq') > 0, lastval() > 0;
select pg_sleep(0);
discard plans;
