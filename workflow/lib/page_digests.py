"""Files with the digests of pages and tables that no record describes: outputs of their rules."""

from pathlib import Path
from typing import Any

from snakemake.persistence import PersistenceBase

from kgtextvec.files import digest_file


def page_digests(folder: str, *names: str) -> list[str]:
    """Return the files that hold the digests of files in a folder, which may have wildcards.

    They are outputs, so that they get to where the files themselves get, also a bucket.
    """
    return [str(digest_file(Path(folder, name))) for name in names]


def is_page_digest(path: object) -> bool:
    """Return whether a file is named as one that holds the digest of another."""
    name = Path(str(path)).name
    return name.startswith(".") and name.endswith(".sha256")


def compare_without_page_digests() -> None:
    """Let Snakemake compare jobs with its records where these have no digests of pages.

    Results of an earlier version have none. Snakemake 9.27 would not notice that the params or
    inputs of a job have changed unless each of its outputs has a record.
    """

    def has_metadata(self: Any, job: Any) -> bool:
        outputs = (path for path in job.output if not is_page_digest(path))
        return all(self.metadata(path) is not None for path in outputs)

    PersistenceBase.has_metadata = has_metadata
