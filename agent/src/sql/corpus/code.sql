DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_class WHERE relname = 'mood') THEN CREATE TYPE mood AS ENUM ('a'); END IF; END $$

DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN NULL; END $$

DO LANGUAGE plpgsql 'BEGIN UPDATE orders SET note = ''x'' WHERE id = 1; END'

DO LANGUAGE plperl 'system("id")'

DO $$ DECLARE r record; n int := 0; BEGIN FOR r IN SELECT id, email FROM customers LOOP UPDATE orders SET note = 'seen' WHERE customer_id = r.id; n := n + 1; END LOOP; RAISE NOTICE '% rows', n; END $$

DO $$ DECLARE r record; BEGIN FOR r IN SELECT id, email FROM customers LOOP UPDATE orders SET note = r.email WHERE customer_id = r.id; END LOOP; END $$

DO $$ DECLARE r record; BEGIN FOR r IN SELECT id, ssn FROM customers LOOP UPDATE orders SET note = 'seen' WHERE note = r.ssn; END LOOP; END $$

DO $$ DECLARE v text; w text; BEGIN w := v; SELECT ssn INTO v FROM customers WHERE id = 1; INSERT INTO audit.log (message) VALUES (w); END $$

DO $$ DECLARE v customers; BEGIN SELECT * INTO STRICT v FROM customers WHERE id = 1; RAISE NOTICE '%', v.card; END $$

DO $$ DECLARE v customers := (SELECT c FROM customers c LIMIT 1); BEGIN INSERT INTO audit.log (message) VALUES (v::text); END $$

DO $$ DECLARE v customers.ssn%TYPE DEFAULT audit_note('x'); w loud; BEGIN NULL; END $$

DO $$ BEGIN IF (SELECT ssn FROM customers WHERE id = 1) LIKE '1%' THEN PERFORM 1; END IF; END $$

DO $$ BEGIN IF EXISTS (SELECT 1 FROM customers WHERE email = 'ada@example.org') THEN PERFORM 1; END IF; END $$

DO $$ BEGIN WHILE (SELECT length(card) FROM customers LIMIT 1) > 3 LOOP EXIT WHEN true; END LOOP; END $$

DO $$ BEGIN FOR i IN 1 .. (SELECT substr(ssn, 1, 1)::int FROM customers LIMIT 1) LOOP PERFORM pg_sleep(1); END LOOP; END $$

DO $$ DECLARE v text; BEGIN CASE (SELECT ssn FROM customers LIMIT 1) WHEN '1', '2' THEN v := 'a'; ELSE v := 'b'; END CASE; END $$

DO $$ BEGIN PERFORM ssn::int FROM customers; EXCEPTION WHEN others THEN RAISE NOTICE '%', sqlerrm; END $$

DO $$ DECLARE m text; BEGIN INSERT INTO customers (ssn) VALUES ('1'); EXCEPTION WHEN unique_violation THEN GET STACKED DIAGNOSTICS m = PG_EXCEPTION_DETAIL; INSERT INTO orders (note) VALUES (m); END $$

DO $$ BEGIN EXECUTE 'DROP TABLE orders'; END $$

DO $$ BEGIN EXECUTE 'DROP TABLE ' || 'orders'; END $$

DO $$ BEGIN EXECUTE format('ALTER TABLE %I ADD x int', 'orders'); END $$

DO $$ DECLARE v text; BEGIN EXECUTE 'SELECT ssn FROM customers WHERE id = $1' INTO v USING 1; PERFORM set_config('a.b', v, false); END $$

DO $$ DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT ' || 'ssn FROM customers' LOOP NULL; END LOOP; END $$

DO $$ DECLARE c CURSOR (k int) FOR SELECT ssn FROM customers WHERE id = k; v text; BEGIN OPEN c(1); FETCH NEXT FROM c INTO v; CLOSE c; INSERT INTO orders (note) VALUES (v); END $$

DO $$ DECLARE c CURSOR FOR SELECT ssn FROM customers; BEGIN FOR r IN c LOOP INSERT INTO orders (note) VALUES (r.ssn); END LOOP; END $$

DO $$ DECLARE c refcursor := 'mine'; v text; BEGIN FETCH c INTO v; INSERT INTO orders (note) VALUES (v); END $$

DO $$ DECLARE c refcursor; BEGIN OPEN c FOR SELECT ssn FROM customers; END $$

DO $$ DECLARE a text[]; x text; BEGIN a[1] := (SELECT ssn FROM customers LIMIT 1); FOREACH x IN ARRAY a LOOP UPDATE orders SET note = x; END LOOP; END $$

DO $$ DECLARE x text; BEGIN x := ssn FROM customers WHERE id = 1; PERFORM pg_notify('c', x); END $$

DO $$ BEGIN ALTER TABLE orders ADD COLUMN fresh int; UPDATE orders SET fresh = 1; END $$

DO $$ BEGIN CREATE TABLE fresh AS SELECT id FROM orders; INSERT INTO fresh SELECT 1; PERFORM id FROM fresh; END $$

DO $$ BEGIN CREATE TEMP TABLE scratch (id int); END $$

DO $$ BEGIN SET search_path = audit; PERFORM * FROM log; END $$

DO $$ BEGIN DELETE FROM orders; COMMIT; DELETE FROM products; ROLLBACK AND CHAIN; END $$

DO $$ BEGIN PREPARE p AS SELECT 1; END $$

DO $$ BEGIN SELECT 1; END $$ LANGUAGE plpgsql

DO $$ <<one>> DECLARE v text; BEGIN <<two>> DECLARE v int; BEGIN one.v := (SELECT card FROM customers LIMIT 1); INSERT INTO orders (note) VALUES (one.v); END two; END one $$

DO $$ #variable_conflict use_variable
DECLARE name text; BEGIN SELECT ssn INTO name FROM customers WHERE id = 1; INSERT INTO orders (note) SELECT name FROM products; END $$

DO $$ BEGIN ASSERT (SELECT count(*) FROM orders) > 0, 'none'; RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = (SELECT card FROM customers LIMIT 1); END $$

DO $$ BEGIN CALL audit_note('x'); DO 'BEGIN DELETE FROM orders; END'; END $$

DO $$ DECLARE a ALIAS FOR $1; BEGIN NULL; END $$

DO $$ BEGIN BEGIN BEGIN NULL; END; END; END; garbage $$

DO $$ BEGIN UPDATE nowhere SET a = 1; END $$

DO $$ BEGIN RETURN; END $$; SELECT name FROM customers

DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM orders) THEN ALTER TABLE orders ADD COLUMN fresh int; END IF; PERFORM id FROM orders; END $$

DO $$ BEGIN LOOP PERFORM note FROM orders WHERE id = 1; ALTER TABLE orders RENAME COLUMN note TO other; END LOOP; END $$
