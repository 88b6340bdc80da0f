SELECT lower(email) FROM customers

SELECT row_to_json(c) FROM customers c

SELECT c.row_to_json FROM customers c

SELECT (c).row_to_json FROM customers c

SELECT to_jsonb(customers) FROM customers

SELECT json_agg(x) FROM (SELECT id, ssn FROM customers) x

SELECT ROW(c.*) FROM customers c

SELECT ssn || name FROM customers

SELECT 'a' || id FROM customers

SELECT length(name) FROM customers WHERE ssn IS NOT NULL

SELECT x FROM (SELECT ssn || '' FROM customers) q (x)

SELECT q."?column?" FROM (SELECT ssn || '', name FROM customers) q

SELECT id FROM (SELECT id, ssn || '' FROM customers) q

SELECT a.x FROM (SELECT name AS x FROM customers) a, (SELECT ssn AS x FROM customers) b

SELECT x FROM (SELECT name AS x FROM customers) a, (SELECT ssn AS x FROM customers) b

SELECT (SELECT ssn) FROM customers

SELECT (SELECT c.ssn FROM orders o LIMIT 1) FROM customers c

SELECT (SELECT name FROM products LIMIT 1) FROM customers

SELECT nothing FROM customers

SELECT c.nothing FROM customers c

SELECT z.ssn FROM customers c

SELECT audit_note(name) FROM customers

SELECT c.audit_note FROM customers c

SELECT digest(ssn, 'sha256') FROM customers

SELECT crypto.digest(ssn, 'sha256') FROM customers

SELECT query_to_xml('select ssn from customers', true, false, '')

SELECT table_to_xml('customers', true, false, '')

SELECT dblink('dbname=shop', 'select ssn from customers')

SELECT pg_read_file('/etc/passwd'), lo_get(1), pg_ls_dir('.')

SELECT * FROM ts_stat('select to_tsvector(ssn) from customers')

SELECT otherdb.public.f(1)

SELECT set_config('application_name', ssn, false) FROM customers

SELECT set_config('work_mem', '4MB', true)

SELECT set_config('search_path', '', false)

SELECT set_config('standard_conforming_strings', 'off', false)

SELECT set_config(name, '1', false) FROM pg_settings

SELECT pg_notify('channel', ssn) FROM customers

SELECT pg_notify('channel', 'hello')

SELECT count(c) FROM customers c

SELECT array_agg(ssn) FROM customers

SELECT unnest(array_agg(ssn)) FROM customers

SELECT * FROM customers c, LATERAL (SELECT c.ssn AS s) l

SELECT l.s FROM customers c, LATERAL (SELECT c.ssn AS s) l

SELECT u FROM customers c, unnest(ARRAY[c.ssn]) u

SELECT f.* FROM customers c, json_each(to_json(c)) f

SELECT k FROM customers c CROSS JOIN LATERAL jsonb_object_keys(to_jsonb(c)) AS k

WITH d AS (DELETE FROM customers WHERE id = 1 RETURNING ssn) SELECT ssn FROM d

WITH d AS (UPDATE customers SET name = 'x' WHERE id = 1 RETURNING *) SELECT id FROM d

WITH t AS MATERIALIZED (SELECT ssn AS a, name AS b FROM customers) SELECT b FROM t

WITH RECURSIVE t (a, b) AS (SELECT name, ssn FROM customers UNION SELECT b, a FROM t) SELECT a FROM t

WITH RECURSIVE t AS (SELECT id, ssn FROM customers) SEARCH DEPTH FIRST BY ssn SET o SELECT o FROM t

SELECT id FROM customers INTERSECT SELECT id FROM orders

SELECT * FROM (SELECT * FROM customers UNION ALL SELECT 1, 'a', 'b', 'c', 'd') u

SELECT u.name FROM (SELECT * FROM customers UNION ALL SELECT 1, 'a', 'b', 'c', 'd') u

SELECT a FROM (SELECT ssn, name FROM customers UNION ALL SELECT 'x', 'y') u (a, b)

SELECT * FROM (SELECT email FROM customers) a JOIN (SELECT email FROM customers) b USING (email)

SELECT customers.name FROM customers JOIN orders ON customers.ssn = orders.note

SELECT GROUPING(ssn), name FROM customers GROUP BY ROLLUP (ssn, name)

SELECT (ARRAY[ssn, name])[1] FROM customers

SELECT ssn IS NULL, ssn = '1', NOT (ssn = '2') FROM customers

SELECT ssn IN ('1', '2') FROM customers

SELECT id FROM customers ORDER BY ssn

SELECT 1 FROM customers WHERE ssn = '1'

SELECT "Weird Table" FROM "Weird Table"
