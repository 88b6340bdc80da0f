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
        # What is computed from masked columns is NULL, whatever its type.
        query = "select row_to_json(v), array_agg(n8) over (), row(n8, words) from vault v"
        print(form, "computed", "tuple", connection.cursor(binary=binary).execute(query).fetchone(), sep="\t")
