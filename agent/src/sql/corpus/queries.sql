SELECT 1

SELECT

;

-- nothing but a comment

SELECT id, name FROM customers

SELECT * FROM customers

SELECT c.* FROM customers c

SELECT c FROM customers c

SELECT (c).ssn FROM customers c

SELECT (c).* FROM customers c

SELECT public.customers.ssn FROM public.customers

SELECT shop.public.customers.ssn FROM shop.public.customers

TABLE customers

SELECT name FROM ONLY customers

SELECT name FROM customers WHERE ssn = '123' ORDER BY card LIMIT 3

SELECT name FROM nowhere

SELECT name FROM other.customers

SELECT id FROM otherdb.public.customers

SELECT relname FROM pg_class

SELECT relname FROM pg_catalog.pg_class WHERE relkind = 'r'

SELECT most_common_vals FROM pg_stats

SELECT "The Column" FROM "Weird Table"

SELECT at FROM audit.log

SELECT o.total, c.email FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.total > 100

SELECT * FROM orders JOIN customers USING (id)

SELECT * FROM orders NATURAL JOIN customers

SELECT id FROM orders JOIN customers USING (id) AS k

SELECT j.total FROM (orders o CROSS JOIN customers c) AS j

SELECT * FROM orders o LEFT JOIN LATERAL (SELECT ssn FROM customers c WHERE c.id = o.customer_id) l ON true

SELECT name FROM customers TABLESAMPLE bernoulli (10) REPEATABLE (1)

SELECT name FROM customers TABLESAMPLE crypto.other (10)

SELECT * FROM ROWS FROM (generate_series(1, 3), unnest(ARRAY[1, 2])) AS r (a, b)

SELECT g FROM generate_series(1, 10) g

SELECT x.a FROM (VALUES (1, 2), (3, 4)) AS x (a, b)

VALUES (1, 'a'), (2, 'b')

SELECT name FROM customers WHERE id IN (SELECT customer_id FROM orders WHERE total > 5 LIMIT 10)

SELECT name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)

SELECT count(*), count(ssn), count(DISTINCT email) FROM customers

SELECT max(ssn), string_agg(email, ',' ORDER BY card) FROM customers GROUP BY name HAVING min(card) > '1'

SELECT sum(total) FILTER (WHERE note = 'x') FROM orders

SELECT name, rank() OVER (PARTITION BY email ORDER BY ssn) FROM customers

SELECT lag(ssn) OVER w FROM customers WINDOW w AS (ORDER BY id)

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders

SELECT name, count(*) FROM customers GROUP BY GROUPING SETS ((name), ()) ORDER BY 1

SELECT DISTINCT ON (ssn) name FROM customers

SELECT name FROM customers UNION SELECT email FROM customers

SELECT name FROM products EXCEPT ALL SELECT ssn FROM customers ORDER BY 1

WITH c AS (SELECT ssn FROM customers) SELECT ssn FROM c

WITH customers AS (SELECT 1 AS ssn) SELECT ssn FROM customers

WITH customers AS (SELECT 1 AS ssn) SELECT ssn FROM public.customers

WITH a AS (SELECT id FROM orders), b AS (SELECT id FROM a) SELECT * FROM b, a

SELECT * FROM (WITH customers AS (SELECT 1 AS x) SELECT x FROM customers) q, customers

WITH unused AS (SELECT ssn FROM customers) SELECT 1

WITH RECURSIVE t (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT n FROM t

WITH RECURSIVE t AS (SELECT id, ssn FROM customers UNION ALL SELECT t.id, t.ssn FROM t) SELECT id FROM t

WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT ssn FROM customers) SELECT * FROM a

SELECT name FROM customers FOR UPDATE

SELECT o.id FROM orders o, customers c FOR SHARE OF c SKIP LOCKED

SELECT * FROM customers c, orders o ORDER BY 1 FETCH FIRST 3 ROWS WITH TIES

SELECT CASE WHEN ssn LIKE '1%' THEN name ELSE email END FROM customers

SELECT coalesce(email, name), greatest(ssn, card), nullif(name, ssn) FROM customers

SELECT ARRAY(SELECT ssn FROM customers), ARRAY[name, card] FROM customers

SELECT (SELECT ssn FROM customers c WHERE c.id = o.customer_id) FROM orders o

SELECT current_user, current_date, session_user

SELECT xmlelement(name e, ssn), xmlforest(email) FROM customers

SELECT json_object('k': ssn), json_arrayagg(email) FROM customers

SELECT * FROM json_table('[1]', '$[*]' COLUMNS (a int PATH '$')) AS j

SELECT * FROM customers, xmltable('/a' PASSING (ssn::xml) COLUMNS x text) AS x

SELECT ssn::int, CAST(email AS varchar(3)), 'x'::regclass FROM customers

SELECT $1::int, name FROM customers WHERE id = $2

SELECT ctid, xmin, tableoid FROM customers

SELECT q.n FROM (SELECT lower(name) AS n, ssn FROM customers) q

SELECT q.b FROM (SELECT name, ssn FROM customers) q (a, b)

SELECT id FROM orders WHERE (total, note) = (SELECT id, name FROM products LIMIT 1)

SELECT name FROM customers WHERE name OPERATOR(pg_catalog.=) 'x'

SELECT name FROM customers WHERE name OPERATOR(crypto.=) 'x'

SELECT name FROM customers ORDER BY name USING OPERATOR(crypto.<)

SELECT EXTRACT(year FROM now()), substring('a' FROM 1), trim(both 'x' FROM 'xa'), position('a' IN 'ab')
