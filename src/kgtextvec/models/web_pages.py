"""Web pages that come in place of a file: recognize them, read their title and their form."""

import re
import zlib
from html import unescape
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

MARKUP = re.compile(rb"<(!doctype\s+html|html|head|body|title|meta)\b", re.IGNORECASE)


def looks_like_page(head: bytes, kind: str) -> bool:
    """Return from the first bytes whether this is HTML; `kind` is the Content-Type header.

    A text/html label alone does not count: servers put it on files of unknown type.
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:2048]
    if MARKUP.match(start):
        return True
    markup = start.startswith((b"<!--", b"<?xml")) or "html" in kind.lower()
    return markup and start.startswith(b"<") and bool(MARKUP.search(start))


def decoded_head(head: bytes, encoding: str) -> bytes:
    """Return as much of `head` as can be read once its Content-Encoding is undone."""
    if encoding in ("", "identity"):
        return head
    for bits in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        try:
            return zlib.decompressobj(bits).decompress(head, 1 << 20)
        except zlib.error:
            continue
    return head


def page_title(text: str) -> str:
    """Return the page's title for a message: `titled 'Quota exceeded'`, or its first words."""
    found = re.search(r"<title[^>]*>(.*?)</title", text, re.IGNORECASE | re.DOTALL)
    words = found.group(1) if found else re.sub(r"<[^>]*>", " ", text)
    plain = "".join(c if c.isprintable() else " " for c in unescape(words))
    return f"{'titled' if found else 'saying'} '{' '.join(plain.split())[:100]}'"


class HtmlForm(HTMLParser):
    """The form with a certain id: its action and its hidden inputs."""

    def __init__(self, ident: str) -> None:
        super().__init__()
        self.ident, self.inside = ident, False
        self.action: str | None = None
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the form's action and its hidden inputs."""
        of = {name: value or "" for name, value in attrs}
        if tag == "form" and of.get("id") == self.ident:
            self.inside, self.action = True, of.get("action", "")
        elif tag == "input" and self.inside and of.get("type") == "hidden" and of.get("name"):
            self.hidden[of["name"]] = of.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """Leave the form."""
        if tag == "form":
            self.inside = False


def form_address(text: str, ident: str, base: str) -> str | None:
    """Return the address that submitting the form `ident` of a page at `base` leads to."""
    form = HtmlForm(ident)
    form.feed(text)
    if form.action is None:
        return None
    parts = urlsplit(urljoin(base, form.action))
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | form.hidden
    return urlunsplit(parts._replace(query=urlencode(query), fragment=""))
