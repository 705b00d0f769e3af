"""One attempt to fetch a file over http(s): send the request, check the answer, store the bytes."""

import http.client
import json
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests
import urllib3

from kgtextvec.files import parse_json
from kgtextvec.models.fetch_errors import FetchError, NoSpace, RetryableError
from kgtextvec.models.web_pages import decoded_head, looks_like_page, page_title
from kgtextvec.progress import Progress
from kgtextvec.retry import RetryPolicy, retry_after

ANSWER_BYTES = 1 << 18
PAGE_LIMIT = 1 << 20
SERVER_WORDS = 200  # characters of a server's own words in a message
RETRYABLE_STATUSES = {408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 522, 524}
KNOWN_ENCODINGS = {"", "identity", "gzip", "x-gzip", "deflate"}
CONNECTION_ERRORS = (
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
)


@dataclass
class Request:
    """What to fetch: the address, the target, and all that is known about the file."""

    url: str
    target: Path
    sha256: str | None = None
    size: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    # Called with a web page and its address: returns the address to continue with, or raises.
    on_page: Callable[[str, str], str] | None = None
    most: int = 64 << 30  # bytes to accept, whatever the server announces


@dataclass
class PartialFile:
    """The bytes so far, and what the server said about the complete file when it sent them."""

    path: Path
    url: str
    validator: str | None = None
    total: int | None = None
    encoding: str = ""
    # The address that the bytes came from, without its query; pages give a new query each time.
    origin: str = ""
    resumed: bool = False

    @property
    def side(self) -> Path:
        """The file that remembers address and validator for a later process."""
        return self.path.with_name(self.path.name + ".json")

    @property
    def size(self) -> int:
        """Bytes kept so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def recall(self) -> None:
        """Continue what an earlier process left, if it came from the same address."""
        try:
            known = parse_json(self.side.read_text("utf-8"))
            if known["url"] != self.url:
                raise ValueError
            self.validator, self.total = known["validator"], known["total"]
            self.encoding, self.origin = known["encoding"], known["origin"]
        except (OSError, ValueError, KeyError, TypeError):
            self.drop()

    def note(self) -> None:
        """Remember address and validator; before the first byte is kept."""
        names = ("url", "validator", "total", "encoding", "origin")
        self.side.write_text(json.dumps({name: getattr(self, name) for name in names}), "utf-8")

    def drop(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self.side.unlink(missing_ok=True)
        self.validator = self.total = None
        self.encoding, self.origin, self.resumed = "", "", False


def receive_file(
    session: requests.Session, request: Request, part: PartialFile, policy: RetryPolicy
) -> None:
    """Send one request and store the bytes; return when the answer is complete.

    Raises RetryableError for a temporary fault, FetchError for a lasting one, NoSpace, and OSError
    of the disk.
    """
    url = request.url
    for _ in range(4):
        try:
            answer = send_request(session, url, request, part, policy)
        except requests.exceptions.SSLError as error:
            raise FetchError(f"{url}: the server's certificate is not valid") from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise RetryableError(connection_error(error)) from error
        except (requests.RequestException, ValueError) as error:
            raise FetchError(f"{url}: {connection_error(error)}") from error
        with answer:
            check_redirects(url, answer)
            onward = read_answer(url, answer, request, part, policy)
        if onward is None:
            return
        url = onward
    raise FetchError(f"{request.url}: one web page leads to the next, none to the file")


def send_request(
    session: requests.Session, url: str, request: Request, part: PartialFile, policy: RetryPolicy
) -> requests.Response:
    """Send the request; only for the rest of the file, if its start is here and can be trusted."""
    headers = {"Accept-Encoding": "identity", **request.headers}
    if part.size and not (part.validator or request.sha256):
        part.drop()
    if part.size and part.origin == url.partition("?")[0]:
        headers["Range"] = f"bytes={part.size}-"
        if part.validator:
            headers["If-Range"] = part.validator
    return session.get(url, headers=headers, stream=True, timeout=(policy.connect, policy.stall))


def read_answer(
    url: str, answer: requests.Response, request: Request, part: PartialFile, policy: RetryPolicy
) -> str | None:
    """Check status and headers, then store the bytes; return where a page leads, else None."""
    status, reason = answer.status_code, str(answer.reason)[:SERVER_WORDS]
    if status in RETRYABLE_STATUSES:
        asked = retry_after(answer.headers.get("Retry-After"))
        if asked is not None and asked > policy.longest_asked:
            raise FetchError(f"{request.url}: {status}, the server asks to wait {asked:.0f} s")
        raise RetryableError(f"{status} {reason}", wait=asked)
    if status == 416 and part.size and content_range(answer)[1] == part.size:
        part.total = part.size
        return None
    if status == 416:
        raise RetryableError("the server's file is shorter than what came before", restart=True)
    if status == 206:
        continue_part(answer, part)
        store_bytes(b"", answer, request, part, policy)
        return None
    if status != 200:
        hint = {401: " (it asks for a sign-in)", 403: " (access refused)"}.get(status, "")
        raise FetchError(f"{request.url}: {status} {reason}{hint}")
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in KNOWN_ENCODINGS:
        raise FetchError(
            f"{request.url}: came with Content-Encoding {encoding[:SERVER_WORDS]}, though plain"
            " bytes were asked for"
        )
    head = next_bytes(answer)
    if looks_like_page(decoded_head(head, encoding), answer.headers.get("Content-Type", "")):
        return follow_page(head, encoding, answer, request)
    part.drop()
    part.validator, part.total = validator_of(answer), content_length(answer)
    part.encoding, part.origin = encoding, url.partition("?")[0]
    part.note()
    store_bytes(head, answer, request, part, policy)
    return None


def continue_part(answer: requests.Response, part: PartialFile) -> None:
    """Check that a 206 is the rest of the same file whose start is here."""
    start, total = content_range(answer)
    now = validator_of(answer)
    changed = bool(now and part.validator and now != part.validator)
    changed |= part.total is not None and total is not None and total != part.total
    if start != part.size or changed:
        raise RetryableError("the content changed on the server, starting over", restart=True)
    part.total = total if part.total is None else part.total
    part.resumed = True


def follow_page(head: bytes, encoding: str, answer: requests.Response, request: Request) -> str:
    """Read a web page; let `on_page` say where to continue, else refuse it with its title."""
    page = head
    while len(page) < PAGE_LIMIT:
        try:
            more = next_bytes(answer)
        except RetryableError:
            break
        if not more:
            break
        page += more
    text = decoded_head(page, encoding).decode("utf-8", "replace")
    if request.on_page:
        return request.on_page(text, answer.url)
    raise FetchError(f"{request.url}: a web page came in place of the file, {page_title(text)}")


def store_bytes(
    head: bytes, answer: requests.Response, request: Request, part: PartialFile, policy: RetryPolicy
) -> None:
    """Append the bytes to the part; check speed and disk space."""
    left = (part.total or request.size or 0) - part.size
    check_free_space(part.path, left)
    window, in_window = time.monotonic(), 0
    with (
        Progress(request.target.name, max(left, 0), "bytes") as progress,
        part.path.open("ab") as handle,
    ):
        data = head or next_bytes(answer)
        while data:
            if part.size + len(data) > request.most:
                raise FetchError(f"{request.url}: sends more than {request.most} bytes")
            handle.write(data)
            handle.flush()  # so that the bytes survive kill -9
            progress.add(len(data))
            in_window += len(data)
            seconds = time.monotonic() - window
            if seconds >= policy.stall:
                if in_window < policy.slowest * seconds:
                    raise RetryableError(f"too slow, {in_window} bytes in {seconds:.0f} s")
                window, in_window = time.monotonic(), 0
            data = next_bytes(answer)
    if part.total is not None and part.size < part.total:
        raise RetryableError(f"cut after {part.size} of {part.total} bytes")
    if part.total is not None and part.size > part.total:
        raise RetryableError(
            "more bytes came than the server announced", restart=True, final_if_repeated=True
        )


def next_bytes(answer: requests.Response) -> bytes:
    """Read the next bytes of the connection, undecoded; b"" at the end."""
    try:
        # read1, since read would wait for a full block and so hide a trickle.
        return bytes(answer.raw.read1(ANSWER_BYTES, decode_content=False) or b"")
    except urllib3.exceptions.IncompleteRead as error:
        raise RetryableError("the connection was cut") from error
    except CONNECTION_ERRORS as error:
        raise RetryableError(connection_error(error)) from error


def check_free_space(path: Path, need: int) -> None:
    """Raise NoSpace if the disk of `path` has less than `need` bytes free."""
    free = shutil.disk_usage(path.parent).free
    if need > free:
        raise NoSpace(
            f"{path.parent}: not enough disk space, need {need} bytes, {free} are free. Free some"
            " and run the same command again."
        )


def check_redirects(url: str, answer: requests.Response) -> None:
    """Refuse a redirect from https to http."""
    if url.startswith("https:") and not answer.url.startswith("https:"):
        raise FetchError(f"{url}: leads to {answer.url[:SERVER_WORDS]}, which is not encrypted")


def content_range(answer: requests.Response) -> tuple[int | None, int | None]:
    """Return (first byte, total) of a Content-Range header, None for what it lacks."""
    found = re.match(
        r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)$", answer.headers.get("Content-Range", "").strip()
    )
    if not found:
        return None, None
    first, total = found.groups()
    return int(first) if first else None, None if total == "*" else int(total)


def content_length(answer: requests.Response) -> int | None:
    """Return the Content-Length in bytes; None if absent, chunked or not a number."""
    value = answer.headers.get("Content-Length", "")
    chunked = "chunked" in answer.headers.get("Transfer-Encoding", "").lower()
    return int(value) if value.isdigit() and not chunked else None


def validator_of(answer: requests.Response) -> str | None:
    """Return what If-Range can take: a strong ETag, else Last-Modified."""
    etag = answer.headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return answer.headers.get("Last-Modified")


def connection_error(error: BaseException) -> str:
    """Return in a few words what went wrong on the connection."""
    text = f"{type(error).__name__} {error}"
    known = {
        "NameResolutionError": "the host's name could not be resolved",
        "Connection refused": "connection refused",
        "Connection reset": "connection reset",
        "RemoteDisconnected": "the server closed the connection without an answer",
        "onnectTimeout": "no connection in time",
        "ead timed out": "nothing came for too long",
        "TimeoutError": "nothing came for too long",
        "IncompleteRead": "the connection was cut",
        "InvalidChunkLength": "the connection was cut",
        "Network is unreachable": "the network is unreachable",
    }
    for sign, words in known.items():
        if sign in text:
            return words
    return " ".join(text.split())[:200]
