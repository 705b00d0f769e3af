"""Fetch one file over http(s), complete and verified, or report why that failed.

Bytes go to `<name>.part` next to the target; a side file stores the address and the validator
(ETag or Last-Modified), so that a later process resumes. Only a file whose length and checksum
are right gets its final name.
"""

import errno
import os
import time
from pathlib import Path

import requests

from kgtextvec.files import as_input_error, remove_leftovers, sha256_of, sync_folder
from kgtextvec.models.encoding import undo_encoding
from kgtextvec.models.fetch_errors import FetchError, NoSpace, RetryableError
from kgtextvec.models.transfer import PartialFile, Request, receive_file
from kgtextvec.progress import say
from kgtextvec.retry import RetryPolicy

MAX_RESTARTS = 3


def fetch(request: Request, policy: RetryPolicy | None = None) -> str:
    """Fetch `request.url` to `request.target`; return the file's sha256 (64 hex digits).

    Resumes the `.part` of an earlier process (Range + If-Range), retries after temporary faults
    (cut, reset, stall, trickle, 429, 5xx) with growing waits or the server's Retry-After, restarts
    when the content changed. Raises FetchError when this source cannot give the file (404, a web
    page, wrong checksum, too many failures) and NoSpace when the disk is too small.
    """
    policy = policy or RetryPolicy.from_environment()
    request.target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(request.target.parent.absolute())
    part = PartialFile(request.target.with_name(request.target.name + ".part"), request.url)
    part.recall()
    failures, restarts, ends = 0, 0, list[int]()
    with requests.Session() as session:
        while True:
            before = part.size
            try:
                receive_file(session, request, part, policy)
                return finish_file(request, part)
            except RetryableError as error:
                reason = error
            except OSError as error:
                raise disk_error(error, part) from error
            if not reason.restart and checksum_matches(request, part):
                return finish_file(request, part)
            ends.append(part.size)
            check_announced(request, part, ends)
            failures = 1 if part.size - before >= policy.progress else failures + 1
            restarts += reason.restart
            if (reason.final_if_repeated and restarts > 1) or restarts > MAX_RESTARTS:
                part.drop()
                raise FetchError(f"{request.url}: {reason}")
            if failures > policy.tries:
                raise FetchError(
                    f"{request.url}: gave up after {failures} failures in a row, the last:"
                    f" {reason} (what came is kept, the same command resumes)"
                )
            if reason.restart:
                part.drop()
            wait = policy.wait(failures, reason.wait)
            say(f"{request.target.name}: {reason}; trying again in {wait:.1f} s")
            time.sleep(wait)


def fetch_once(request: Request) -> Path:
    """Fetch a file unless one with the known digest is there; return its path."""
    target = request.target
    if not (request.sha256 and target.exists() and sha256_of(target) == request.sha256):
        fetch(request)
    return target


def checksum_matches(request: Request, part: PartialFile) -> bool:
    """Return whether the checksum proves the file complete, whatever length was announced."""
    return bool(request.sha256 and part.size and sha256_of(part.path) == request.sha256)


def check_announced(request: Request, part: PartialFile, ends: list[int]) -> None:
    """Raise FetchError if the server announces more than it sends, three times in a row."""
    same = len(ends) > 2 and ends[-1] > 0 and len(set(ends[-3:])) == 1
    if same and part.total is not None and part.size < part.total:
        total, size = part.total, part.size
        raise FetchError(
            f"{request.url}: the server announces {total} bytes and ends after {size} each time"
        )


def finish_file(request: Request, part: PartialFile) -> str:
    """Check the complete file and rename it. Raises RetryableError where a restart may help."""
    if not part.path.exists():
        part.path.touch()
    unsure = part.resumed or part.total is None
    if part.encoding not in ("", "identity"):
        try:
            undo_encoding(part.path, request.target.name, request.sha256)
        except ValueError as error:
            raise RetryableError(
                f"damaged on the way ({error})", restart=True, final_if_repeated=True
            ) from error
    size, digest = part.size, sha256_of(part.path)
    wrong = None
    if request.sha256 and digest != request.sha256:
        wrong = f"checksum mismatch: expected sha256 {request.sha256}, got {digest}"
    elif request.size is not None and size != request.size:
        wrong = f"size mismatch: expected {request.size} bytes, got {size}"
    elif not size:
        wrong = "the server sent an empty file"
    if wrong and unsure:
        raise RetryableError(wrong, restart=True, final_if_repeated=True)
    if wrong:
        part.drop()
        raise FetchError(f"{request.url}: {wrong}")
    if unsure and part.total is None and not request.sha256 and request.size is None:
        say(
            f"{request.target.name}: the server gave no length and no checksum is known, so that"
            " only the next step can find out whether the file is complete"
        )
    with part.path.open("rb+") as handle:
        os.fsync(handle.fileno())
    part.path.replace(request.target)
    sync_folder(request.target.parent)
    part.side.unlink(missing_ok=True)
    return digest


def disk_error(error: OSError, part: PartialFile) -> Exception:
    """Turn a full disk into NoSpace, and other faults of the disk into InputError where it fits."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        need = max((part.total or 0) - part.size, 1)
        return NoSpace(
            f"{part.path.parent}: not enough disk space ({os.strerror(error.errno)}), need"
            f" {need} bytes more. Free some and run the same command again: it resumes."
        )
    return as_input_error(error, part.path)
