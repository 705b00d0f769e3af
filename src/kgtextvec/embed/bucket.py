"""A vector store in a bucket: s3://bucket/prefix, gs://… or az://….

The same parts under the same names as in a folder. A part is written by one conditional request
("only if there is none of that name"), which a bucket does whole or not at all, so neither locks
nor a rename are needed. Credentials come from the environment, as for the cloud's own tools.
"""

import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.embed.store import Store
from kgtextvec.errors import InputError
from kgtextvec.files import digest_of, parse_json
from kgtextvec.locations import need_package

SCHEMES = ("s3", "gs", "az")
READERS_AT_ONCE = 16
# A server that asks for patience (503 SlowDown) gets this much; a wrong address is found sooner.
PATIENT = {"max_retries": 30, "retry_timeout": timedelta(minutes=5)}
QUICK = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
ASKS_FOR_PATIENCE = "SlowDown|status code: 503"
# What an error says, in the order in which it is looked for. A number alone may be a port, or the
# milliseconds that a request took.
BUCKET_ADVICE = (
    (r"NoSuchBucket|bucket.*not found", "there is no such bucket; create it, or correct the name"),
    (
        r"RequestTimeTooSkewed|RequestExpired",
        "this machine's clock is wrong; set it (for instance by NTP)",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|Unauthenticated"
        r"|status code: 401",
        "the credentials are not valid there; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and"
        " AWS_SESSION_TOKEN, or renew them",
    ),
    (
        r"AccessDenied|PermissionDenied|status code: 403",
        "access is denied; these credentials must be allowed to list, get and put there",
    ),
    (
        r"SlowDown|ServiceUnavailable|status code: 50[0-9]",
        "the server is overloaded or failing; run the same command again later: it resumes",
    ),
    (
        r"dns error|Connect|error sending request|error trying to connect|timed out|Redirect",
        "the server cannot be reached; check AWS_ENDPOINT_URL and the network",
    ),
)


class BucketStore(Store):
    """The vectors made by one fingerprint, below a URL. Paths of parts are their names."""

    def __init__(self, url: str, fingerprint: dict[str, Any]) -> None:
        """Look at the bucket once. Raises InputError when it can't be reached or listed."""
        self.name = digest_of(fingerprint)[:32]
        self.url = f"{url.rstrip('/')}/{self.name}"
        self.fingerprint = fingerprint
        self.client = open_bucket(self.url)
        self.described = False

    def parts(self) -> list[Path]:
        """Return the names of the parts, ascending."""
        with bucket_errors(self.url):
            found = [about["path"] for page in self.client.list() for about in page]
        return sorted(Path(name) for name in found if re.fullmatch(r"\w+\.safetensors", name))

    def read_bytes(self, path: Path, start: int = 0, end: int | None = None) -> bytes:
        """Return a part's bytes from `start` to `end`. Raises FileNotFoundError if it has gone."""
        with bucket_errors(f"{self.url}/{path}"):
            if end is None:
                return bytes(self.client.get(str(path)).bytes())[start:]
            return bytes(self.client.get_range(str(path), start=start, end=end))

    def put(self, name: str, data: bytes) -> Path:
        """Write a part by one request; another writer's part of that name has the same bytes."""
        if not self.described:
            about = json.dumps(self.fingerprint, indent=2, ensure_ascii=False) + "\n"
            self.put_new("about.json", about.encode())
            self.described = True
        self.put_new(name, data)
        return Path(name)

    def put_new(self, name: str, data: bytes) -> None:
        """Write an object unless there is one of that name."""
        from obstore.exceptions import AlreadyExistsError

        with bucket_errors(f"{self.url}/{name}"):
            try:
                self.client.put(name, data, mode="create")
            except AlreadyExistsError:
                return

    def move_aside(self, path: Path) -> str:
        """Move a part below `damaged/`; returns where it is, "" if another process was faster."""
        aside = f"damaged/{path}"
        try:
            with bucket_errors(f"{self.url}/{path}"):
                self.client.copy(str(path), aside)
                self.client.delete(str(path))
        except FileNotFoundError:
            return ""
        return f"{self.url}/{aside}"

    def size_of(self, path: Path) -> int:
        """Return a part's bytes."""
        with bucket_errors(f"{self.url}/{path}"):
            return int(self.client.head(str(path))["size"])

    def count_damaged(self) -> int:
        """Return how many parts are set aside."""
        with bucket_errors(self.url):
            return sum(len(page) for page in self.client.list("damaged"))

    def locked(self, name: str) -> AbstractContextManager[bool]:
        """Return a block without a lock: two jobs on the same texts would both be right."""
        return nullcontext(False)

    def need_space(self, size: int) -> None:
        """Do nothing: a bucket has space."""

    def keys_of_parts(self, paths: list[Path]) -> Iterator[tuple[Path, NDArray[np.uint8] | None]]:
        """Yield each part with its keys; several are read at once."""
        with ThreadPoolExecutor(READERS_AT_ONCE) as threads:
            for start in range(0, len(paths), READERS_AT_ONCE):
                some = paths[start : start + READERS_AT_ONCE]
                yield from zip(some, threads.map(self.keys_in, some), strict=True)


def fingerprints_in_bucket(url: str) -> list[dict[str, Any]]:
    """Return what each folder of a store in a bucket says of itself."""
    client = open_bucket(url)
    with bucket_errors(url):
        folders = client.list_with_delimiter()["common_prefixes"]
        records = {one: bytes(client.get(f"{one}/about.json").bytes()) for one in folders}
    try:
        return [parse_json(record) for record in records.values()]
    except ValueError as error:
        raise InputError(
            f"{url}: an about.json in it is not valid JSON ({error}). Delete that folder."
        ) from None


def open_bucket(url: str, endpoint: str | None = None) -> Any:
    """Return a client for the objects below a URL, once the bucket has answered.

    `endpoint`: the server's address, by default AWS_ENDPOINT_URL or the cloud's own.
    Raises InputError, one line, when it can't be reached or listed.
    """
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        raise InputError(
            f"{url}: a store is a folder, or a bucket as one of"
            f" {', '.join(f'{each}://…' for each in SCHEMES)}. Correct the config's store."
        )
    need_package("obstore", "s3", f"{url}: stores in buckets")
    from obstore.store import from_url

    options = s3_options(url, endpoint) if scheme == "s3" else {}
    with bucket_errors(url):
        trial = from_url(url, retry_config=QUICK, **options)
        try:
            next(iter(trial.list(chunk_size=1)), None)
        except Exception as error:
            if not re.search(ASKS_FOR_PATIENCE, str(error)):
                raise
        return from_url(url, retry_config=PATIENT, **options)


def s3_options(url: str, endpoint: str | None) -> dict[str, Any]:
    """Return what obstore needs to know of S3: endpoint, region, credentials as boto3 finds them.

    Raises InputError when there are no credentials.
    """
    need_package("boto3", "s3", f"{url}: stores in buckets")
    from boto3 import Session
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = Session()
    if session.get_credentials() is None:
        raise InputError(
            f"{url}: no credentials for S3. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or"
            " AWS_PROFILE."
        )
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        endpoint = endpoint or os.environ.get(name)
    options: dict[str, Any] = {
        "credential_provider": Boto3CredentialProvider(session),
        "region": session.region_name or "us-east-1",
        "config": {"checksum_algorithm": "SHA256"},
    }
    if endpoint:
        options["endpoint"] = endpoint
        options["client_options"] = {"allow_http": endpoint.startswith("http://")}
    return options


@contextmanager
def bucket_errors(url: str) -> Iterator[None]:
    """Turn obstore's errors in this block into InputError; a missing object: FileNotFoundError.

    The line never repeats the server's words, which may hold what identifies the caller.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:  # obstore's NotFoundError is one
        if "NoSuchBucket" in str(error):
            raise InputError(f"{url}: {BUCKET_ADVICE[0][1]}.") from None
        raise
    except (BaseError, OSError) as error:
        words = f"{type(error).__name__} {error}"
        advice = next((advice for known, advice in BUCKET_ADVICE if re.search(known, words)), None)
        if advice is None:
            raise
        raise InputError(f"{url}: {advice}.") from None
