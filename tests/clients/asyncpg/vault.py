"""Reads every column of the vault in binary: one line each, format, column and what the driver made of it."""
import asyncio

import asyncpg


async def main():
    connection = await asyncpg.connect()
    statement = await connection.prepare("select * from vault where id = 0")
    for name in [attribute.name for attribute in statement.get_attributes()]:
        value = await connection.fetchval(f"select {name} from vault where id = $1", 7)
        print("binary", name, type(value).__name__, value, sep="\t")
    # What is computed from masked columns is NULL, whatever its type.
    row = await connection.fetchrow("select row(n8, words), array_agg(n8) over (), row_to_json(v) from vault v")
    print("binary", "computed", "tuple", tuple(row), sep="\t")
    await connection.close()


asyncio.run(main())
