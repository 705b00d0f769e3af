"""`gdrive:`, a public file on Google Drive, and what Drive's pages mean.

Drive answers with the file, or with a page: a warning that it is too large to be scanned (with a
form to continue), a quota, a sign-in. gdown reads older pages; our own fetch moves the bytes, since
gdown does not retry after server errors and cannot be pointed elsewhere.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from kgtextvec.errors import InputError
from kgtextvec.models.fetch_errors import FetchError
from kgtextvec.models.sources import FileSource

DRIVE_HOST = "https://drive.usercontent.google.com"
GOOGLE_DOMAINS = (".google.com", ".googleusercontent.com")


class DriveSource(FileSource):
    """A file on Google Drive, shared with everyone."""

    schemes = ("gdrive",)
    form = "gdrive:<id>"
    needs_net = True

    def check(self, address: str) -> None:
        """Raise InputError for what cannot be a Drive id, such as a complete link."""
        if not re.fullmatch(r"gdrive:[\w-]{10,100}", address):
            raise InputError(
                f"{address!r} must be gdrive: and the id alone, the letters between /d/ and /view"
                " of the link."
            )

    def file_name(self, address: str, known: Sequence[str]) -> str:
        """Return the only known name, else the id: the address does not have the name."""
        return known[0] if len(known) == 1 else address.partition(":")[2]

    def get_file(self, address: str, target: Path, sha256: str | None) -> Path:
        """Fetch the file to `target`."""
        from kgtextvec.models.fetch import fetch_once
        from kgtextvec.models.transfer import Request

        url = drive_url(address.partition(":")[2])
        return fetch_once(Request(url, target, sha256, on_page=read_drive_page))


SOURCE = DriveSource()


def drive_url(ident: str) -> str:
    """Return where a file is; KGTEXTVEC_GDRIVE names another host, such as a mirror."""
    base = os.environ.get("KGTEXTVEC_GDRIVE") or DRIVE_HOST
    query = urlencode({"id": ident, "export": "download", "confirm": "t"})
    return f"{base.rstrip('/')}/download?{query}"


def read_drive_page(text: str, url: str) -> str:
    """Return the address that a page of Drive leads to.

    Raises FetchError, which says why there is none.
    """
    from kgtextvec.models.web_pages import form_address, page_title

    title = page_title(text)
    page = f"{url}: a web page came in place of the file, {title}"
    low = text.lower()
    if "accounts.google.com" in (urlsplit(url).hostname or "") or "sign in" in title.lower():
        raise FetchError(f"{page}: the file is not shared with everyone, it needs a sign-in")
    if "quota exceeded" in low or "too many users have viewed" in low:
        raise FetchError(f"{page}: too many downloads lately, try again in a day")
    onward = form_address(text, "download-form", url) or address_in_older_page(text)
    if onward is None:
        raise FetchError(page)
    host, here = urlsplit(onward).hostname or "", urlsplit(url).hostname
    if host != here and not host.endswith(GOOGLE_DOMAINS):
        raise FetchError(f"{page}: it leads to {host}, which is not Drive")
    return onward


def address_in_older_page(text: str) -> str | None:
    """Let gdown read the page; None if it finds no address in it."""
    from gdown.download import get_url_from_gdrive_confirmation
    from gdown.exceptions import FileURLRetrievalError

    try:
        return str(get_url_from_gdrive_confirmation(text))
    except (FileURLRetrievalError, AssertionError, KeyError):
        return None
