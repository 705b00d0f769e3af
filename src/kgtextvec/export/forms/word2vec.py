"""word2vec's binary form, for gensim and others: vectors to look up and to search."""

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgtextvec.errors import InputError
from kgtextvec.export.forms import ExportForm, template_beside
from kgtextvec.files import whole_file
from kgtextvec.progress import Progress

if TYPE_CHECKING:
    from kgtextvec.space import Space

BLANK = re.compile(r"\s")


def write_word2vec(space: "Space", folder: Path, model: str) -> dict[str, Any]:
    """Write {kind}.bin, word2vec's binary form: the key is the node id.

    A key ends at a blank there: blanks in ids become %20 and the like, and are counted. Of rows
    with one node id the first is taken.
    """
    import numpy as np
    import pyarrow as pa

    from kgtextvec.checksums import HashedFile
    from kgtextvec.export.trainers import finite_blocks

    rows = space.first_rows()
    ids = space.column("node_id").take(pa.array(rows)).to_pylist()
    keys = [BLANK.sub(percent_encoded, key) if BLANK.search(key) else key for key in ids]
    if len(set(keys)) != len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        same = " and ".join(repr(one) for one, key in zip(ids, keys, strict=True) if key == twice)
        raise InputError(
            f"{space.folder}: the ids {same} would be one key, since blanks become %20 and the"
            " like. Rename one of them, or leave word2vec out of exports."
        )
    path = folder / f"{space.kind.name}.bin"
    at = 0
    with (
        whole_file(path) as part,
        part.open("wb") as file,
        Progress("export", len(rows), unit="rows") as progress,
    ):
        hashed = HashedFile(file)
        hashed.write(f"{len(rows)} {space.dims}\n".encode())
        for block in finite_blocks(space, rows):
            packed = block.reshape(len(block), -1).view(np.uint8)
            hashed.write(
                b"".join(
                    key.encode() + b" " + vector.tobytes() + b"\n"
                    for key, vector in zip(keys[at : at + len(block)], packed, strict=True)
                )
            )
            at += len(block)
            progress.add(len(block))
    changed = sum(key != one for key, one in zip(keys, ids, strict=True))
    return {
        "file": path.name,
        "rows": len(rows),
        "keys_with_blanks": changed,
        "xxh3_128": hashed.xxh3,
    }


def percent_encoded(found: re.Match[str]) -> str:
    """Write a blank as %20 and the like."""
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


FORM = ExportForm(
    "gensim and others that read word2vec's binary form",
    template_beside(__file__),
    write_table=write_word2vec,
)
