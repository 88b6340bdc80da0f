SELECT name FROM customers WHERE ssn = '1'

SELECT name FROM customers WHERE '1' = ssn AND NOT (email <> lower($1)) OR id = 3

SELECT name FROM customers WHERE lower(email) = 'x' AND email::text = $1 AND (ssn, id) = ('1', 2)

SELECT name FROM customers WHERE ssn IN ('1', '2') AND email = ANY ($1) AND card <> ALL ('{1,2}')

SELECT name FROM customers WHERE ssn IS NULL AND email IS NOT NULL

SELECT name FROM customers WHERE ssn IS DISTINCT FROM '1'

SELECT name FROM customers WHERE ssn LIKE '1%'

SELECT name FROM customers WHERE ssn > '1'

SELECT name FROM customers WHERE substr(ssn, 1, 1) = '1'

SELECT name FROM customers WHERE nullif(ssn, '1') IS NULL

SELECT name FROM customers WHERE ssn = (SELECT note FROM orders LIMIT 1)

SELECT name FROM customers WHERE ssn = ANY (SELECT note FROM orders)

SELECT name FROM customers WHERE ssn IN ('1', (SELECT max(note) FROM orders))

SELECT name FROM customers WHERE ssn = name

SELECT name FROM customers WHERE ssn = generate_series(1, 9)::text

SELECT name FROM customers WHERE (ssn LIKE '1%') IS TRUE

SELECT name FROM customers c WHERE c = ROW(1, 'a', 'b', 'c', 'd')

SELECT name FROM customers c WHERE c.* IS NULL

SELECT name FROM customers c WHERE c::text LIKE '%1%'

SELECT name FROM customers WHERE EXISTS (SELECT 1 FROM customers i WHERE i.ssn < customers.ssn)

SELECT name FROM customers WHERE id IN (SELECT id FROM customers WHERE email = 'x')

SELECT name FROM (SELECT name, ssn LIKE '1%' AS hit FROM customers) q WHERE hit

SELECT name FROM (SELECT name, left(ssn, 1) AS digit FROM customers) q WHERE digit = '1'

SELECT name FROM (SELECT name, ssn AS digit FROM customers) q WHERE digit = '1'

WITH q AS (SELECT id, ssn FROM customers) SELECT count(*) FROM q WHERE ssn = '1'

SELECT name FROM customers ORDER BY ssn

SELECT name, ssn FROM customers ORDER BY 2

SELECT name, ssn AS s FROM customers ORDER BY s

SELECT name, id AS ssn FROM customers ORDER BY ssn

SELECT name FROM customers ORDER BY id, name

SELECT name FROM customers UNION ALL SELECT ssn FROM customers ORDER BY 1

SELECT name, row_number() OVER (ORDER BY ssn) FROM customers

SELECT name, count(*) OVER (PARTITION BY ssn) FROM customers

SELECT name, count(*) OVER w FROM customers WINDOW w AS (PARTITION BY email ORDER BY ssn)

SELECT array_agg(id ORDER BY ssn) FROM customers

SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ssn) FROM customers

SELECT count(*) FROM customers GROUP BY ssn

SELECT count(*), left(ssn, 1) AS digit FROM customers GROUP BY digit

SELECT count(*) FROM customers GROUP BY GROUPING SETS ((ssn), (), (id, email))

SELECT count(*) FROM customers HAVING min(ssn) > '5'

SELECT DISTINCT ssn FROM customers

SELECT DISTINCT id, name FROM customers

SELECT DISTINCT ON (ssn) name FROM customers

SELECT ssn FROM customers UNION SELECT '1'

SELECT ssn FROM customers UNION ALL SELECT '1'

SELECT ssn FROM customers INTERSECT SELECT '1'

SELECT ssn FROM customers EXCEPT ALL SELECT '1'

SELECT count(*) FILTER (WHERE ssn LIKE '1%') FROM customers

SELECT count(DISTINCT ssn) FROM customers

SELECT count(ssn), count(*), count(c) FROM customers c

SELECT count(nullif(ssn, '1')), count(substring(email FROM '^a')) FROM customers

SELECT count(ssn LIKE '1%' OR NULL) FROM customers

SELECT CASE WHEN ssn LIKE '1%' THEN 1 / 0 END FROM customers

SELECT CASE ssn WHEN '1' THEN pg_sleep(5) END FROM customers

SELECT CASE left(ssn, 1) WHEN '1' THEN 1 END FROM customers

SELECT CASE WHEN ssn IS NULL THEN 'no' ELSE 'yes' END FROM customers

SELECT 1 / (ssn = '1')::int FROM customers

SELECT 1 / position('1' IN ssn), 1 % length(ssn) FROM customers

SELECT pg_sleep(length(ssn)) FROM customers

SELECT ssn = '1', email LIKE 'a%' FROM customers

SELECT repeat('x', (ssn = '1')::int * 1000000) FROM customers

SELECT generate_series(1, length(ssn)) FROM customers

SELECT 1 FROM customers c, generate_series(1, length(c.ssn))

SELECT 1 FROM customers c, regexp_split_to_table(c.ssn, '1')

SELECT 1 FROM customers c, unnest(ARRAY[c.ssn])

SELECT 1 FROM customers c, unnest(string_to_array(c.ssn, '1'))

SELECT 1 FROM customers c, json_each(to_json(c))

SELECT 1 FROM customers c, JSON_TABLE(to_json(c.ssn), '$[*]' COLUMNS (a int))

SELECT name FROM customers LIMIT (SELECT length(ssn) FROM customers LIMIT 1)

SELECT name FROM customers OFFSET (SELECT count(*) FROM customers WHERE ssn = '1')

SELECT 1 FROM products TABLESAMPLE bernoulli ((SELECT length(ssn) FROM customers LIMIT 1))

SELECT 1 FROM customers JOIN orders ON ssn = note

SELECT 1 FROM customers a JOIN customers b USING (ssn)

SELECT 1 FROM customers a NATURAL JOIN (SELECT '1' AS ssn) b

SELECT 1 FROM customers a JOIN orders o ON o.customer_id = a.id AND a.email = 'x'

SELECT 1 FROM customers a LEFT JOIN LATERAL (SELECT 1 WHERE a.ssn < '5') b ON true

UPDATE orders SET note = 'x' FROM customers c WHERE c.id = orders.customer_id AND c.ssn < '5'

UPDATE customers SET name = 'x' WHERE ssn LIKE '1%'

UPDATE customers SET name = CASE WHEN ssn LIKE '1%' THEN 'a' ELSE 'b' END WHERE id = 1

DELETE FROM customers WHERE email = $1

DELETE FROM orders USING customers c WHERE c.ssn = orders.note

INSERT INTO customers (id, email) VALUES (1, 'x') ON CONFLICT (email) DO NOTHING

INSERT INTO customers (id, email) VALUES (1, 'x') ON CONFLICT DO NOTHING

INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT DO NOTHING

INSERT INTO customers (email) SELECT note FROM orders ON CONFLICT (email) DO NOTHING

INSERT INTO customers (email) VALUES ('x') ON CONFLICT (lower(email)) DO UPDATE SET name = 'y' WHERE customers.ssn > '5'

MERGE INTO customers c USING orders o ON c.ssn = o.note WHEN MATCHED AND c.email LIKE 'a%' THEN UPDATE SET name = 'x'

COPY (SELECT id FROM customers WHERE ssn LIKE '1%') TO STDOUT

EXPLAIN SELECT 1 FROM customers WHERE ssn < '5'

PREPARE p AS SELECT 1 FROM customers WHERE ssn < '5'; EXECUTE p

DECLARE c CURSOR FOR SELECT 1 FROM customers WHERE ssn < '5'

CREATE TEMP TABLE t AS SELECT id FROM customers WHERE ssn < '5'

CREATE INDEX i ON customers (ssn) WHERE email LIKE 'a%'

CREATE INDEX i ON customers ((1 / length(ssn)))

WITH RECURSIVE r AS (SELECT id, ssn FROM customers UNION SELECT id, ssn FROM r) SELECT id FROM r

SELECT audit_note(name) FROM customers WHERE audit_note(name) = 'x'

SELECT name FROM customers WHERE name = 'x' ORDER BY id LIMIT 3

SELECT substr(ssn, 1, 4)::text, reverse(ssn), upper(email), email || '', ssn::char(4), ssn::text, max(ssn) FROM customers

SELECT row_to_json(c), json_build_object('a', ssn), json_build_object(ssn, 1), ARRAY[ssn], c, c::text, string_agg(ssn, '') FROM customers c

SELECT coalesce(email, ''), (SELECT ssn), ROW(ssn, 1), nullif(ssn, ''), greatest(ssn, ''), to_jsonb(substr(ssn, 1)) FROM customers

SELECT coalesce(nullif(left(ssn, 1), '1'), nextval('orders_id_seq')::text) FROM customers

SELECT coalesce(ssn, upper(name)), coalesce(left(ssn, 1), name, 'x') FROM customers

SELECT ssn LIKE '1%' AND 1 / (id - 1) = 1 FROM customers

SELECT ssn LIKE '1%' OR email = 'x' OR name IS NULL FROM customers

SELECT left(ssn, 1) BETWEEN '1' AND (1 / id)::text, left(ssn, 1) IN ('1', (1 / id)::text) FROM customers

SELECT ssn IN ('1', '2'), ssn BETWEEN '1' AND name FROM customers

SELECT ssn IN (SELECT nextval('orders_id_seq')::text || name) FROM customers

SELECT json_value(to_jsonb(ssn), '$ ? (@ > 1)' DEFAULT nextval('orders_id_seq')::text ON EMPTY) FROM customers

SELECT json_value(to_jsonb(ssn), '$' ERROR ON EMPTY), json_value(to_jsonb(ssn), '$' DEFAULT 'x' ON ERROR) FROM customers

SELECT json_object(left(ssn, 1): 1, '1': 1 WITH UNIQUE KEYS) FROM customers

SELECT information_schema._pg_expandarray(array_remove(ARRAY[ssn LIKE '1%'], false)) FROM customers

CLUSTER customers USING customers_ssn

CLUSTER orders USING orders_pkey
