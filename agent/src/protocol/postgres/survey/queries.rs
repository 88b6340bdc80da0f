//! What the server is asked for. Everything is named with its schema, whatever the path.

/// Everything that can be named in a FROM clause, with its columns. Toast tables and indexes are left out,
/// so that statements which name them stay unknown.
pub const RELATIONS: &str = "
    SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
           array_remove(array_agg(a.attnum ORDER BY a.attnum), NULL),
           array_remove(array_agg(a.attname::text ORDER BY a.attnum), NULL)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    GROUP BY 1, 2, 3, 4";

/// Which columns a view's definition uses. What is made in single-user mode has identifiers below those of users, so
/// that the schema has a say too; column zero is the whole row. A function that may read tables by
/// itself is told by relation zero.
pub const VIEWS: &str = "
    SELECT DISTINCT r.ev_class, d.refobjid, d.refobjsubid
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
    WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> r.ev_class
      AND (r.ev_class >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema'))
    UNION
    SELECT DISTINCT r.ev_class, 0::oid, 0
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
    JOIN pg_catalog.pg_proc p ON d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = p.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE (p.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema')) AND p.provolatile <> 'i'";

/// Which table's rows show through which other: inheritance and partitions.
pub const CHILDREN: &str = "SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits";

/// Comments of relations and their columns that may give classes.
pub const COMMENTS: &str = "
    SELECT objoid, objsubid::smallint, description FROM pg_catalog.pg_description
    WHERE classoid = 'pg_catalog.pg_class'::regclass AND description LIKE '%@class%'";

/// Everything that does not come with the server: extensions put functions into `pg_catalog` too.
pub const FUNCTIONS: &str = "
    SELECT p.proname::text, n.nspname::text,
           -- Made by an extension, and the same for the same arguments. Whoever owns an extension may add functions of
           -- their own to it, but none in C.
           bool_and(p.provolatile = 'i' AND d.objid IS NOT NULL
                    AND (l.lanname IN ('c', 'internal') OR l.lanname = 'sql' AND coalesce(r.rolsuper, false)))
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    LEFT JOIN pg_catalog.pg_roles r ON r.oid = p.proowner
    LEFT JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    WHERE n.nspname <> 'pg_catalog' OR p.oid >= 16384
    GROUP BY 1, 2";

/// Functions that run when an operator is written, in either direction of a comparison and of either meaning.
pub const OPERATORS: &str = "
    SELECT DISTINCT o.oprname::text, n.nspname::text, p.proname::text
    FROM pg_catalog.pg_operator o
    JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// Functions that run when a value becomes one of a type: casts, the input of types, and the checks of domains.
pub const CASTS: &str = "
    SELECT DISTINCT t.typname::text, n.nspname::text, p.proname::text
    FROM (SELECT casttarget AS type, castfunc AS function FROM pg_catalog.pg_cast
          UNION SELECT oid, typinput::oid FROM pg_catalog.pg_type
          UNION SELECT o.contypid, d.refobjid
          FROM pg_catalog.pg_constraint o
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = o.oid
          WHERE o.contypid <> 0 AND d.refclassid = 'pg_catalog.pg_proc'::regclass) c
    JOIN pg_catalog.pg_type t ON t.oid = c.type
    JOIN pg_catalog.pg_proc p ON p.oid = c.function
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema')";

/// Every function that does not come with the server, with how it is made where that can be read. What one statement of
/// the server's own does not call is left out: aggregates, windows, trusted extensions' code.
pub const ROUTINES: &str = "
    SELECT n.nspname::text, p.proname::text,
           CASE WHEN l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p')
                 AND octet_length(p.prosrc) <= $1::bigint
                 AND sum(octet_length(p.prosrc)) OVER (ORDER BY p.oid) <= $2::bigint
                THEN pg_catalog.pg_get_functiondef(p.oid) END
    FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE (n.nspname <> 'pg_catalog' OR p.oid >= 16384) AND n.nspname <> 'information_schema'
    ORDER BY p.oid
    LIMIT $3::bigint";

/// Whether a transaction of anybody is about to make functions anew.
pub const MAKING: &str = "
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
        WHERE d.datname = pg_catalog.current_database() AND l.relation = 'pg_catalog.pg_proc'::regclass
          AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))";

/// Functions that run on columns of a relation by themselves: casts of or to the type of a column that need not be
/// written, where the type is no server's own or both are.
pub const IMPLICIT: &str = "
    SELECT DISTINCT a.attrelid, n.nspname::text, p.proname::text
    FROM pg_catalog.pg_cast k
    JOIN pg_catalog.pg_attribute a ON a.attnum > 0 AND NOT a.attisdropped
     AND (a.atttypid = k.castsource AND (k.castsource >= 16384 OR k.casttarget < 16384)
          OR a.atttypid = k.casttarget AND (k.casttarget >= 16384 OR k.castsource < 16384))
    JOIN pg_catalog.pg_proc p ON p.oid = k.castfunc
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE k.castcontext IN ('i', 'a') AND (p.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema'))";

/// The queries of views, from which the classes of their columns follow.
pub const DEFINITIONS: &str = "
    SELECT c.oid, coalesce(pg_catalog.pg_get_viewdef(c.oid), '')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm') AND (c.oid >= 16384 OR n.nspname NOT IN ('pg_catalog', 'information_schema'))";

/// How long the queries of views are waited for. The server reads them under locks on the views and all that they read,
/// which whoever alters one of these holds until the end of a transaction: perhaps the very session that is waiting for this
/// survey.
pub const LOCKS: &str = "SET lock_timeout = '500ms'";

pub const DATABASE: &str = "
    SELECT d.oid, pg_catalog.current_setting('server_version_num')::int / 10000, current_user <> session_user
    FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()";

pub const SEARCH_PATH: &str = "
    SELECT s.name::text
    FROM unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS s (name, position)
    WHERE s.name::text !~ '^pg_temp_' ORDER BY s.position";

/// The schemas that the user may look into, and the user.
pub const SCHEMAS: &str = "
    SELECT n.nspname::text, current_user::text
    FROM pg_catalog.pg_namespace n WHERE pg_catalog.has_schema_privilege(n.oid, 'USAGE')";
