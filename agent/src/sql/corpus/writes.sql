INSERT INTO orders (id, total) VALUES (1, 2)

INSERT INTO orders VALUES (1, 2, 3, 'x')

INSERT INTO orders DEFAULT VALUES

INSERT INTO orders (note) SELECT ssn FROM customers

INSERT INTO orders (note) SELECT 'x' FROM customers

INSERT INTO orders (id) VALUES (1) RETURNING id, note

INSERT INTO customers (ssn) VALUES ('1') RETURNING *

INSERT INTO orders (id, total) VALUES (1, 2) ON CONFLICT (id) DO NOTHING

INSERT INTO orders AS o (id, total) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET total = excluded.total WHERE o.total < 5

INSERT INTO orders (id, note) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET note = (SELECT ssn FROM customers LIMIT 1)

INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = customers.ssn

WITH s AS (SELECT ssn FROM customers) INSERT INTO orders (note) SELECT ssn FROM s

UPDATE customers SET name = 'x'

UPDATE customers SET name = 'x' WHERE id = 1

UPDATE ONLY customers SET name = 'x' WHERE id = 1

UPDATE customers SET ssn = ssn || '1' WHERE id = 1

UPDATE customers SET name = ssn WHERE id = 1

UPDATE orders o SET note = c.email FROM customers c WHERE c.id = o.customer_id RETURNING *

UPDATE orders SET (total, note) = (SELECT id, ssn FROM customers LIMIT 1) WHERE id = 1

UPDATE orders SET (total, note) = (1, 'x') WHERE id = 1

UPDATE orders SET note[1] = 'x' WHERE CURRENT OF c

UPDATE customers SET name = 'x' RETURNING old.ssn, new.name

UPDATE customers SET name = 'x' RETURNING WITH (OLD AS o) o.ssn

UPDATE pg_settings SET setting = 'off' WHERE name = 'standard_conforming_strings'

DELETE FROM customers

DELETE FROM customers WHERE id = 1

DELETE FROM ONLY customers

DELETE FROM orders USING customers c WHERE c.id = orders.customer_id AND c.ssn = '1'

DELETE FROM customers WHERE id = 1 RETURNING *

DELETE FROM nowhere

WITH gone AS (DELETE FROM customers RETURNING id) SELECT * FROM orders

WITH a AS (WITH b AS (SELECT 1) DELETE FROM orders RETURNING id) SELECT 1

WITH x AS (INSERT INTO orders (id) VALUES (1)) UPDATE customers SET name = 'x' WHERE id = 1

MERGE INTO orders o USING customers c ON o.customer_id = c.id WHEN MATCHED AND c.ssn = '1' THEN UPDATE SET note = c.ssn WHEN NOT MATCHED THEN INSERT (id, note) VALUES (c.id, 'x')

MERGE INTO orders o USING (SELECT 1 AS id) s ON o.id = s.id WHEN MATCHED THEN DELETE

MERGE INTO orders o USING products p ON o.id = p.id WHEN MATCHED THEN DO NOTHING RETURNING merge_action(), o.*

SELECT * INTO leak FROM customers

SELECT id, ssn INTO TEMP leak FROM customers

SELECT 1 AS a INTO UNLOGGED fresh

CREATE TABLE leak AS SELECT ssn FROM customers

CREATE TABLE fresh AS SELECT 1 AS a

CREATE TEMP TABLE t AS TABLE customers WITH NO DATA

CREATE MATERIALIZED VIEW mv AS SELECT email FROM customers

CREATE TABLE t AS EXECUTE p

CREATE TABLE fresh (id int, note text); INSERT INTO fresh VALUES (1, 'x'); SELECT * FROM fresh

CREATE TEMP TABLE fresh (id int); INSERT INTO fresh VALUES (1); SELECT id FROM fresh

DELETE FROM orders WHERE true

DELETE FROM orders WHERE 1 = 1 AND NOT coalesce(NULL, false) OR random() < 2

UPDATE orders SET note = 'x' WHERE $1

DELETE FROM orders WHERE id = id
