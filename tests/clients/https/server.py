"""An HTTPS server that writes down which paths were asked: `server.py PORT CERTIFICATE KEY LOG`."""

import http.server
import ssl
import sys

port, certificate, key, log = sys.argv[1:]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(log, "a") as asked:
            print(self.path, file=asked)
        body = b"trusted\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    def get_request(self):
        return self.socket.accept()

    def finish_request(self, request, address):
        # In the connection's own thread, so that a client that breaks off stops nobody else.
        with context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, address)

    def handle_error(self, *_):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = Server(("127.0.0.1", int(port)), Handler)
open("listening", "w").close()
server.serve_forever()
