SELECT 1 END; DROP TABLE customers

SELECT 1; DROP TABLE customers

SELECT ssn AND FROM customers

SELECT U&"\0073sn" FROM customers

SELECT U&"!0073sn" UESCAPE '!' FROM customers

SELECT "SSN" FROM customers

SELECT SSN FROM CUSTOMERS

SELECT $$; DROP TABLE customers; --$$

SELECT $a$ $$ $a$, E'\'; DROP TABLE customers; --'

SELECT '\'; DROP TABLE customers; --'

SELECT 1 /* ; DROP TABLE customers; */

SELECT 1 /* /* */ ; DROP TABLE customers; */

SELECT 1 -- ; DROP TABLE customers

SELECT 1 --
; DROP TABLE customers

/*!50000 DROP TABLE customers */

SELECT'a'
'b'; DROP TABLE customers

SELECT ssn FROM customers, LATERAL (SELECT 1) x UNION TABLE products

SELECT name FROM customers AS orders WHERE orders.ssn = '1'

SELECT * FROM customers AS c (a, b, c, d, e)

SELECT d FROM customers AS c (a, b, c, d, e)

SELECT c.d FROM customers AS c (a, b, c, d, e)

WITH c AS (WITH c AS (SELECT ssn FROM customers) SELECT * FROM c) SELECT * FROM c

WITH q AS (SELECT 1) SELECT * FROM (SELECT * FROM q) q, (SELECT ssn FROM customers) z

SELECT (WITH q AS (SELECT ssn FROM customers) SELECT ssn FROM q)

SELECT f(x => ssn) FROM customers

SELECT pg_catalog.lower(ssn) FROM customers

SELECT public.lower(ssn) FROM customers

SELECT lower(ssn) FROM customers

SELECT "pg_catalog"."query_to_xml"('select 1', true, true, '')

SELECT name FROM customers WHERE pg_sleep(5) IS NULL

SELECT name FROM customers WHERE lo_import('/etc/passwd') > 0

SELECT name FROM customers GROUP BY name, set_config('role', 'postgres', false)

SELECT name FROM customers LIMIT (SELECT count(*) FROM orders)

SELECT name FROM customers OFFSET length((SELECT ssn FROM customers LIMIT 1))

SELECT DISTINCT ON ((SELECT max(id) FROM orders)) name FROM products

SELECT sum(1) OVER (ORDER BY (SELECT max(id) FROM orders)) FROM products

SELECT count(*) FILTER (WHERE (SELECT true FROM orders LIMIT 1)) FROM products

SELECT * FROM products JOIN orders ON EXISTS (SELECT 1 FROM customers)

SELECT * FROM generate_series(1, (SELECT max(id) FROM customers)) g

VALUES ((SELECT ssn FROM customers LIMIT 1))

SELECT CASE (SELECT ssn FROM customers LIMIT 1) WHEN '1' THEN 1 END

SELECT COALESCE(NULL, (SELECT ssn FROM customers LIMIT 1))

SELECT ARRAY[(SELECT ssn FROM customers LIMIT 1)]

SELECT ROW((SELECT ssn FROM customers LIMIT 1), 2)

SELECT ((SELECT customers FROM customers LIMIT 1)).ssn

SELECT 1 = ANY (SELECT id FROM customers)

SELECT 1 = ANY (ARRAY(SELECT id FROM customers))

EXPLAIN (ANALYZE) WITH x AS (DELETE FROM customers RETURNING 1) SELECT 1

PREPARE p AS WITH x AS (DELETE FROM customers RETURNING 1) SELECT 1

DECLARE c CURSOR FOR SELECT * FROM customers FOR UPDATE

CREATE VIEW v AS WITH x AS (SELECT ssn FROM customers) SELECT * FROM x

INSERT INTO orders (note) VALUES ((SELECT ssn FROM customers LIMIT 1))

INSERT INTO orders (note) WITH x AS (SELECT ssn FROM customers) SELECT ssn FROM x

UPDATE orders SET note = 'x' WHERE id = (WITH x AS (DELETE FROM products RETURNING id) SELECT 1)

DELETE FROM orders WHERE id IN (SELECT id FROM customers)

COPY (SELECT ssn FROM customers) TO '/tmp/x' WITH (FORMAT csv)

BEGIN; UPDATE customers SET name = 'x'; COMMIT

SELECT 1;;; SELECT 2;

SELECT FROM WHERE

SELECT '

SELEC 1

SELECT 1 FROM pg_temp.customers

SELECT 1 FROM pg_temp_3.customers

SELECT 1 FROM pg_toast.pg_toast_16384

SELECT 1 FROM information_schema.tables

SELECT (information_schema._pg_expandarray(ARRAY[1])).n

SELECT * FROM customers WHERE ssn = '1' OR 1 = 1 LIMIT ALL

SELECT name FROM customers LIMIT NULL OFFSET 3

SELECT ssn(customers) FROM customers

SELECT "count"(ssn), pg_catalog.count(email), public.count(card) FROM customers

ALTER TABLE customers ALTER COLUMN name TYPE int USING audit_note(ssn)::int

SELECT name INTO leak FROM customers UNION SELECT ssn FROM customers UNION SELECT 'x'

SELECT * FROM (SELECT id FROM orders) q, products p FOR UPDATE OF q

CREATE TABLE pg_temp_3.customers AS SELECT 1 AS name; SELECT name FROM customers

CREATE TEMP TABLE t (a int); CREATE VIEW customers AS SELECT c.ssn AS name FROM public.customers c, t; SELECT name FROM customers

ALTER TABLE customers RENAME ssn TO x; ALTER TABLE customers RENAME name TO ssn; SELECT name FROM customers

CREATE OR REPLACE VIEW products AS SELECT id, ssn AS name FROM customers; SELECT name FROM products

CREATE TABLE IF NOT EXISTS customers (id int); SELECT name FROM customers; SELECT name FROM products

SET LOCAL ROLE admin; SELECT * FROM customers

SELECT * FROM customers \; DROP TABLE customers
