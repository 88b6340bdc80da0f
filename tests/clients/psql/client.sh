#!/bin/sh
# psql: one process a step, because that is how agents use it; the transaction steps share one.
set -eu
sql() { psql -X -q -t -A -v VERBOSITY=sqlstate "$@" 2>&1; }
line() { tr '\n' ' ' | sed 's/ *$//; s/ERROR: *//g'; }

echo "connect $(sql -c 'select current_database()')"
echo "query $(sql -F : -c 'select id, name from customers order by id limit 3' | line)"
echo "email $(sql -c 'select email from customers where id = 1')"
echo "prepared $(sql <<'SQL' | line
prepare by_id(int) as select name from customers where id = $1;
execute by_id(1);
execute by_id(2);
SQL
)"
echo "transaction $(sql <<'SQL' | line
begin;
insert into orders (customer_id, item, amount) values (1, 'rolled back', 1);
rollback;
select count(*) from orders;
begin;
insert into orders (customer_id, item, amount) values (1, 'matrix', 1);
commit;
select count(*) from orders;
delete from orders where item = 'matrix';
SQL
)"
sql -c "copy imports from stdin" <<'ROWS'
1	one
2	two
3	three
ROWS
echo "copy $(sql -c 'select count(*) from imports') $(sql -c 'copy imports to stdout' | wc -l)"
sql -c 'delete from imports where id > 0'
echo "cancel $(timeout --signal=INT 1 psql -X -q -t -A -v VERBOSITY=sqlstate \
  -c 'select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b' 2>&1 | grep ERROR | line)"
echo "denial $(sql <<'SQL' | line
drop database shop;
select 1;
SQL
)"
echo "denial-in-transaction $(sql <<'SQL' | line
begin;
truncate salaries;
select 1;
rollback;
select 1;
SQL
)"
