"""Files of a model hub at a pinned commit, each checked against the hub's own listing.

Our own fetch moves the bytes: huggingface_hub's downloads do not retry a 503 and take wrong bytes
of the right size. The listing carries the sha256 of large files and git's digest of small ones.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from kgtextvec.files import sha256_of
from kgtextvec.models.fetch import FetchError, Request, fetch
from kgtextvec.models.known import wanted
from kgtextvec.models.sources import Source


def fetch_hub(source: Source, kind: str, folder: Path, expected: dict[str, str]) -> dict[str, str]:
    """Fetch the files a model needs to `folder`; return {name: sha256}.

    `expected` are digests already known. HF_ENDPOINT names another hub, HF_TOKEN is sent to it.
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    headers = sign_in(endpoint)
    listed = listing(endpoint, source, folder, headers)
    names = wanted(listed, kind)
    if "config.json" not in names and kind == "transformer":
        held = ", ".join(sorted(listed)[:5])
        raise FetchError(f"{source.text}: the repository holds no config.json, only {held}")
    digests = {}
    for name in names:
        about = listed[name]
        lfs = about.get("lfs") or {}
        sha256, git = expected.get(name) or lfs.get("sha256"), about.get("blobId")
        target = folder / name
        url = f"{endpoint}/{source.address}/resolve/{source.revision}/{quote(name)}"
        if target.exists() and (
            sha256_of(target) == sha256 or (not lfs and git_digest(target) == git)
        ):
            digests[name] = sha256_of(target)
            continue
        size = lfs.get("size") or about.get("size")
        digests[name] = fetch(Request(url, target, sha256, size, headers))
        if git and not lfs and git_digest(target) != git:
            target.unlink()
            raise FetchError(f"{url}: checksum mismatch with the hub's listing ({git})")
    return digests


def listing(
    endpoint: str, source: Source, folder: Path, headers: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """Return {name: {size, blobId, lfs}} of the files at the top of the repository."""
    url = f"{endpoint}/api/models/{source.address}/revision/{source.revision}?blobs=true"
    target = folder / ".listing.json"
    fetch(Request(url, target, headers=headers))
    try:
        answer = json.loads(target.read_text("utf-8"))
        commit = answer.get("sha") or source.revision
        files = {about["rfilename"]: about for about in answer["siblings"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FetchError(f"{url}: the answer is not a listing of files") from error
    finally:
        target.unlink(missing_ok=True)
    if commit != source.revision:
        raise FetchError(f"{url}: the hub answers for commit {commit}")
    return files


def newest_commit(address: str, folder: Path) -> str:
    """Ask the hub for the commit that owner/name is at now: 40 hex digits.

    Raises FetchError, an InputError, when there is no such repository or no way to the hub.
    """
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/api/models/{address}"
    target = folder / ".newest.json"
    fetch(Request(url, target, headers=sign_in(endpoint)))
    try:
        commit = str(json.loads(target.read_text("utf-8"))["sha"])
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{url}: the answer tells no commit") from error
    finally:
        target.unlink(missing_ok=True)
    return commit


def sign_in(endpoint: str) -> dict[str, str]:
    """Return the header with the user's token, if there is one and the way is encrypted."""
    from huggingface_hub import get_token

    parts = urlsplit(endpoint)
    token = get_token()
    if token and (parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost")):
        return {"Authorization": f"Bearer {token}"}
    return {}


def git_digest(path: Path) -> str:
    """Return git's id of a file's content: sha1 of `blob <size>`, NUL and the bytes."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
