"""One strict pass over a table: rows that can be used, their texts, and all that is wrong."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from kgtextvec.digests import digests_of_texts
from kgtextvec.kinds import FACTS, KINDS
from kgtextvec.progress import Progress
from kgtextvec.settings.edges import EdgeReading
from kgtextvec.settings.tables import Reading
from kgtextvec.texts.blocks import Batch
from kgtextvec.texts.columns import ColumnMap, refuse_for_facts
from kgtextvec.texts.facts import FactBlocks, check_facts
from kgtextvec.texts.findings import LINES_SKIPPED, Findings, TableError, plain
from kgtextvec.texts.merge import MergedNodes
from kgtextvec.texts.node_ids import NodeIds, report_clashes
from kgtextvec.texts.opening import readers_of
from kgtextvec.texts.quality import Quality
from kgtextvec.texts.rules import (
    CLEANERS,
    CONTROL,
    HIDDEN,
    VISIBLE,
    TextRule,
    parse_rule,
)
from kgtextvec.texts.suspects import label_that_is_name, shape_hint
from kgtextvec.texts.used import IdsOfGraph, UsedRows, read_ids

# A field that holds a line feed or a tab was quoted: whoever wrote it knew of its line ends.
LONE_CR = re.compile(r"^[^\n\t]*\r(?!\n)[^\n\t]*\Z")
MARK = re.compile("\ufeff")
LARGE = 64 << 20


@dataclass(frozen=True)
class UsableRows:
    """Rows that can be used, in order.

    `lines` (n,) int64, 1-based; `digests` (n, 32) uint8, the sha256 of each text; `columns`
    name → n strings: id, label, name, resource and, for relation types, relation_type,
    formatted_relation_type, source_type, target_type.
    """

    lines: NDArray[np.int64]
    columns: dict[str, list[str]]
    texts: list[str]
    digests: NDArray[np.uint8]


@dataclass
class CheckedTable:
    """A table being checked: iterate `rows()`, then ask `findings` and `quality`.

    `more`: further files of the same table. `headers`: files with the header of files without.
    `used_by`, `graph`: the files of a graph, read as one.
    """

    path: Path
    settings: Reading
    used_by: Sequence[Path] = ()
    graph: Sequence[Path] = ()
    more: Sequence[Path] = ()
    headers: Sequence[Path] = ()
    findings: Findings = field(default_factory=Findings)
    quality: Quality = field(default_factory=Quality)
    edges: EdgeReading = field(default_factory=EdgeReading)
    names: Sequence[Path] = ()

    def __post_init__(self) -> None:
        """Derive what the pass needs from the settings."""
        self.rule = TextRule("", ())
        self.kind = KINDS[self.settings.kind]
        self.keys = self.kind.key
        self.clean = CLEANERS[self.settings.text_clean]
        self.used: UsedRows | None = None
        self.merged: MergedNodes | None = None
        self.node_ids = NodeIds(self.kind, "auto", None)
        self.unit = "line"
        self.columns_found: list[str] = []

    def rows(self) -> Iterator[UsableRows]:
        """Yield the rows that can be used, block by block; the rest becomes findings.

        Raises TableError when the file isn't a table at all, InputError for settings that can't
        be used. Single bad rows don't stop the pass: all of them are found, and
        `findings.outcome` says afterwards.
        """
        rule = self.settings.text or self.kind.text
        self.rule = parse_rule(rule if isinstance(rule, str) else ",".join(rule))
        size = sum(path.stat().st_size for path in self.files if path.is_file())
        self.read_graph()
        if self.settings.merge != "none":
            self.merged = MergedNodes(self.settings.merge, lambda: self.unmerged().rows())
        with Progress(f"reading {plain(self.path.name, 60)}", size, unit="bytes") as progress:
            seen = progress.add if size > LARGE else None
            for batch in self.blocks(self.findings, seen):
                rows = self.check(batch)
                if len(rows.texts):
                    self.quality.add(
                        rows,
                        self.keys[0],
                        batch.odd and self.settings.text_clean == "none",
                    )
                    yield rows
        if self.used:
            self.used.finish(self.findings)
        label_that_is_name(
            self.columns_found, self.kind, self.settings, self.quality, self.findings
        )
        self.quality.finish(self.findings, self.settings.duplicates, self.keys, self.unit)
        report_clashes(self.node_ids, self.quality, self.described_rows, self.findings)
        if not self.quality.rows and self.findings.outcome != "error":
            self.no_rows()

    @property
    def files(self) -> Sequence[Path]:
        """All files of the table."""
        return (self.path, *self.more)

    def unmerged(self) -> "CheckedTable":
        """Return this table as it is read without `merge`, for a pass that reports no faults."""
        settings = structs.replace(self.settings, merge="none")
        return replace(
            self,
            settings=settings,
            used_by=(),
            graph=(),
            findings=Findings(),
            quality=Quality(),
        )

    def blocks(
        self, findings: Findings, seen: Callable[[int], None] | None = None
    ) -> Iterator[Batch]:
        """Yield the table's rows as they are read, block by block."""
        if self.kind is FACTS:
            refuse_for_facts(self.settings, self.headers)
            facts = FactBlocks(self.files, self.settings, self.edges, self.names, self.rule.columns)
            yield from facts.blocks(findings)
            return
        absent: dict[tuple[str, str], str] | None = None
        line: int | None = None
        for _, reader in readers_of(self.files, self.headers, findings, self.settings, seen):
            header = reader.open()
            self.unit, self.columns_found = reader.unit, header.names
            line = reader.at - 1 or None  # that of the header, if it is a line
            many = len(self.headers) > 1
            try:
                columns = ColumnMap(
                    header, self.kind, self.needed(), self.settings, findings, line, many
                )
            except TableError as error:
                hint = shape_hint(reader, header.names) if error.kind == "columns" else ""
                what = f"{findings.later_file()}{error}{hint}"
                raise TableError(error.kind, what, error.line) from None
            in_all = columns.absent if absent is None else columns.absent.keys() & absent.keys()
            absent = {one: columns.absent[one] for one in in_all}
            reader.take(columns.taken, columns.keys)
            yield from map(columns.ours, reader.batches())
        for what in (absent or {}).values():
            findings.add("mapped_column", line, what)

    def read_graph(self) -> None:
        """Read what a graph calls the rows, and choose the form of node ids that it uses."""
        if self.kind is FACTS:
            check_facts(self.rule, self.used_by)
            return
        found: dict[tuple[Path, ...], IdsOfGraph] = {}
        used_by, named = tuple(self.used_by), tuple(self.graph or self.used_by)
        for key, paths in (("used_by", used_by), ("graph", named)):
            if paths and paths not in found:
                how, ratio = self.settings.encoding, self.settings.max_ratio
                found[paths] = read_ids(paths, self.kind.in_triples, self.edges, how, ratio, key)
        if used_by:
            self.used = UsedRows(found[used_by])
        asked = getattr(self.settings, self.kind.id_setting) if self.kind.id_setting else "auto"
        self.node_ids = NodeIds(self.kind, asked, found.get(named))
        if self.node_ids.undecided:
            for columns in self.described_rows():
                self.node_ids.count(columns)
            self.node_ids.choose(self.findings)

    def described_rows(self) -> Iterator[dict[str, Any]]:
        """Yield all rows' columns of the index, and `line`, in a pass that reports no faults."""
        for batch in self.blocks(Findings()):
            yield {"line": batch.lines, **self.described(batch)}

    def needed(self) -> list[str]:
        """Return the columns that the table must have."""
        return list(dict.fromkeys((*self.keys, *self.rule.columns)))

    def check(self, batch: Batch) -> UsableRows:
        """Check keys and texts of a block; return the rows that stay."""
        keep = self.keyed(batch)
        if self.used:
            rows, forms = self.described(batch), {self.node_ids.form, self.kind.id_forms[0]}
            names = [self.kind.node_ids(rows, form) for form in forms]
            used = self.used.matches([rows["id"], *names])
            keep = [one and two for one, two in zip(keep or used, used, strict=True)]
        batch = select(batch, keep)
        if batch.odd:
            self.controls(batch)
        texts, given = self.rule.texts(batch.columns, self.clean, self.keys, batch.odd)
        if not all(texts):
            keep = self.without_text(batch, texts, given)
            texts = [text for text, stays in zip(texts, keep, strict=True) if stays]
            given = [name for name, stays in zip(given, keep, strict=True) if stays]
            batch = select(batch, keep)
        if self.merged:
            rows, lines = self.described(batch), batch.lines.tolist()
            keep = self.merged.apply(rows, texts, lines, self.findings)
            texts = [text for text, stays in zip(texts, keep, strict=True) if stays]
            given = [name for name, stays in zip(given, keep, strict=True) if stays]
            batch = select(batch, keep)
        self.quality.given.update(given)
        digests = digests_of_texts([text.encode() for text in texts])
        columns = self.described(batch)
        if self.kind is not FACTS:
            self.node_ids.add(columns)
        return UsableRows(batch.lines, columns, texts, digests)

    def keyed(self, batch: Batch) -> list[bool] | None:
        """Check ids, labels and relation types; return which rows stay, None for all."""
        keep: list[bool] | None = None
        for key in self.keys:
            values = batch.columns[key]
            trimmed = list(map(str.strip, values))
            ascii_only = all(map(str.isascii, values))
            if trimmed == values and all(values) and ascii_only and not batch.odd:
                continue
            for row, value in enumerate(values):
                line = int(batch.lines[row])
                where = f"{self.unit} {line}"
                fault = ""
                if not VISIBLE.search(value):
                    fault = f"has no {key}"
                elif not value.isprintable() and (
                    CONTROL.search(value) or any(c in value for c in "\t\n\r\u2028\u2029")
                ):
                    fault = f"has a line break, tab or control character in its {key}"
                elif value.strip() != value or HIDDEN.search(value):
                    self.findings.add(
                        "odd_key",
                        line,
                        f"{where} ({ascii_shown(value)})",
                        title=f"{key} with spaces at its ends or invisible characters",
                        hint="It was kept as it is, and matches only an identical one",
                    )
                if fault:
                    keep = keep or [True] * len(values)
                    keep[row] = False
                    self.bad_row(f"{key}_{'missing' if 'no' in fault else 'odd'}", line, fault)
        return keep

    def bad_row(self, kind: str, line: int, fault: str) -> None:
        """Record a row whose key can't be used: an error, or left out if bad_lines says so."""
        skip = self.settings.bad_lines == "skip"
        hint = LINES_SKIPPED if skip else "Correct it, or set bad_lines: skip"
        what = f"{self.unit} {line} {fault}"
        self.findings.add(kind, line, what, error=not skip, hint=hint)

    def controls(self, batch: Batch) -> None:
        """Record control characters and the like in the columns that are used."""
        fate = "kept" if self.settings.text_clean == "none" else "replaced by spaces"
        faults = {
            "control_characters": (CONTROL, f"control characters inside ({fate})"),
            "carriage_return": (LONE_CR, f"lone CR inside a field ({fate})"),
            "byte_order_mark": (MARK, "byte order mark inside the file; were files joined?"),
        }
        for name, values in batch.columns.items():
            for row, value in enumerate(values):
                if value.isprintable() or name in self.keys:
                    continue
                for kind, (pattern, title) in faults.items():
                    if pattern.search(value):
                        where = f"{self.row_name(batch, row)}, {name}"
                        self.findings.add(kind, int(batch.lines[row]), where, title=title)

    def row_name(self, batch: Batch, row: int) -> str:
        """Return `line 7 (X:1)` for a message."""
        return f"{self.unit} {batch.lines[row]} ({plain(batch.columns[self.keys[0]][row])})"

    def without_text(self, batch: Batch, texts: list[str], given: list[str]) -> list[bool]:
        """Apply the policy for rows without a text; fill names in; return which rows stay."""
        policy = self.settings.empty_text
        names = batch.columns.get(self.kind.name_column)
        used = [name for name in self.rule.columns if name not in self.keys] or [*self.rule.columns]
        empty = f"{' and '.join(used)} {'are' if len(used) > 1 else 'is'} empty"
        for row, text in enumerate(texts):
            if text:
                continue
            line, row_name = int(batch.lines[row]), self.row_name(batch, row)
            name = self.clean([names[row]], True)[0] if names and policy == "name" else ""
            if name:
                texts[row], given[row] = name, "name"
                self.findings.add(
                    "empty_text",
                    line,
                    row_name,
                    title="no text; the name was used (empty_text: name)",
                )
            elif policy == "skip":
                self.findings.add(
                    "empty_text", line, row_name, title="no text; row skipped (empty_text: skip)"
                )
            else:
                why = f"{empty}, and so is its name" if policy == "name" else empty
                hint = "empty_text: skip to leave such rows out"
                hint += "" if policy == "name" else ", or empty_text: name to use their names"
                self.findings.add(
                    "no_text",
                    line,
                    f"{row_name} has no text: {why}",
                    error=True,
                    hint=f"Fill it in, or set {hint}",
                )
        return [bool(text) for text in texts]

    def described(self, batch: Batch) -> dict[str, list[str]]:
        """Return the columns of rows.parquet that come from the table."""
        empty = [""] * len(batch.lines)
        return self.kind.describe(
            batch.columns.__getitem__,
            lambda name: self.shown(batch.columns.get(name, empty), batch.odd),
        )

    def shown(self, values: list[str], odd: bool) -> list[str]:
        """Return values without control characters and line breaks (text_clean: none: as is)."""
        if not odd or self.settings.text_clean == "none":
            return values
        return [
            one if one.isprintable() else " ".join(CONTROL.sub(" ", one).split()) for one in values
        ]

    def no_rows(self) -> None:
        """Record that nothing is left to be embedded, unless allow_empty says it's fine."""
        if not self.settings.allow_empty:
            raise TableError(
                "no_rows",
                "the table has a header but no usable rows. Add rows, or set allow_empty: true.",
            )


def ascii_shown(value: str) -> str:
    """Return a key for a message with its blanks and invisible characters made visible."""
    return plain(ascii(value))


def select(batch: Batch, keep: list[bool] | None) -> Batch:
    """Return the rows of a batch for which `keep` is true."""
    if keep is None or all(keep):
        return batch
    columns = {
        name: [value for value, stays in zip(values, keep, strict=True) if stays]
        for name, values in batch.columns.items()
    }
    return Batch(batch.lines[np.array(keep, dtype=bool)], columns, batch.odd)
