"""A file server on loopback that misbehaves on command: real sockets, real HTTP.

    with FaultServer() as server:
        url = server.add("model.tar.gz", data, ["503", "cut", "reset"])

Each request for a file takes the next fault of its list; when the list is used up the server is
well-behaved, unless `always` names the fault of all further requests. `server.requests` keeps what
was asked, `server.sent` the bytes of bodies that went out.
"""

import gzip
import hashlib
import socket
import struct
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from loopback import LoopbackServer

PAGE = "<!DOCTYPE html><html><head><title>{title}</title></head><body>{body}</body></html>"


@dataclass
class Entry:
    data: bytes
    faults: list[str] = field(default_factory=list)
    always: str = "ok"
    headers: dict[str, str] = field(default_factory=dict)
    etag: bool = True


@dataclass
class Asked:
    path: str
    query: str
    headers: dict[str, str]
    fault: str


class FaultServer(LoopbackServer):
    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.requests: list[Asked] = []
        self.sent: dict[str, int] = {}
        owner = self

        class Handler(FaultHandler):
            server_of_faults = owner

        self.base = self.serve_by(Handler)

    def add(self, path, data, faults=(), always="ok", headers=None, etag=True) -> str:
        """Serve `data` at `path`; return its address."""
        path = path if path.startswith("/") else f"/{path}"
        self.entries[path] = Entry(data, list(faults), always, dict(headers or {}), etag)
        return self.base + path

    def asked(self, path: str) -> list[Asked]:
        return [asked for asked in self.requests if asked.path == f"/{path.lstrip('/')}"]


class FaultHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_faults: FaultServer

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server, parts = self.server_of_faults, urlsplit(self.path)
        with server.lock:
            entry = server.entries.get(self.path) or server.entries.get(parts.path)
            fault = (entry.faults.pop(0) if entry.faults else entry.always) if entry else "404"
            server.requests.append(Asked(parts.path, parts.query, dict(self.headers), fault))
        kind, _, value = fault.partition("=")
        try:
            if kind.isdigit():
                self.refuse(int(kind), value)
            elif kind == "page":
                self.page(value)
            elif kind == "redirect":
                self.send_response(302)
                self.send_header("Location", value)
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif kind == "silent":
                self.hang()
            elif kind == "hangup":
                self.close_connection = True
            else:
                self.serve(entry, kind, value)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def refuse(self, status: int, retry_after: str) -> None:
        """Answer with an error page; `503=2` asks to come back after two seconds."""
        body = PAGE.format(title=f"Error {status}", body="try again").encode()
        self.send_response(status)
        if retry_after == "date":
            self.send_header("Retry-After", formatdate(time.time() + 1, usegmt=True))
        elif retry_after:
            self.send_header("Retry-After", retry_after)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def page(self, title: str) -> None:
        """Answer 200 with a web page, as sign-in and quota pages do."""
        body = PAGE.format(title=title, body="Sorry.").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self, entry: Entry, kind: str, value: str) -> None:
        """Serve the file, or the rest of it, with one fault."""
        data = entry.data
        if kind == "changed":
            entry.data = data = bytes(byte ^ 1 for byte in data)
        if kind == "flip":
            data = data[:-1] + bytes([data[-1] ^ 1])
        if kind == "encode":
            data = gzip.compress(data, mtime=0)
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        start = self.start_of_range(etag, entry)
        if start is not None and start >= len(data) and kind != "ignore_range":
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        ranged = start is not None and kind not in ("ignore_range", "changed")
        body = data[start:] if ranged else data
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if entry.etag:
            self.send_header("ETag", etag)
        if kind in ("encode", "label"):
            self.send_header("Content-Encoding", value or "gzip")
        for name, text in entry.headers.items():
            self.send_header(name, text)
        chunked = kind.startswith("chunked")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif kind.startswith("no_length"):
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header(
                "Content-Length",
                str(len(body) + (int(value) if value.lstrip("-").isdigit() else 0)),
            )
        self.end_headers()
        if self.command == "HEAD":
            return
        self.send_body(body, kind, chunked)

    def start_of_range(self, etag: str, entry: Entry) -> int | None:
        wanted = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if not wanted or (condition and not (entry.etag and condition == etag)):
            return None
        return int(wanted.removeprefix("bytes=").rstrip("-"))

    def send_body(self, body: bytes, kind: str, chunked: bool) -> None:
        half = max(len(body) // 2, 1)
        if kind in ("cut", "reset", "stall", "no_length_cut", "chunked_cut"):
            body = body[:half]
        if kind == "trickle":
            self.write(body[:half])
            for byte in body[half:]:
                self.write(bytes([byte]))
                if self.server_of_faults.stopping.wait(0.05):
                    break
            return
        if chunked:
            for begin in range(0, len(body), 10_000):
                piece = body[begin : begin + 10_000]
                self.wfile.write(f"{len(piece):x}\r\n".encode())
                self.write(piece)
                self.wfile.write(b"\r\n")
            if kind == "chunked":
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.write(body)
        if kind == "reset":
            # Linger 0 makes close send RST in place of FIN. The client must have the bytes first.
            time.sleep(0.05)
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        if kind == "stall":
            self.hang()
        if kind in ("cut", "reset", "chunked_cut", "stall", "announce"):
            self.close_connection = True

    def write(self, data: bytes) -> None:
        # Counted first: a client that has all of it may look before this thread runs again.
        server = self.server_of_faults
        with server.lock:
            path = urlsplit(self.path).path
            server.sent[path] = server.sent.get(path, 0) + len(data)
        self.wfile.write(data)
        self.wfile.flush()

    def hang(self) -> None:
        """Say nothing until the client leaves or the test ends."""
        self.close_connection = True
        self.connection.settimeout(0.1)
        while not self.server_of_faults.stopping.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return
