-- What stands on the tables, made when they are full.
create view contacts as select id, name, email as contact from customers;
create view rich as select c.id, c.name, c.balance * 2 as wealth, o.item from customers c join orders o on o.customer_id = c.id;
create view cities as select city, count(*) as heads, max(ssn) as top from customers group by city;
create view plain_orders as select id, item, amount, paid from orders;
create view twice as select id, contact from contacts union all select id, card from orders;
create materialized view snapshot as select id, name, ssn, profile from customers;
create materialized view items as select item, sum(amount) as total from orders group by item;
create function ssn_of(integer) returns text language sql stable as 'select ssn from customers where id = $1';
create function everyone() returns setof customers language sql stable as 'select * from customers';
create function label(customers) returns text language sql immutable as 'select $1.name || chr(47) || $1.email';
create function shout(text) returns text language plpgsql immutable as $$begin raise notice 'shouting %', $1; return upper($1); end$$;
create function fail(text) returns integer language plpgsql as $$begin raise exception 'cannot take %', $1; end$$;
create aggregate glue(text) (sfunc = textcat, stype = text, initcond = '-');
grant usage, create on schema public to app;
grant select, insert, update, delete on all tables in schema public to app;
