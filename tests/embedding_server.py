"""A server of /v1/embeddings on loopback that misbehaves on command: real sockets, real HTTP.

    with EmbeddingServer(["429=0.01", "cut"]) as server:
        source = server.url

A text's vector follows from the text alone (`vector_of`), so that a test knows what is right. Each
request takes the next fault of the list; when it is used up the server is well-behaved, unless
`always` names the fault of all further requests. `server.asked` keeps what was asked.
"""

import contextlib
import gzip
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

import numpy as np
from loopback import LoopbackServer
from numpy.typing import NDArray


def vector_of(text: str, dims: int = 8, model: str = "m") -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(f"{model} {text}".encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=dims).astype(np.float32)


@dataclass
class AskedTexts:
    texts: list[str]
    headers: dict[str, str]
    fault: str


class EmbeddingServer(LoopbackServer):
    """`most_texts`, `most_characters`: larger requests, longer texts are refused; `key`: needed."""

    def __init__(
        self, faults=(), always="ok", dims=8, key="", most_texts=10_000, most_characters=10**9
    ) -> None:
        self.faults, self.always, self.dims, self.key = list(faults), always, dims, key
        self.most_texts, self.most_characters = most_texts, most_characters
        self.asked: list[AskedTexts] = []
        self.at_work: set[EmbeddingHandler] = set()
        self.most_at_once = 0
        self.vector: Callable[[str], NDArray[np.float32]] = lambda text: vector_of(text, self.dims)
        owner = self

        class Handler(EmbeddingHandler):
            server_of_vectors = owner

        self.url = f"{self.serve_by(Handler)}/v1"

    @property
    def texts(self) -> list[str]:
        return [text for one in self.asked for text in one.texts]


class EmbeddingHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_vectors: EmbeddingServer

    def log_message(self, *_: object) -> None:
        """Keep silent."""

    def do_POST(self) -> None:
        owner = self.server_of_vectors
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with owner.lock:
            fault = owner.faults.pop(0) if owner.faults else owner.always
            before = [one.texts for one in owner.asked if len(one.texts) == len(body["input"])]
            owner.asked.append(AskedTexts(body["input"], dict(self.headers), fault))
            owner.at_work.add(self)
            owner.most_at_once = max(owner.most_at_once, len(owner.at_work))
        try:
            self.answer(owner, body["input"], fault, before)
        finally:
            self.stop_working()

    def stop_working(self) -> None:
        """Count this request no longer: its client may send the next one once it has the answer."""
        owner = self.server_of_vectors
        with owner.lock:
            owner.at_work.discard(self)

    def answer(self, owner, texts, fault, before) -> None:
        kind, _, value = fault.partition("=")
        if self.path != "/v1/embeddings":
            return self.send(404, {"detail": "Not Found"})
        if owner.key and self.headers.get("Authorization") != f"Bearer {owner.key}":
            given = self.headers.get("Authorization", "")
            return self.send(401, {"error": {"message": f"Incorrect API key provided: {given}"}})
        if len(texts) > owner.most_texts:
            message = f"batch size {len(texts)} > maximum allowed batch size {owner.most_texts}"
            return self.send(422, {"message": message, "type": "Validation"})
        if max(map(len, texts)) > owner.most_characters:
            return self.send(413, {"error": "inputs must have less than 512 tokens. Given: 600"})
        if kind.isdigit():
            header = "Location" if kind[0] == "3" else "Retry-After"
            headers = {header: value} if value else {}
            return self.send(int(kind), {"error": {"message": "busy", "code": value}}, headers)
        if kind == "slow":
            owner.stopping.wait(float(value))
        vectors = [owner.vector(text).tolist() for text in texts]
        if kind == "other" and before:
            vectors = [owner.vector(text).tolist() for text in before[-1]]
        if kind == "same":
            vectors = [vectors[0] for _ in texts]
        data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
        if kind == "reordered":
            data = data[::-1]
        elif kind == "index":
            data[-1]["index"] = 0
        elif kind == "lackindex":
            del data[0]["index"]
        elif kind == "noindex":
            data = [{"embedding": one["embedding"]} for one in data]
        elif kind == "count":
            data = data[:-1]
        elif kind == "dims":
            data = [one | {"embedding": one["embedding"][:-1]} for one in data]
        elif kind == "nan":
            data[0]["embedding"][0] = float("nan")
        elif kind == "null":
            data[0]["embedding"][0] = None
        elif kind == "huge":
            data[0]["embedding"][0] = 1e300
        elif kind == "zeros":
            data[0]["embedding"] = [0.0] * owner.dims
        usage = {"prompt_tokens": 3 * len(texts), "total_tokens": 3 * len(texts)}
        answer = {"object": "list", "data": data, "model": "m", "usage": usage}
        if kind in ("chunked", "chunkcut"):
            return self.send_chunks(json.dumps(answer).encode(), cut=kind == "chunkcut")
        if kind == "endless":
            return self.send_spaces(piece=1 << 20, seconds=0)
        if kind == "drip":
            return self.send_spaces(piece=1, seconds=float(value))
        self.send(200, answer, cut=kind == "cut", page=kind == "page")

    def send_chunks(self, data: bytes, cut: bool) -> None:
        """Send a body packed by gzip, in chunks of 100 bytes, as proxies do; or half of it."""
        packed = gzip.compress(data)
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for start in range(0, len(packed) // 2 if cut else len(packed), 100):
            piece = packed[start : start + 100]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if not cut:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = cut

    def send_spaces(self, piece: int, seconds: float) -> None:
        """Send 300 pieces of that many bytes, so far apart, while somebody reads them."""
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 40))
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):
            for _ in range(300):
                if self.server_of_vectors.stopping.wait(seconds):
                    break
                self.wfile.write(b" " * piece)

    def send(self, status, value, headers=None, cut=False, page=False) -> None:
        data = b"<html>login</html>" if page else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        self.stop_working()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True
            time.sleep(0)
