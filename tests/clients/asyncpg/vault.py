"""Reads every column of the vault in binary: one line each, format, column and what the driver made of it."""
import asyncio

import asyncpg


async def main():
    connection = await asyncpg.connect()
    statement = await connection.prepare("select * from vault where id = 0")
    for name in [attribute.name for attribute in statement.get_attributes()]:
        value = await connection.fetchval(f"select {name} from vault where id = $1", 7)
        print("binary", name, type(value).__name__, value, sep="\t")
    row = await connection.fetchrow("select row(n8, words) as r, array_agg(n8) over () as a from vault v")
    print("binary", "record", type(row["r"]).__name__, tuple(row["r"]), sep="\t")
    print("binary", "aggregate", type(row["a"]).__name__, row["a"], sep="\t")
    await connection.close()


asyncio.run(main())
