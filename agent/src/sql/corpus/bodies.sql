SELECT add_one(41)

SELECT add_one(length(ssn)) FROM customers

SELECT spent(id) FROM customers

SELECT atomic()

SELECT name, peek(id) FROM customers

SELECT * FROM peek(1) AS p

SELECT id FROM orders WHERE peek(id) LIKE '1%'

SELECT by_email('ada@example.org')

SELECT by_email(name) FROM customers

SELECT by_email($1)

SELECT overloaded(1)

SELECT stamp('x')

SELECT stamp(ssn) FROM customers

SELECT public.purge()

SELECT tell('123')

SELECT tell(ssn) FROM customers

SELECT any_text('DROP TABLE orders')

SELECT again(3)

SELECT elsewhere()

SELECT as_role()

SELECT outs(1)

CALL stamp('x')

INSERT INTO products (name) SELECT peek(1)

CREATE VIEW v AS SELECT add_one(id) FROM orders

CREATE TRIGGER t AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION keeps_rows()

CREATE TRIGGER t AFTER INSERT ON customers FOR EACH ROW EXECUTE FUNCTION keeps_rows()

EXPLAIN SELECT add_one(1)

DO $$ BEGIN PERFORM stamp('x'); PERFORM peek(1); END $$

CREATE FUNCTION fresh(a int) RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN SELECT count(*) INTO n FROM orders WHERE id = a; RETURN n; END $$

CREATE FUNCTION fresh() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT ssn FROM customers LIMIT 1); END $$

CREATE FUNCTION fresh() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP TABLE ' || 'orders'; END $$

CREATE FUNCTION fresh() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := lower(NEW.note); IF NEW.total < 0 THEN RAISE EXCEPTION 'no: %', NEW.total; END IF; RETURN NEW; END $$

CREATE OR REPLACE FUNCTION keeps_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit.log (message) VALUES (NEW.x); RETURN NEW; END $$

CREATE FUNCTION fresh() RETURNS SETOF text LANGUAGE sql SET search_path = audit AS 'SELECT message FROM log'

CREATE FUNCTION fresh() RETURNS int LANGUAGE sql SET role = admin AS 'SELECT 1'

CREATE FUNCTION fresh(a int DEFAULT audit_note('x')) RETURNS loud LANGUAGE sql AS 'SELECT 1'

CREATE PROCEDURE fresh() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM orders; COMMIT; END $$

CREATE FUNCTION fresh() RETURNS int LANGUAGE plpython3u AS 'return 1'

CREATE OR REPLACE FUNCTION add_one(n int) RETURNS int LANGUAGE sql AS 'SELECT 2'; SELECT add_one(1)

PREPARE p AS SELECT add_one(1)

DO $$ BEGIN CREATE OR REPLACE FUNCTION add_one(n int) RETURNS int LANGUAGE sql AS 'SELECT 2'; PERFORM pg_notify('x', add_one(1)::text); END $$
