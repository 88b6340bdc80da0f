"""What the protocol allows and few programs do, by libpq itself. Prints one line a step."""

import os
import time

from psycopg import pq

conninfo = b"host=127.0.0.1 dbname=shop"
TEXT, BINARY = pq.Format.TEXT, pq.Format.BINARY


def connect(more=b""):
    connection = pq.PGconn.connect(conninfo + b" " + more)
    assert connection.status == pq.ConnStatus.OK, connection.error_message
    connection.notice_handler = lambda result: None
    return connection


def told(result):
    """What a result says, in one word and its data."""
    if result is None:
        return "-"
    if result.status in (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED):
        code = result.error_field(pq.DiagnosticField.SQLSTATE)
        return code.decode() if code else pq.ExecStatus(result.status).name
    if result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.SINGLE_TUPLE):
        return [result.get_value(row, 0) for row in range(min(result.ntuples, 3))]
    return pq.ExecStatus(result.status).name


def pipelined(connection, *sends, syncs=1):
    """Sends everything, then a Sync, and tells all results up to it."""
    connection.enter_pipeline_mode()
    for send in sends:
        send()
    connection.pipeline_sync()
    answers = []
    while answers.count("PIPELINE_SYNC") < syncs:
        answers.append(told(connection.get_result()))
    connection.exit_pipeline_mode()
    return [answer for answer in answers if answer != "-"]


connection = connect()
query = lambda sql, *values: lambda: connection.send_query_params(sql, list(values))

print("pipeline", pipelined(connection, query(b"select 1"), query(b"select $1::int + 1", b"1"), query(b"select 3")))
print("error inside", pipelined(connection, query(b"select 1"), query(b"select 1/0"), query(b"select 3")))
print("denial inside", pipelined(connection, query(b"select 1"), query(b"truncate salaries"), query(b"select 3")))
print("syncs inside", pipelined(connection, query(b"select 1"), connection.pipeline_sync, query(b"select 1/0"), query(b"select 2"), syncs=2))
print("usable", told(connection.exec_(b"select 4")))

prepared = connection.prepare(b"described", b"select id, item, amount from orders where id = $1")
described = connection.describe_prepared(b"described")
print("describe alone", prepared.status, described.nparams, [described.fname(n) for n in range(described.nfields)])
print("describe nothing", told(connection.describe_prepared(b"missing")), told(connection.describe_portal(b"missing")))
print("binary", told(connection.exec_prepared(b"described", [b"\0\0\0\3"], [BINARY], BINARY)))

connection.exec_(b"begin")
connection.exec_(b"declare suspended cursor for select generate_series(1, 5)")
print("portal", [told(connection.exec_(b"fetch 2 from suspended")) for _ in range(4)])
print("portal described", connection.describe_portal(b"suspended").nfields, told(connection.exec_(b"close suspended")))
connection.exec_(b"commit")

connection.send_query(b"select generate_series(1, 1000)")
connection.set_single_row_mode()
rows = 0
while (result := connection.get_result()) is not None:
    rows += result.ntuples
print("single rows", rows)

many = b"select " + b" + ".join(b"$%d::int8" % n for n in range(1, 41))
print("parameters", told(connection.exec_params(many, [b"1"] * 40)))
listed = b"select 1 where 7 in (" + b",".join(b"$%d" % n for n in range(1, 65536)) + b")"
print("65535 parameters", told(connection.exec_params(listed, [b"7"] * 65535, [23] * 65535)))
print("65536 columns", told(connection.exec_(b"select " + b",".join(b"%d" % n for n in range(1665)))))
wide = connection.exec_(b"select " + b",".join(b"%d" % n for n in range(1600)))
print("1600 columns", wide.nfields, sum(int(wide.get_value(0, n)) for n in range(wide.nfields)))
print("a megabyte", len(told(connection.exec_(b"select repeat('x', 8000000)"))[0]))

print("empty", told(connection.exec_(b"")), told(connection.exec_(b" ; ; ")))
print("invalid UTF-8", told(connection.exec_(b"select '\xff\xfe'")) in ("22021", "42501"))
deep = b"select " + b"(" * 5000 + b"1" + b")" * 5000
print("deep", told(connection.exec_(deep)) in ([b"1"], "54001", "42501"))
print("nested comments", told(connection.exec_(b"/*" * 20 + b"*/" * 20 + b" select 5")))
print("a long comment", told(connection.exec_(b"select 1 /*" + b"x" * 1_000_000 + b"*/")))
print("over the limit", told(connection.exec_(b"select '" + b"x" * (2 << 20) + b"'")) in ([b"x" * (2 << 20)], "54000"))
print("usable", told(connection.exec_(b"select 6")))

connection.exec_(b"begin")
print("over the limit within", told(connection.exec_(b"selec '" + b"x" * (2 << 20) + b"'")) in ("42601", "54000"))
print("failed", told(connection.exec_(b"select 1")), pq.TransactionStatus(connection.transaction_status).name, told(connection.exec_(b"rollback")))

copied = connection.exec_(b"copy (select id, item from orders order by id) to stdout (format binary)")
data = b""
while (piece := connection.get_copy_data(0))[0] > 0:
    data += bytes(piece[1])
print("binary out", copied.binary_tuples, data[:11], b"bombe" in data, told(connection.get_result()))
connection.get_result()
into = data.replace(b"bombe", b"rotor")
connection.exec_(b"copy imports from stdin (format binary)")
connection.put_copy_data(into)
connection.put_copy_end()
print("binary in", told(connection.get_result()), told(connection.get_result()), told(connection.exec_(b"delete from imports where id > 0 returning label")))
connection.exec_(b"copy imports from stdin")
connection.put_copy_data(b"1\tone\n")
connection.put_copy_end(b"changed my mind")
print("copy failed", told(connection.get_result()), told(connection.get_result()), told(connection.exec_(b"select 7")))

newer = connect(b"max_protocol_version=3.2")
release = newer.server_version // 10000
print("protocol 3.2", newer.full_protocol_version == (30002 if release >= 18 else 30000), told(newer.exec_(b"select 8")))
print("the backend's number", told(newer.exec_(b"select pg_backend_pid()")) == [str(newer.backend_pid).encode()])

canceled = 0
for delay in (0, 0, 0.001, 0.005, 0.02, 0.1):
    cancel = newer.get_cancel()
    newer.send_query(b"select pg_sleep(20)" if delay == 0.1 else b"select pg_sleep(0.003)")
    time.sleep(delay)
    cancel.cancel()
    outcome = told(newer.get_result())
    newer.get_result()
    assert outcome in ("57014", [b""]), outcome
    canceled = outcome
    # A cancel that comes late may hit the next statement, as it may without a gate.
    time.sleep(0.05)
    newer.exec_(b"select 1")
print("cancel", canceled, told(newer.exec_(b"select 9")))

quiet = connect(b"application_name=wire options='-c search_path=pg_catalog -c statement_timeout=5s'")
print("options", told(quiet.exec_(b"show search_path")), told(quiet.exec_(b"show statement_timeout")), told(quiet.exec_(b"select 1 from orders")) in ("42P01", "42501"))
