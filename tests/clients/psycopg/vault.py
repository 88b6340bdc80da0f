"""Reads every column of the vault in both formats: one line each, format, column and what the driver made of it."""
import psycopg

with psycopg.connect(autocommit=True) as connection:
    for binary in (False, True):
        form = "binary" if binary else "text"
        names = [column.name for column in connection.execute("select * from vault where id = 0").description]
        for name in names:
            cursor = connection.cursor(binary=binary)
            value = cursor.execute(f"select {name} from vault where id = 7").fetchone()[0]
            print(form, name, type(value).__name__, value, sep="\t")
        row = connection.cursor(binary=binary).execute("select row_to_json(v), array_agg(n8) over () from vault v").fetchone()
        print(form, "row", type(row[0]).__name__, row[0]["words"], sep="\t")
        print(form, "aggregate", type(row[1]).__name__, row[1], sep="\t")
