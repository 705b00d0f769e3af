"""What a table's rows are like: labels, lengths, odd characters, repeated keys and texts."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.texts.findings import LISTED, Findings, plain

if TYPE_CHECKING:
    from kgtextvec.texts.table import UsableRows

# A word is at least one token of any model here, and 512 tokens hold 510 and two special ones.
LONG_WORDS = 510
QUANTILES = (0, 5, 25, 50, 75, 95, 99, 100)
ODD = {
    "control": r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]",
    "zero_width": "[\u200b-\u200d\u2060\ufeff]",
    "direction": "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]",
    "soft_hyphen": "\u00ad",
    "no_break_space": "[\u00a0\u202f]",
    "line_separator": "[\u2028\u2029]",
    "replacement": "\ufffd",
    "private_use": "[\ue000-\uf8ff\U000f0000-\U0010ffff]",
    "combining": "[\u0300-\u036f]",
    "mojibake": "[\u00c2\u00c3\u00e2][\u0080-\u00bf\u20ac\u201a-\u201e\u2020-\u2030]",
}
ODD_PATTERNS = {name: re.compile(pattern) for name, pattern in ODD.items()}
ODD_ANY = re.compile("|".join(ODD.values()))


@dataclass
class Quality:
    """Counts gathered row by row; about 60 bytes a row are kept."""

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)
    duplicates: dict[str, int] = field(default_factory=lambda: {"same_text": 0, "other_text": 0})
    distinct_texts: int = 0

    def __post_init__(self) -> None:
        """Begin with no rows."""
        self.digest_parts: list[NDArray[np.uint8]] = []
        self.line_parts: list[NDArray[np.int64]] = []
        self.key_parts: list[NDArray[np.int64]] = []
        self.length_parts: list[NDArray[np.int32]] = []
        # Position of each row's text among the distinct texts sorted by sha256, once finished.
        self.text_index = np.zeros(0, dtype=np.int64)

    def add(self, rows: "UsableRows", key: str, odd: bool) -> None:
        """Count a block of rows; `key` is the column that with `label` makes a row's key.

        `odd` says whether plain ASCII texts may hold control characters.
        """
        ids, labels, texts = rows.columns[key], rows.columns["label"], rows.texts
        self.rows += len(texts)
        self.labels.update(labels)
        # Two keyed 64-bit hashes of different strings: equal pairs are equal keys.
        pairs = ids if key == "relation_type" else map("\t".join, zip(ids, labels, strict=True))
        hashes = [hash(pair) for pair in pairs], [hash(one) for one in ids]
        self.key_parts.append(np.array(hashes, dtype=np.int64))
        self.line_parts.append(rows.lines)
        self.digest_parts.append(rows.digests)
        words = [text.count(" ") + 1 for text in texts]
        self.length_parts.append(np.array([list(map(len, texts)), words], dtype=np.int32))
        for text in texts:
            if (not text.isascii() or odd) and ODD_ANY.search(text):
                for name, pattern in ODD_PATTERNS.items():
                    if found := len(pattern.findall(text)):
                        self.odd[name] += found

    def digests(self) -> NDArray[np.uint8]:
        """Return the sha256 of every row's text, (rows, 32)."""
        return np.concatenate(self.digest_parts) if self.rows else np.zeros((0, 32), np.uint8)

    def keys(self) -> NDArray[np.int64]:
        """Return a hash of every row's key, (rows,)."""
        return np.concatenate(self.key_parts, axis=1)[0] if self.rows else np.zeros(0, np.int64)

    def lines(self) -> NDArray[np.int64]:
        """Return the line that every row starts at, (rows,)."""
        return np.concatenate(self.line_parts) if self.rows else np.zeros(0, np.int64)

    def finish(
        self, findings: Findings, policy: str, keys: tuple[str, ...], unit: str = "line"
    ) -> None:
        """Find repeated keys and count distinct texts, once all rows are in.

        `unit`: what rows are counted in, `line` or `row`.
        """
        if not self.rows:
            return
        digests = self.digests()
        order, first = in_order(digests)
        self.text_index = np.empty(self.rows, dtype=np.int64)
        self.text_index[order] = np.cumsum(first) - 1
        self.distinct_texts = int(first.sum())
        pairs, ids = np.concatenate(self.key_parts, axis=1)
        lines = np.concatenate(self.line_parts)
        order = np.argsort(pairs, kind="stable")
        again = (np.diff(pairs[order]) == 0) & (np.diff(ids[order]) == 0)
        if not again.any():
            return
        # Runs of equal keys: each row of a run is held against the run's first.
        starts = np.flatnonzero(np.concatenate(([True], ~again)))
        first_of = order[np.repeat(starts, np.diff(np.append(starts, len(order))))]
        repeats = order[1:][again]
        firsts = first_of[1:][again]
        same = (digests[repeats] == digests[firsts]).all(axis=1)
        self.duplicates = {"same_text": int(same.sum()), "other_text": int((~same).sum())}
        if policy == "ok":
            return
        key = " and ".join(keys)
        for kind, chosen, what in (
            ("duplicate_rows", same, f"same {key}, same text"),
            ("duplicate_keys", ~same, f"same {key}, DIFFERENT text"),
        ):
            if not chosen.any():
                continue
            places = np.flatnonzero(chosen)
            places = places[np.argsort(repeats[places])][:LISTED]
            error = policy == "error"
            for number, place in enumerate(places, 1):
                line, first = lines[repeats[place]], lines[firsts[place]]
                findings.add(
                    kind,
                    int(line),
                    f"{unit} {line} repeats {unit} {first}",
                    title=what,
                    error=error,
                    hint="Remove one of them, or set duplicates: warn" if error else "",
                    count=1 if number < len(places) else int(chosen.sum()) - number + 1,
                )

    def as_json(self) -> dict[str, Any]:
        """Return all counts for findings.json."""
        lengths = np.concatenate(self.length_parts, axis=1) if self.rows else np.zeros((2, 0))
        return {
            "labels": {plain(one, 200): n for one, n in self.labels.most_common()},
            "duplicates": self.duplicates,
            "distinct_texts": self.distinct_texts,
            "text_from": dict(self.given.most_common()),
            "lengths": {
                "characters": quantiles(lengths[0]),
                "words": quantiles(lengths[1]),
            },
            "long_texts": {"words": LONG_WORDS, "rows": int((lengths[1] > LONG_WORDS).sum())},
            "odd_characters": dict(self.odd.most_common()),
        }


def quantiles(values: NDArray[Any]) -> dict[str, float]:
    """Return {p0 … p100, mean, total}; {} for no values."""
    if not len(values):
        return {}
    found = np.percentile(values, QUANTILES, method="inverted_cdf")
    named = {f"p{q}": int(value) for q, value in zip(QUANTILES, found, strict=True)}
    total = int(values.sum(dtype=np.int64))
    return named | {"mean": round(total / len(values), 2), "total": total}


def in_order(digests: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Sort sha256 digests, (n, 32); return (order, is the first of its kind in that order)."""
    words = np.ascontiguousarray(digests).view(">u8").astype(np.uint64)
    order = np.argsort(words[:, 0], kind="stable")
    ordered = words[order]
    tied = ordered[1:, 0] == ordered[:-1, 0]
    differ = (ordered[1:] != ordered[:-1]).any(axis=1)
    if (tied & differ).any():
        order = np.lexsort(words.T[::-1])
        ordered = words[order]
        differ = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order, np.concatenate(([True], differ))[: len(order)]
