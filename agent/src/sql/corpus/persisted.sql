CREATE VIEW v AS SELECT id, name FROM customers

CREATE VIEW v AS SELECT id, email FROM customers

CREATE RULE r AS ON INSERT TO orders DO ALSO INSERT INTO products (name) SELECT ssn FROM customers

CREATE RULE r AS ON UPDATE TO customers WHERE old.ssn LIKE '1%' DO INSTEAD NOTHING

CREATE RULE r AS ON SELECT TO orders DO INSTEAD SELECT ssn FROM customers

CREATE TRIGGER t BEFORE UPDATE ON customers FOR EACH ROW WHEN (old.ssn < '5') EXECUTE FUNCTION audit_note()

CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION audit_note()

CREATE POLICY p ON customers USING (ssn LIKE '1%')

CREATE POLICY p ON customers USING (name = current_user)

CREATE FUNCTION f(cid int) RETURNS text LANGUAGE sql AS 'SELECT ssn FROM customers WHERE id = cid'

CREATE FUNCTION f(cid int) RETURNS text LANGUAGE sql AS 'SELECT note FROM orders WHERE customer_id = cid AND id > $1'

CREATE FUNCTION f() RETURNS text BEGIN ATOMIC SELECT email FROM customers; END

CREATE FUNCTION f(a text) RETURNS text RETURN lower(a)

CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'

CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM orders; SELECT 1'

CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'not sql'

ALTER TABLE customers RENAME COLUMN ssn TO harmless

ALTER TABLE customers RENAME COLUMN name TO harmless

ALTER TABLE customers RENAME TO harmless

ALTER TABLE orders RENAME TO purchases

ALTER TABLE customers SET SCHEMA audit

ALTER SCHEMA public RENAME TO private

ALTER SCHEMA audit RENAME TO private

ALTER TABLE orders DETACH PARTITION customers

ALTER TABLE customers NO INHERIT orders

ALTER TABLE customers ADD CONSTRAINT c CHECK (ssn NOT LIKE '1%')

ALTER TABLE orders ADD CONSTRAINT c CHECK (total > 0)

ALTER TABLE customers ADD CONSTRAINT c FOREIGN KEY (ssn) REFERENCES orders (note)

CREATE TABLE fresh (a text REFERENCES customers (ssn))

SELECT setval('s', ssn::bigint) FROM customers

SELECT pg_advisory_lock(hashtext(ssn)), pg_try_advisory_xact_lock(1) FROM customers

SELECT setseed(length(ssn)) FROM customers

SELECT lo_from_bytea(0, ssn::bytea) FROM customers

SELECT audit_note(ssn) FROM customers

SELECT crypto.digest(ssn, 'sha256'), similarity(email, 'x') FROM customers

SELECT name FROM customers WHERE similarity(name, 'x') > 0.5

SELECT name <~> 'x' FROM customers WHERE name <~> 'x' AND ssn <~> 'y'

SELECT name FROM customers ORDER BY name USING <~>

SELECT name::loud, ssn::loud FROM customers

SELECT (c).nothing, (c).name FROM customers c

SELECT (o).lower, o.nothing FROM orders o

INSERT INTO orders (note) SELECT name FROM customers RETURNING (SELECT max(ssn) FROM customers)

ALTER TABLE customers ADD EXCLUDE USING btree ((audit_note(ssn)) WITH =)

ALTER TABLE customers ADD EXCLUDE USING btree (ssn WITH <~>)

ALTER DOMAIN loud ADD CHECK (audit_note(value))

ALTER DOMAIN loud ADD CHECK (value > 'a')

ALTER DOMAIN loud SET DEFAULT 'x'

BEGIN; CREATE CAST (text AS loud) WITH FUNCTION noted(text); SELECT ssn::varchar FROM customers; COMMIT

BEGIN; CREATE OPERATOR public.&&& (FUNCTION = noted, RIGHTARG = text); SELECT name FROM customers; SELECT name FROM customers WHERE &&& ssn; COMMIT

BEGIN; CREATE DOMAIN heard AS text CHECK (audit_note(value)); INSERT INTO customers (id, ssn) VALUES (1, '1'); UPDATE orders SET note = 'x' WHERE id = 1; COMMIT

BEGIN; CREATE TYPE mood AS ENUM ('a'); SELECT ssn FROM customers; COMMIT

SELECT ssn::loud, name FROM customers

SELECT ssn <~> 'x' FROM customers

SELECT name FROM customers WHERE ssn <~> 'x'
