"""One request to /embeddings: send texts, check every part of the answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec
import numpy as np
import requests
from numpy.typing import NDArray
from urllib3.exceptions import HTTPError

from kgtextvec.errors import InputError, without_escapes
from kgtextvec.retry import RetryPolicy, retry_after
from kgtextvec.server_address import Endpoint, Key

ANSWER_BYTES_PER_NUMBER = 64  # of a vector in JSON, at most
ANSWER_LIMIT = 64 << 20  # bytes, besides those
PIECE_OF_ANSWER = 1 << 18
WORDS_OF_SERVER = 300  # characters of a server's own words in a message
BUSY_STATUSES = {408, 409, 425, 429, 500, 502, 503, 504, 507, 509, 520, 522, 524, 529}
# What servers answer when a request is too large for them, or a text too long.
SIZE_STATUSES = {400, 413, 422}
KEY_STATUSES = {401, 403}
QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached"}


class TemporaryFault(Exception):
    """This attempt failed, the next one may not.

    `wait` is what the server asked for, in seconds; `is_rate` says that it takes no more requests
    for now, whichever texts they hold.
    """

    def __init__(self, reason: str, wait: float | None = None, is_rate: bool = False) -> None:
        super().__init__(reason)
        self.wait, self.is_rate = wait, is_rate


class RequestRefused(Exception):
    """The server will never answer this request; it may answer a smaller one."""


class Item(msgspec.Struct):
    """A vector in an answer."""

    embedding: list[float]
    index: int | None = None


class Usage(msgspec.Struct):
    """What a server counted."""

    prompt_tokens: int | None = None


class EmbeddingsAnswer(msgspec.Struct):
    """The answer to a request."""

    data: list[Item]
    usage: Usage | None = None


@dataclass(frozen=True)
class Vectors:
    """Vectors (n, dims) float32 in the order of the texts; tokens as the server counted them."""

    vectors: NDArray[np.float32]
    tokens: int | None


class EndpointClient:
    """Asks one server; to be used by one thread."""

    def __init__(
        self, endpoint: Endpoint, key: Key, timeout: float, dims: int | None = None
    ) -> None:
        self.endpoint, self.key, self.timeout, self.dims = endpoint, key, timeout, dims
        self.connect = RetryPolicy.from_environment().connect
        self.session = requests.Session()

    def authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the key; without this, requests would take a password from ~/.netrc."""
        if self.key.text:
            request.headers["Authorization"] = f"Bearer {self.key.text}"
        return request

    def ask(self, texts: list[str]) -> Vectors:
        """Return the vectors of the texts.

        Raises TemporaryFault, RequestRefused, or InputError when no further request can help.
        """
        body = {"model": self.endpoint.model, "input": texts, "encoding_format": "float"}
        deadline = time.monotonic() + self.timeout
        try:
            answer = self.session.post(
                f"{self.endpoint.url.rstrip('/')}/embeddings",
                data=msgspec.json.encode(body),
                headers={"Content-Type": "application/json"},
                auth=self.authorize,
                timeout=(self.connect, self.timeout),
                allow_redirects=False,
                stream=True,
            )
            with answer:
                content = self.content(answer, len(texts), deadline)
        except requests.exceptions.InvalidHeader as error:  # its message holds the header
            raise InputError(
                f"{self.endpoint.url}: the key can't be sent. Set it again."
            ) from error
        except (requests.RequestException, HTTPError, OSError) as error:
            raise TemporaryFault(self.words(connection_fault(error, self.timeout))) from None
        if answer.status_code != 200:
            self.refuse(answer, content)
        return self.checked(content, len(texts))

    def content(self, answer: requests.Response, n_texts: int, deadline: float) -> bytes:
        """Read the body; not more of it, and not longer, than makes sense.

        A read returns with what is there, so that a server that sends byte by byte is noticed.
        """
        limit = ANSWER_LIMIT + n_texts * (self.dims or 1 << 16) * ANSWER_BYTES_PER_NUMBER
        pieces, size = [], 0
        while piece := answer.raw.read1(PIECE_OF_ANSWER, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise TemporaryFault(f"the answer is longer than {limit:,} bytes")
            if time.monotonic() > deadline:
                raise TemporaryFault(f"no complete answer within {self.timeout:g} s")
        return b"".join(pieces)

    def refuse(self, answer: requests.Response, content: bytes) -> NoReturn:
        """Raise what an answer other than 200 means."""
        status, url = answer.status_code, self.endpoint.url
        words, code = words_in(content)
        said = self.words(f"{status} {answer.reason or ''} {words}".strip())
        if status in KEY_STATUSES:
            raise InputError(
                f"{url}: the server refuses the key ({said}). Correct the environment variable that"
                " api_key_env names."
            )
        if code in QUOTA_CODES:
            raise InputError(f"{url}: the account's quota is used up ({said}). Raise it.")
        if status in BUSY_STATUSES:
            wait = retry_after(answer.headers.get("Retry-After"))
            raise TemporaryFault(said, wait, is_rate=status in (429, 503, 529))
        if status in SIZE_STATUSES:
            raise RequestRefused(said)
        advice = f"Check source and model ({self.endpoint.model!r})."
        if 300 <= status < 400:
            place = answer.headers.get("Location", "")[:WORDS_OF_SERVER]
            advice = self.words(f"It leads to {place!r}: correct source.")
        raise InputError(f"{url}: the server answers {said}. {advice}")

    def checked(self, content: bytes, n_texts: int) -> Vectors:
        """Read an answer: as many vectors as texts, in their order, finite, of the right dims.

        Raises TemporaryFault for a faulty answer, InputError for other dims.
        """
        try:
            answer = msgspec.json.decode(content, type=EmbeddingsAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if any(word in content for word in (b"NaN", b"Infinity", b"null")):
                raise TemporaryFault("faulty answer: a vector holds NaN or Infinity") from None
            fault = self.words(str(error))
            raise TemporaryFault(f"faulty answer: not what /embeddings gives ({fault})") from None
        if len(answer.data) != n_texts:
            raise TemporaryFault(f"faulty answer: {len(answer.data)} vectors for {n_texts} texts")
        nowhere = 0 if n_texts == 1 else -1
        places = [nowhere if item.index is None else item.index for item in answer.data]
        if sorted(places) != list(range(n_texts)):
            raise TemporaryFault("faulty answer: its indexes are not those of the texts")
        sizes = {len(item.embedding) for item in answer.data}
        if sizes != {self.dims or min(sizes)} or 0 in sizes:
            raise InputError(
                f"{self.endpoint.url}: {self.endpoint.model!r} gives vectors of"
                f" {', '.join(map(str, sorted(sizes)))} dims, not {self.dims or 'one size'}."
                " Another model is served there: correct model or dims."
            )
        vectors = np.empty((n_texts, sizes.pop()), dtype=np.float32)
        with np.errstate(over="ignore"):
            vectors[places] = [item.embedding for item in answer.data]
        if not np.isfinite(vectors).all():
            raise TemporaryFault("faulty answer: a vector is out of float32's range")
        if not vectors.any(axis=1).all():
            raise TemporaryFault("faulty answer: a vector is all zeros")
        return Vectors(vectors, answer.usage.prompt_tokens if answer.usage else None)

    def words(self, message: str) -> str:
        """Return a server's or a library's words, safe to print: short, one line, no key."""
        return without_escapes(self.key.hide(" ".join(message.split()))[:WORDS_OF_SERVER])


def connection_fault(error: Exception, timeout: float) -> str:
    """Return in a few words what went wrong on the connection."""
    known: tuple[tuple[type[Exception] | str, str], ...] = (
        (requests.ConnectTimeout, "no connection in time"),
        ("NameResolutionError", "the host's name could not be resolved"),
        ("Connection refused", "connection refused"),
        (requests.exceptions.SSLError, "no encrypted connection"),
        ("timed out", f"no answer within {timeout:g} s"),
        ("IncompleteRead", "the answer was cut"),
        ("InvalidChunkLength", "the answer was cut"),
        ("reset", "connection reset"),
        ("RemoteDisconnected", "the server closed the connection without an answer"),
    )
    text = f"{type(error).__name__} {error}"
    for sign, words in known:
        if sign in text if isinstance(sign, str) else isinstance(error, sign):
            return words
    return text


def words_in(content: bytes) -> tuple[str, str]:
    """Return what an error's body says, and its code: OpenAI's form, others', or plain text."""
    try:
        found: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content[: 4 * WORDS_OF_SERVER].decode("utf-8", "replace"), ""
    if isinstance(found, dict) and isinstance(found.get("error"), dict):
        found = found["error"]
    if not isinstance(found, dict):
        return str(found), ""
    said = next((found[key] for key in ("message", "error", "detail") if found.get(key)), found)
    return str(said), str(found.get("code") or found.get("type") or "")


Ask = Callable[[list[str]], Vectors]
