"""Fetch one file over http(s) so that it is whole and right, or say why not.

Bytes go to `<name>.part` beside the target; a side file remembers the address and the validator
(ETag or Last-Modified), so that a later process resumes. Only a file whose length and checksum
fit gets its final name.
"""

import errno
import os
import time

import requests

from kgtextvec.files import as_input_error, sha256_of, sync_folder
from kgtextvec.models.encoding import undo_encoding
from kgtextvec.models.patience import Patience
from kgtextvec.models.transfer import Again, FetchError, NoSpace, Part, Request, receive
from kgtextvec.progress import say

__all__ = ["FetchError", "NoSpace", "Request", "fetch"]

FRESH_STARTS = 3


def fetch(request: Request, patience: Patience | None = None) -> str:
    """Fetch `request.url` to `request.target`; return the file's sha256 (64 hex digits).

    Resumes the `.part` of an earlier process (Range + If-Range), retries what may pass (cut,
    reset, stall, trickle, 429, 5xx) with growing waits or the Retry-After of the server, starts
    over when the content changed. Raises FetchError when this source is of no use (404, a web
    page, wrong checksum, patience at its end) and NoSpace when the disk is too small.
    """
    patience = patience or Patience.from_environment()
    request.target.parent.mkdir(parents=True, exist_ok=True)
    part = Part(request.target.with_name(request.target.name + ".part"), request.url)
    part.recall()
    failures, starts, ends = 0, 0, list[int]()
    with requests.Session() as session:
        while True:
            before = part.size
            try:
                receive(session, request, part, patience)
                return finish(request, part)
            except Again as error:
                reason = error
            except OSError as error:
                raise of_disk(error, part) from error
            if not reason.afresh and is_whole(request, part):
                return finish(request, part)
            ends.append(part.size)
            check_announced(request, part, ends)
            failures = 1 if part.size - before >= patience.progress else failures + 1
            starts += reason.afresh
            if (reason.doubt and starts > 1) or starts > FRESH_STARTS:
                part.drop()
                raise FetchError(f"{request.url}: {reason}")
            if failures > patience.tries:
                raise FetchError(
                    f"{request.url}: gave up after {failures} failures in a row, the last:"
                    f" {reason} (what came is kept, the same command resumes)"
                )
            if reason.afresh:
                part.drop()
            wait = patience.wait(failures, reason.wait)
            say(f"{request.target.name}: {reason}; trying again in {wait:.1f} s")
            time.sleep(wait)


def is_whole(request: Request, part: Part) -> bool:
    """Tell whether the checksum proves the bytes to be all, whatever length was announced."""
    return bool(request.sha256 and part.size and sha256_of(part.path) == request.sha256)


def check_announced(request: Request, part: Part, ends: list[int]) -> None:
    """Raise FetchError if the server announces more than it sends, again and again."""
    same = len(ends) > 2 and ends[-1] > 0 and len(set(ends[-3:])) == 1
    if same and part.total is not None and part.size < part.total:
        total, size = part.total, part.size
        raise FetchError(
            f"{request.url}: the server announces {total} bytes and ends after {size} each time"
        )


def finish(request: Request, part: Part) -> str:
    """Check the whole file and give it its name. Raises Again where a fresh start may help."""
    if not part.path.exists():
        part.path.touch()
    unsure = part.resumed or part.total is None
    if part.encoding not in ("", "identity"):
        try:
            undo_encoding(part.path, request.target.name, request.sha256)
        except ValueError as error:
            raise Again(f"damaged on the way ({error})", afresh=True, doubt=True) from error
    size, digest = part.size, sha256_of(part.path)
    wrong = None
    if request.sha256 and digest != request.sha256:
        wrong = f"checksum mismatch: expected sha256 {request.sha256}, got {digest}"
    elif request.size is not None and size != request.size:
        wrong = f"size mismatch: expected {request.size} bytes, got {size}"
    elif not size:
        wrong = "the server sent an empty file"
    if wrong and unsure:
        raise Again(wrong, afresh=True, doubt=True)
    if wrong:
        part.drop()
        raise FetchError(f"{request.url}: {wrong}")
    if unsure and part.total is None and not request.sha256 and request.size is None:
        say(
            f"{request.target.name}: the server told no length and no checksum is known, so that"
            " only the next step can tell whether the file is whole"
        )
    with part.path.open("rb+") as handle:
        os.fsync(handle.fileno())
    part.path.replace(request.target)
    sync_folder(request.target.parent)
    part.side.unlink(missing_ok=True)
    return digest


def of_disk(error: OSError, part: Part) -> Exception:
    """Turn a full disk into NoSpace, and other faults of the disk into what a user can mend."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        need = max((part.total or 0) - part.size, 1)
        return NoSpace(
            f"{part.path.parent}: not enough disk space ({os.strerror(error.errno)}), need"
            f" {need} bytes more. Free some and run the same command again: it resumes."
        )
    return as_input_error(error, part.path)
