"""kgtextvec: texts of a biomedical knowledge graph in, initial embeddings out."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kgtextvec.space import Space

__version__ = "0.1.0"


def open(path: "Path | str", verify: bool = False) -> "Space":
    """Open a space's folder: vectors, index, `get` and `align`. See docs/python.md.

    Headers, sizes and numbers of rows are checked; with `verify` every byte of vectors and index.
    """
    from kgtextvec.space import Space

    return Space(path, verify)
