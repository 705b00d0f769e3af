"""An HTTP server in a thread, on a free port of loopback: what the misbehaving servers share."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Keep silent: connections that break are what this server is for."""


class LoopbackServer:
    """Serves with a handler from `with` to its end; `stopping` tells handlers that wait."""

    def serve_by(self, handler: type[BaseHTTPRequestHandler]) -> str:
        """Bind a port; return the server's address."""
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.http = QuietServer(("127.0.0.1", 0), handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
