"""Binds a value of as many bytes as the argument says, which no driver would hold, and prints its length."""

import os
import socket
import struct
import sys

PIECE = bytes(1 << 20)
BYTEA = 17


def message(kind, *fields):
    body = b"".join(fields)
    return kind + struct.pack("!i", len(body) + 4) + body


def text(word):
    return word.encode() + b"\0"


def answers(connection):
    """Messages of the server up to ReadyForQuery."""
    read = connection.makefile("rb")
    while True:
        kind, length = struct.unpack("!ci", read.read(5))
        body = read.read(length - 4)
        if kind == b"E":
            sys.exit(body.replace(b"\0", b" ").decode())
        yield kind, body
        if kind == b"Z":
            return


def main(length):
    connection = socket.create_connection((os.environ["PGHOST"], int(os.environ["PGPORT"])))
    settings = text("user") + text(os.environ["PGUSER"]) + text("database") + text(os.environ["PGDATABASE"]) + b"\0"
    connection.sendall(message(b"", struct.pack("!i", 3 << 16), settings))
    list(answers(connection))

    names = text("") + text("")
    before = names + struct.pack("!hhhi", 1, 1, 1, length)
    after = struct.pack("!hh", 1, 0)
    connection.sendall(message(b"P", text(""), text("select octet_length($1)"), struct.pack("!hi", 1, BYTEA)))
    connection.sendall(b"B" + struct.pack("!i", 4 + len(before) + length + len(after)) + before)
    left = length
    while left > 0:
        connection.sendall(PIECE[:left])
        left -= len(PIECE)
    connection.sendall(after + message(b"E", text(""), struct.pack("!i", 0)) + message(b"S"))
    print([int(body[6:]) for kind, body in answers(connection) if kind == b"D"][0])


main(int(sys.argv[1]))
