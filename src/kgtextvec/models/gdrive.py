"""Files on Google Drive: the address of a public file, and what Drive's pages mean.

Drive answers with the file, or with a page: a warning that it is too large to be scanned (a form
leads on), a quota, a sign-in. gdown knows how older pages lead on; the bytes are moved by our own
fetch, since gdown does not retry errors of the server and cannot be pointed elsewhere.
"""

import os
from urllib.parse import urlencode, urlsplit

from kgtextvec.models.pages import form_address, page_title
from kgtextvec.models.transfer import FetchError

HOST = "https://drive.usercontent.google.com"
OWN = (".google.com", ".googleusercontent.com")


def drive_address(ident: str) -> str:
    """Return where a file lies; KGTEXTVEC_GDRIVE names another host, such as a mirror."""
    base = os.environ.get("KGTEXTVEC_GDRIVE") or HOST
    query = urlencode({"id": ident, "export": "download", "confirm": "t"})
    return f"{base.rstrip('/')}/download?{query}"


def read_drive_page(text: str, url: str) -> str:
    """Return where a page of Drive leads to, or raise FetchError that tells what it wants."""
    title = page_title(text)
    page = f"{url}: a web page came in place of the file, {title}"
    low = text.lower()
    if "accounts.google.com" in (urlsplit(url).hostname or "") or "sign in" in title.lower():
        raise FetchError(f"{page}: the file is not shared with everyone, it needs a sign-in")
    if "quota exceeded" in low or "too many users have viewed" in low:
        raise FetchError(f"{page}: too many downloads lately, try again in a day")
    onward = form_address(text, "download-form", url) or older_page(text)
    if onward is None:
        raise FetchError(page)
    host, here = urlsplit(onward).hostname or "", urlsplit(url).hostname
    if host != here and not host.endswith(OWN):
        raise FetchError(f"{page}: it leads to {host}, which is not Drive")
    return onward


def older_page(text: str) -> str | None:
    """Let gdown read the page; None if it finds no way on."""
    from gdown.download import get_url_from_gdrive_confirmation
    from gdown.exceptions import FileURLRetrievalError

    try:
        return str(get_url_from_gdrive_confirmation(text))
    except (FileURLRetrievalError, AssertionError, KeyError):
        return None
