"""asyncpg: binary format and prepared statements throughout."""
import asyncio
import io

import asyncpg

SLOW = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b"


async def refused(connection, statement):
    try:
        await connection.execute(statement)
    except asyncpg.PostgresError as error:
        return error.sqlstate
    return "nothing"


async def cancelled(connection):
    """asyncpg sends a cancel request when its caller gives up."""
    try:
        await connection.fetchval(SLOW, timeout=0.5)
    except asyncio.TimeoutError:
        await connection.fetchval("select 1")
        return "57014"
    return "nothing"


async def main():
    connection = await asyncpg.connect()
    print("connect", await connection.fetchval("select current_database()"))
    rows = await connection.fetch("select id, name from customers order by id limit 3")
    print("query", *(f"{row['id']}:{row['name']}" for row in rows))
    print("email", await connection.fetchval("select email from customers where id = $1", 1))

    statement = await connection.prepare("select name from customers where id = $1")
    print("prepared", await statement.fetchval(1), await statement.fetchval(2))

    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("insert into orders (customer_id, item, amount) values (1, 'rolled back', 1)")
    await transaction.rollback()
    before = await connection.fetchval("select count(*) from orders")
    async with connection.transaction():
        await connection.execute("insert into orders (customer_id, item, amount) values ($1, $2, 1)", 1, "matrix")
    print("transaction", before, await connection.fetchval("select count(*) from orders"))
    await connection.execute("delete from orders where item = 'matrix'")

    await connection.copy_records_to_table("imports", records=[(1, "one"), (2, "two"), (3, "three")])
    copied = await connection.fetchval("select count(*) from imports")
    out = io.BytesIO()
    await connection.copy_from_query("select * from imports", output=out)
    print("copy", copied, len(out.getvalue().splitlines()))
    await connection.execute("delete from imports where id > 0")

    print("cancel", await cancelled(connection))
    print("denial", await refused(connection, "drop database shop"), await connection.fetchval("select 1"))

    await connection.execute("begin")
    first = await refused(connection, "truncate salaries")
    second = await refused(connection, "select 1")
    await connection.execute("rollback")
    print("denial-in-transaction", first, second, await connection.fetchval("select 1"))
    await connection.close()


asyncio.run(main())
