"""Rows of one node made one: the first row, with the text that a policy makes of all of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kgtextvec.texts.findings import Findings, plain

if TYPE_CHECKING:
    from kgtextvec.texts.table import UsableRows

BETWEEN_JOINED = "; "


class MergedNodes:
    """The texts of nodes that several rows have, by a hash of their key.

    `rows` yields a table's rows in a pass of its own; there are two, so that only the texts of
    repeated nodes are kept. `how`: first, longest (of equal ones the first), or join (each text
    once).
    """

    def __init__(self, how: str, rows: "Callable[[], Iterator[UsableRows]]") -> None:
        self.how = how
        self.texts: dict[int, list[str]] = {}
        self.done: set[int] = set()
        parts = [hashes_of_keys(block.columns) for block in rows()]
        hashes, counts = np.unique(
            np.concatenate([np.zeros(0, np.int64), *parts]), return_counts=True
        )
        repeated = set(hashes[counts > 1].tolist())
        if repeated:
            for block in rows():
                keys = hashes_of_keys(block.columns).tolist()
                for key, text in zip(keys, block.texts, strict=True):
                    if key in repeated:
                        self.texts.setdefault(key, []).append(text)

    def apply(
        self,
        columns: dict[str, list[str]],
        texts: list[str],
        lines: Sequence[int],
        findings: Findings,
    ) -> list[bool]:
        """Put the merged texts into those of a block; return which rows stay."""
        keep = [True] * len(texts)
        if not self.texts:
            return keep
        for row, key in enumerate(hashes_of_keys(columns).tolist()):
            if key not in self.texts:
                continue
            keep[row] = key not in self.done
            if keep[row]:
                self.done.add(key)
                texts[row] = self.text_of(self.texts[key])
            else:
                findings.add(
                    "merged_rows",
                    int(lines[row]),
                    f"line {lines[row]} ({plain(columns['id'][row])})",
                    title=f"row merged into an earlier row of the same node (merge: {self.how})",
                )
        return keep

    def text_of(self, texts: Sequence[str]) -> str:
        """Return the one text of a node that several rows have."""
        if self.how == "join":
            return BETWEEN_JOINED.join(dict.fromkeys(texts))
        return texts[0] if self.how == "first" else max(texts, key=len)


def hashes_of_keys(columns: dict[str, list[str]]) -> NDArray[np.int64]:
    """Return a hash of each row's id and label, (n,)."""
    pairs = zip(columns["id"], columns["label"], strict=True)
    return np.array([hash(pair) for pair in pairs], dtype=np.int64)
