"""`https:` and `http:`, one file on a server, such as an archive."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kgtextvec.models.sources import FileSource


class HttpSource(FileSource):
    """A file on a web server."""

    schemes = ("https", "http")
    form = "https://…tar.gz"
    needs_net = True

    def file_name(self, address: str, known: Sequence[str]) -> str:
        """Return the last part of the address's path."""
        return unquote(urlsplit(address).path.rstrip("/").rpartition("/")[2])

    def get_file(self, address: str, target: Path, sha256: str | None) -> Path:
        """Fetch the file to `target`."""
        from kgtextvec.models.fetch import fetch_once
        from kgtextvec.models.transfer import Request

        return fetch_once(Request(address, target, sha256))


SOURCE = HttpSource()
