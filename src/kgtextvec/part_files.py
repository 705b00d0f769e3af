"""Part files: several files that are one table or one graph."""

from collections.abc import Sequence
from pathlib import Path

from kgtextvec.errors import InputError


def name_of_parts(paths: Sequence[Path]) -> str:
    """Return what part files are called together: the first one's name and how many follow."""
    first, *more = paths
    return f"{first.name} and {len(more)} more" if more else first.name


def begins_alike(one: str, two: str) -> int:
    """Return how many characters two names have in common at their beginning."""
    pairs = zip(one, two, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(two)))


def own_header(path: Path, headers: Sequence[Path]) -> Path:
    """Return the header file whose name begins most like a file's. Raises InputError at a tie."""
    if len(headers) == 1:
        return headers[0]
    shared = [begins_alike(path.name, header.name) for header in headers]
    best = max(shared)
    if not best or shared.count(best) > 1:
        raise InputError(
            f"{path}: its header can't be recognised by name among {len(headers)} header files."
            " Name them alike: Gene-header.csv, Gene-part000.csv."
        )
    return headers[shared.index(best)]
