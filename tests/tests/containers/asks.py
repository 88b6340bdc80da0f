import ipaddress, socket, struct, sys

how, server, name = sys.argv[1:4]
PORT = 53
if ":" in server and "." in server:
    server, PORT = server.rsplit(":", 1)[0], int(server.rsplit(":", 1)[1])

def question(name):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return labels + b"\0" + struct.pack("!HH", 1, 1)

def header(flags=0x0100, questions=1, additionals=0):
    return struct.pack("!HHHHHH", 7, flags, questions, 0, 0, additionals)

OPTION = b"\0" + struct.pack("!HHIHHH", 41, 1232, 0, 10, 65001, 6) + b"stolen"
MESSAGES = {
    "option": header(additionals=1) + question(name) + OPTION,
    "update": header(flags=5 << 11) + question("stolen." + name),
    "two": header(questions=2) + question(name) + question("stolen." + name),
    "trailer": header() + question(name) + b"stolen",
    "garbage": b"\0\7stolen",
    "answer": header(flags=0x8100) + question("stolen." + name),
}
message = MESSAGES.get(how, header() + question(name))
family = socket.AF_INET6 if ":" in server else socket.AF_INET

def ask():
    if how == "tcp":
        with socket.create_connection((server, PORT), timeout=10) as stream:
            stream.sendall(struct.pack("!H", len(message)) + message)
            answer = stream.makefile("rb")
            return stream.getpeername()[0], answer.read(*struct.unpack("!H", answer.read(2)))
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(2 if how in ("garbage", "answer") or PORT != 53 else 10)
        if how == "connected":
            datagrams.connect((server, PORT))
            datagrams.send(message)
            answer = datagrams.recv(4096)
            return datagrams.getpeername()[0], answer
        datagrams.sendto(message, (server, PORT))
        answer, source = datagrams.recvfrom(4096)
        assert source[1] == PORT, source
        return source[0], answer

try:
    source, answer = ask()
except TimeoutError:
    print("silence")
else:
    number, flags, _, answers, _, options = struct.unpack("!HHHHHH", answer[:12])
    assert number == 7 and flags & 0x8000, answer
    # Options without content are eleven bytes at the end (RFC 6891, section 6.1.2).
    end = len(answer) - 11 * options
    address = str(ipaddress.ip_address(answer[end - 4:end])) if answers else "-"
    print(source, flags & 15, "cut" if flags & 0x0200 else "whole", address)
