"""A stand-in for a register: it records what it gets."""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    """A request as it arrived."""

    method: str
    target: str  # path and query
    headers: list  # of (name in small letters, value), in their order
    body: bytes

    def values(self, name):
        return [value for header, value in self.headers if header == name]

    @property
    def bearer(self):
        """The one token that came. Anything else is an error."""
        match self.values("authorization"):
            case [value] if value.startswith("Bearer ") and value != "Bearer ":
                return value.removeprefix("Bearer ")
            case values:
                raise AssertionError(f"{self.method} {self.target} came with Authorization {values}")


class Register:
    """Answers 200 to everything, but to the tokens in `refused`, which get 401; `redirect` sends all elsewhere."""

    def __init__(self):
        self.refused = set()
        self.redirect = None
        self._received = []
        self._lock = threading.Lock()
        register = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = [(name.lower(), value) for name, value in self.headers.items()]
                received = Received(self.command, self.path, headers, body)
                with register._lock:
                    register._received.append(received)
                self.wfile.write(register._answer(received))  # in one piece, or the second would wait for the first's acknowledgement

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _answer(self, received):
        more = ""
        status, body = "200 OK", {"register": "answers", "target": received.target}
        if any(value.removeprefix("Bearer ") in self.refused for value in received.values("authorization")):
            status, body = "401 Unauthorized", {"register": "does not take this token"}
        elif self.redirect:
            status, body, more = "302 Found", {}, f"Location: {self.redirect}\r\n"
        content = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {len(content)}\r\n\r\n"
        return head.encode() + content

    def take(self):
        """What has come since the last time. A request is here before its consumer has the answer."""
        with self._lock:
            received, self._received = self._received, []
        return received

    def close(self):
        self._server.shutdown()
        self._server.server_close()
