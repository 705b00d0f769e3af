"""A server that speaks S3 on loopback (moto's), and a proxy before it that fails on purpose."""

import os
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from wheels import build_wheel, install_wheel

SECRET = "never-to-be-shown"  # noqa: S105
Answer = tuple[int, bytes]
SLOW_DOWN = (503, b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>")
Fault = Callable[[str, str, int], Answer | str | None]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a running server."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.kill()
        running.wait()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials in the environment, and nothing else of this machine's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.fixture
def bucket(server: str, credentials: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new bucket; the environment names the server."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    name = f"b{time.time_ns()}"
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kgtextvec of an environment that has the package from a wheel.

    It is built by the environment below this one, which has what that takes.
    """
    folder = tmp_path_factory.mktemp("installed")
    below = Path(sysconfig.get_path("purelib"), "below.pth").read_text().strip()
    wheel = build_wheel(folder / "build", str(Path(below).parents[2] / "bin/python"))
    return install_wheel(wheel, folder / "venv", [sysconfig.get_path("purelib"), below])


class FaultyProxy:
    """Passes requests on to a server, or does what `fault(method, path, n)` says of the n-th.

    (status, body): an answer instead; "cut": half the request's body is passed on, then both ends
    are closed; None: nothing.
    """

    def __init__(self, server: str) -> None:
        self.fault: Fault = lambda method, path, n: None
        self.requests: list[tuple[str, str]] = []
        proxy, host = self, server.removeprefix("http://")

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.requests.append((self.command, self.path))
                what = proxy.fault(self.command, self.path, len(proxy.requests))
                upstream = HTTPConnection(host, timeout=30)
                if what == "cut":
                    upstream.putrequest(self.command, self.path, skip_host=True)
                    for key, value in self.headers.items():
                        upstream.putheader(key, value)
                    upstream.endheaders(body[: len(body) // 2])
                    upstream.close()
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if isinstance(what, tuple):
                    status, data = what
                    headers = [("Content-Type", "application/xml")]
                else:
                    upstream.request(self.command, self.path, body, dict(self.headers))
                    answer = upstream.getresponse()
                    status, data, headers = answer.status, answer.read(), answer.getheaders()
                length = next((v for k, v in headers if k.lower() == "content-length"), None)
                self.send_response(status)
                for key, value in headers:
                    if key.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(key, value)
                is_head = self.command == "HEAD"
                self.send_header("Content-Length", (length or "0") if is_head else str(len(data)))
                self.end_headers()
                self.wfile.write(b"" if is_head else data)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def proxy(server: str, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy before the server of `bucket`; the environment names the proxy."""
    made = FaultyProxy(server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.address)
    yield made
    made.close()
