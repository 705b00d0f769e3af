"""`hub:`, files of a model hub at one commit, each checked against the hub's own listing.

A branch, a tag or a name alone is resolved to a commit once, and the lock file keeps it.

Our own fetch moves the bytes: huggingface_hub's downloads do not retry after a 503 and accept wrong
bytes of the right size. The listing has the sha256 of large files and git's digest of small ones.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from kgtextvec.errors import InputError
from kgtextvec.files import parse_json, sha256_of
from kgtextvec.models.fetch_errors import FetchError
from kgtextvec.models.known import is_model, wanted
from kgtextvec.models.sources import Destination, Files, FolderSource
from kgtextvec.models.weight_forms import refuse_other_forms

MOST_ANSWER_BYTES = 64 << 20
HUB_ADDRESS = re.compile(r"(?i:hub):[\w.-]+(/[\w.-]+)?(@[\w.+/-]+)?")
COMMIT = re.compile("[0-9a-f]{40}")


class HubSource(FolderSource):
    """A model hub. HF_ENDPOINT names another one, HF_TOKEN is sent to it."""

    schemes = ("hub",)
    form = "hub:owner/name[@<branch, tag or commit>]"
    needs_net = True

    def check(self, address: str) -> None:
        """Raise InputError unless the address names a repository."""
        if not HUB_ADDRESS.fullmatch(address) or ".." in address:
            raise InputError(
                f"{address!r} must be hub:owner/name, hub:owner/name@<branch or tag> or"
                " hub:owner/name@<the commit's 40 hex digits>."
            )

    def revision(self, address: str) -> str | None:
        """Return the commit, if the address has one."""
        revision = repository_and_revision(address)[1]
        return revision if COMMIT.fullmatch(revision) else None

    def pinned(self, address: str, commits: Mapping[str, str]) -> str | None:
        """Return the address with its commit, or with the one that the lock file has for it.

        A name alone refers to the commit that was taken of this repository, whatever its address.
        """
        name, revision = repository_and_revision(address)
        if COMMIT.fullmatch(revision):
            return address
        known = commits.get(address, "")
        if not known and not revision:
            same = (commit for one, commit in commits.items() if is_of_repository(one, name))
            known = next(same, "")
        return f"hub:{name}@{known}" if COMMIT.fullmatch(known) else None

    def resolve(self, address: str, folder: Path) -> str:
        """Ask the hub for the commit of a branch or tag, or the newest one of the repository."""
        name, revision = repository_and_revision(address)
        return f"hub:{name}@{newest_commit(name, folder, revision)}"

    def files_placed_by_hand(self, present: Iterable[str], kind: str) -> list[str]:
        """Return the files that a model needs; a transformer's only if config.json is there."""
        names = wanted(present, kind)
        return names if kind != "transformer" or is_model(names) else []

    def get_files(self, address: str, to: Destination) -> Files:
        """Fetch the files that a model needs."""
        from kgtextvec.models.fetch import fetch
        from kgtextvec.models.transfer import Request

        endpoint = hub_endpoint()
        repository, revision = repository_and_revision(address)
        headers = hub_headers(endpoint)
        listed = list_repository(endpoint, repository, revision, to.cache, headers)
        names = wanted(listed, to.kind)
        if to.kind == "transformer":
            refuse_other_forms(address, listed)
        if to.kind == "transformer" and not is_model(names):
            held = ", ".join(sorted(listed)[:5])[:200]
            raise FetchError(f"{address}: the repository holds no config.json, only {held}")
        for name in names:
            entry = listed[name]
            lfs = entry.get("lfs") or {}
            sha256, git = to.digests.get(name) or lfs.get("sha256"), entry.get("blobId")
            target = to.cache / name
            url = f"{endpoint}/{repository}/resolve/{revision}/{quote(name)}"
            if target.exists() and (
                sha256_of(target) == sha256 or (not lfs and git_digest(target) == git)
            ):
                continue
            fetch(Request(url, target, sha256, lfs.get("size") or entry.get("size"), headers))
            if git and not lfs and git_digest(target) != git:
                target.unlink()
                raise FetchError(f"{url}: checksum mismatch with the hub's listing ({git})")
        return {name: to.cache / name for name in names}


SOURCE = HubSource()


def repository_and_revision(address: str) -> tuple[str, str]:
    """Return owner/name and the branch, tag or commit of a well-formed address; "" for none."""
    name, _, revision = address.partition(":")[2].partition("@")
    return name, revision


def is_of_repository(address: str, name: str) -> bool:
    """Return whether an address is one of that repository, at whatever revision."""
    return bool(HUB_ADDRESS.fullmatch(address)) and repository_and_revision(address)[0] == name


def hub_endpoint() -> str:
    """Return the hub's address."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def list_repository(
    endpoint: str, repository: str, revision: str, folder: Path, headers: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """Return {name: {size, blobId, lfs}} of the files at the top of the repository."""
    url = f"{endpoint}/api/models/{repository}/revision/{revision}?blobs=true"
    answer = ask_hub(url, folder, headers)
    try:
        commit = answer.get("sha") or revision
        files = {entry["rfilename"]: entry for entry in answer["siblings"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise FetchError(f"{url}: the answer is not a listing of files") from error
    if commit != revision:
        raise FetchError(f"{url}: the hub answers for commit {str(commit)[:80]}")
    return files


def newest_commit(repository: str, folder: Path, revision: str = "") -> str:
    """Ask the hub for the newest commit of owner/name, or of a branch or tag: 40 hex digits.

    Raises FetchError, an InputError, when there is no such repository or no way to the hub.
    """
    endpoint = hub_endpoint()
    at = f"/revision/{quote(revision, safe='')}" if revision else ""
    url = f"{endpoint}/api/models/{repository}{at}"
    answer = ask_hub(url, folder, hub_headers(endpoint))
    commit = answer.get("sha") if isinstance(answer, dict) else None
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise FetchError(f"{url}: the answer has no commit")
    return commit


def ask_hub(url: str, folder: Path, headers: dict[str, str]) -> Any:
    """Return the JSON at an address of the hub; `folder` holds the answer meanwhile."""
    from kgtextvec.models.fetch import fetch
    from kgtextvec.models.transfer import Request

    target = folder / ".answer.json"
    try:
        fetch(Request(url, target, headers=headers, most=MOST_ANSWER_BYTES))
        return parse_json(target.read_text("utf-8"))
    except ValueError as error:
        raise FetchError(f"{url}: the answer is not JSON") from error
    finally:
        target.unlink(missing_ok=True)


def hub_headers(endpoint: str) -> dict[str, str]:
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
