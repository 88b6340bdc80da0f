"""psycopg 3, as its documentation shows it."""
import threading

import psycopg
from psycopg import errors

SLOW = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b"


def count(connection):
    return connection.execute("select count(*) from orders").fetchone()[0]


def refused(connection, statement):
    try:
        connection.execute(statement)
    except errors.Error as error:
        return error.sqlstate
    return "nothing"


with psycopg.connect(autocommit=True) as connection:
    print("connect", connection.execute("select current_database()").fetchone()[0])
    rows = connection.execute("select id, name from customers order by id limit 3").fetchall()
    print("query", *(f"{number}:{name}" for number, name in rows))
    print("email", connection.execute("select email from customers where id = %s", (1,)).fetchone()[0])

    prepared = "select name from customers where id = %s"
    print("prepared", *(connection.execute(prepared, (n,), prepare=True).fetchone()[0] for n in (1, 2)))

    try:
        with connection.transaction():
            connection.execute("insert into orders (customer_id, item, amount) values (1, 'rolled back', 1)")
            raise InterruptedError
    except InterruptedError:
        before = count(connection)
    with connection.transaction():
        connection.execute("insert into orders (customer_id, item, amount) values (%s, %s, %s)", (1, "matrix", 1))
    print("transaction", before, count(connection))
    connection.execute("delete from orders where item = 'matrix'")

    cursor = connection.cursor()
    with cursor.copy("copy imports (id, label) from stdin") as copy:
        for row in ((1, "one"), (2, "two"), (3, "three")):
            copy.write_row(row)
    copied = connection.execute("select count(*) from imports").fetchone()[0]
    with cursor.copy("copy imports to stdout") as copy:
        print("copy", copied, len(list(copy.rows())))
    connection.execute("delete from imports where id > 0")

    threading.Timer(0.5, connection.cancel).start()
    print("cancel", refused(connection, SLOW))

    print("denial", refused(connection, "drop database shop"), connection.execute("select 1").fetchone()[0])

    connection.execute("begin")
    first = refused(connection, "truncate salaries")
    second = refused(connection, "select 1")
    connection.execute("rollback")
    print("denial-in-transaction", first, second, connection.execute("select 1").fetchone()[0])
