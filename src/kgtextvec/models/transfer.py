"""One try at a file over http(s): ask, judge the answer, keep what comes."""

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

from kgtextvec.errors import InputError
from kgtextvec.models.pages import decoded_head, looks_like_page, page_title
from kgtextvec.models.patience import Patience, retry_after
from kgtextvec.progress import Progress

BLOCK = 1 << 18
PAGE_LIMIT = 1 << 20
PASSING = {408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 522, 524}
ENCODINGS = {"", "identity", "gzip", "x-gzip", "deflate"}
BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, ConnectionError, TimeoutError)


class FetchError(InputError):
    """A source could not give the file; another one may."""


class NoSpace(InputError):
    """The disk is too small for the file, whatever the source."""


class Again(Exception):
    """This try failed, the next may not.

    `wait` is what the server asked for in seconds; `afresh` drops the bytes so far; `doubt` means
    that a second such failure is final.
    """

    def __init__(
        self, reason: str, wait: float | None = None, afresh: bool = False, doubt: bool = False
    ) -> None:
        super().__init__(reason)
        self.wait, self.afresh, self.doubt = wait, afresh, doubt


@dataclass
class Request:
    """What to fetch: the address, where to, and all that is known of the file."""

    url: str
    target: Path
    sha256: str | None = None
    size: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    # Called with a web page and its address: gives the address to go on with, or raises.
    on_page: Callable[[str, str], str] | None = None


@dataclass
class Part:
    """The bytes so far, and what the server said of the whole file when they were sent."""

    path: Path
    url: str
    validator: str | None = None
    total: int | None = None
    encoding: str = ""
    # The address that gave the bytes, without its query: a web page may lead to it by another one.
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
        """Take up what an earlier process left, if it came from the same address."""
        try:
            known = json.loads(self.side.read_text("utf-8"))
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


def receive(session: requests.Session, request: Request, part: Part, patience: Patience) -> None:
    """Ask once and keep what comes; return when the answer came to its end.

    Raises Again for what may pass, FetchError for what will not, NoSpace, OSError of the disk.
    """
    url = request.url
    for _ in range(4):
        try:
            answer = ask(session, url, request, part, patience)
        except requests.exceptions.SSLError as error:
            raise FetchError(f"{url}: the server's certificate is not valid") from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Again(plain(error)) from error
        except (requests.RequestException, ValueError) as error:
            raise FetchError(f"{url}: {plain(error)}") from error
        with answer:
            check_redirects(url, answer)
            onward = read(url, answer, request, part, patience)
        if onward is None:
            return
        url = onward
    raise FetchError(f"{request.url}: one web page leads to the next, none to the file")


def ask(
    session: requests.Session, url: str, request: Request, part: Part, patience: Patience
) -> requests.Response:
    """Send the request, for the rest of the file where its start is here and can be trusted."""
    headers = {"Accept-Encoding": "identity", **request.headers}
    if part.size and not (part.validator or request.sha256):
        part.drop()
    if part.size and part.origin == url.partition("?")[0]:
        headers["Range"] = f"bytes={part.size}-"
        if part.validator:
            headers["If-Range"] = part.validator
    return session.get(
        url, headers=headers, stream=True, timeout=(patience.connect, patience.stall)
    )


def read(
    url: str, answer: requests.Response, request: Request, part: Part, patience: Patience
) -> str | None:
    """Judge status and headers, then keep the bytes; return where a page leads, else None."""
    status = answer.status_code
    if status in PASSING:
        asked = retry_after(answer.headers.get("Retry-After"))
        if asked is not None and asked > patience.longest_asked:
            raise FetchError(f"{request.url}: {status}, the server asks to wait {asked:.0f} s")
        raise Again(f"{status} {answer.reason}", wait=asked)
    if status == 416 and part.size and content_range(answer)[1] == part.size:
        part.total = part.size
        return None
    if status == 416:
        raise Again("the server's file is shorter than what came before", afresh=True)
    if status == 206:
        continue_part(answer, part)
        keep(b"", answer, request, part, patience)
        return None
    if status != 200:
        hint = {401: " (it asks for a sign-in)", 403: " (access refused)"}.get(status, "")
        raise FetchError(f"{request.url}: {status} {answer.reason}{hint}")
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ENCODINGS:
        raise FetchError(
            f"{request.url}: came with Content-Encoding {encoding}, though plain bytes were asked"
            " for"
        )
    head = next_bytes(answer)
    if looks_like_page(decoded_head(head, encoding), answer.headers.get("Content-Type", "")):
        return follow(head, encoding, answer, request)
    part.drop()
    part.validator, part.total = validator_of(answer), length_of(answer)
    part.encoding, part.origin = encoding, url.partition("?")[0]
    part.note()
    keep(head, answer, request, part, patience)
    return None


def continue_part(answer: requests.Response, part: Part) -> None:
    """Check that a 206 is the rest of the very file whose start is here."""
    start, total = content_range(answer)
    now = validator_of(answer)
    changed = bool(now and part.validator and now != part.validator)
    changed |= part.total is not None and total is not None and total != part.total
    if start != part.size or changed:
        raise Again("the content changed on the server, starting over", afresh=True)
    part.total = total if part.total is None else part.total
    part.resumed = True


def follow(head: bytes, encoding: str, answer: requests.Response, request: Request) -> str:
    """Read the whole page; let `on_page` say where to go on, else refuse it with its title."""
    page = head
    while len(page) < PAGE_LIMIT:
        try:
            more = next_bytes(answer)
        except Again:
            break
        if not more:
            break
        page += more
    text = decoded_head(page, encoding).decode("utf-8", "replace")
    if request.on_page:
        return request.on_page(text, answer.url)
    raise FetchError(f"{request.url}: a web page came in place of the file, {page_title(text)}")


def keep(
    head: bytes, answer: requests.Response, request: Request, part: Part, patience: Patience
) -> None:
    """Append what comes to the part, watching speed and disk."""
    left = (part.total or request.size or 0) - part.size
    check_space(part.path, left)
    window, in_window = time.monotonic(), 0
    with (
        Progress(request.target.name, max(left, 0), "bytes") as progress,
        part.path.open("ab") as handle,
    ):
        data = head or next_bytes(answer)
        while data:
            handle.write(data)
            handle.flush()  # so that what came survives kill -9
            progress.add(len(data))
            in_window += len(data)
            seconds = time.monotonic() - window
            if seconds >= patience.stall:
                if in_window < patience.slowest * seconds:
                    raise Again(f"too slow, {in_window} bytes in {seconds:.0f} s")
                window, in_window = time.monotonic(), 0
            data = next_bytes(answer)
    if part.total is not None and part.size < part.total:
        raise Again(f"cut after {part.size} of {part.total} bytes")
    if part.total is not None and part.size > part.total:
        raise Again("more bytes came than the server announced", afresh=True, doubt=True)


def next_bytes(answer: requests.Response) -> bytes:
    """Read what the connection gives next, undecoded; b"" at the end."""
    try:
        # read1, since read would wait for a full block and so hide a trickle.
        return bytes(answer.raw.read1(BLOCK, decode_content=False) or b"")
    except urllib3.exceptions.IncompleteRead as error:
        raise Again("the connection was cut") from error
    except BROKEN as error:
        raise Again(plain(error)) from error


def check_space(path: Path, need: int) -> None:
    """Raise NoSpace if the disk under `path` cannot take `need` bytes more."""
    free = shutil.disk_usage(path.parent).free
    if need > free:
        raise NoSpace(
            f"{path.parent}: not enough disk space, need {need} bytes, {free} are free. Free some"
            " and run the same command again."
        )


def check_redirects(url: str, answer: requests.Response) -> None:
    """Refuse to be led from https to http."""
    if url.startswith("https:") and not answer.url.startswith("https:"):
        raise FetchError(f"{url}: leads to {answer.url}, which is not encrypted")


def content_range(answer: requests.Response) -> tuple[int | None, int | None]:
    """Return (first byte, total) of a Content-Range header, None for what it does not tell."""
    found = re.match(
        r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)$", answer.headers.get("Content-Range", "").strip()
    )
    if not found:
        return None, None
    first, total = found.groups()
    return int(first) if first else None, None if total == "*" else int(total)


def length_of(answer: requests.Response) -> int | None:
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


def plain(error: BaseException) -> str:
    """Say in a few words what went wrong on the connection."""
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
