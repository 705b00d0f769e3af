"""write_loaders: the page that tells how to load a form, with this run's own paths and numbers."""

import argparse
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.export.snippets import ABOUT, SHELL, SNIPPETS
from kgtextvec.files import read_json, whole_file

KINDS = {"e": "entities", "r": "relation_types"}


def write_loaders_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `write-loaders`."""
    add = parser.add_argument
    add(
        "manifests",
        type=Path,
        nargs="+",
        help="exports of the form: their folders, or BioMedGPS's reports",
    )
    add("--form", choices=ABOUT, required=True, help="the form")
    add("--out", type=Path, required=True, help="README.md to write")


def write_loaders(manifests: list[Path], form: str, out: Path) -> None:
    """Write the README of a form: what lies there, and code that loads each export of it.

    Paths are as the manifests' are given: from the working directory. Raises InputError when a
    manifest is of another form.
    """
    title, about = ABOUT[form]
    told = [Told(path, form) for path in manifests]
    lines = [f"# Vectors for {title}", "", about.rstrip(), ""]
    lines += ["Run the code from the folder in which the workflow ran.", ""]
    lines += ["| files | entities | relation types | dims |", "|---|---|---|---|"]
    lines += [one.line() for one in told]
    for one in told:
        lines += ["", f"## {one.title}", "", *one.code()]
    with whole_file(out) as part:
        part.write_text("\n".join(lines) + "\n", "utf-8")


class Told:
    """One export: where it lies, and what its manifest tells of its tables."""

    def __init__(self, path: Path, form: str) -> None:
        path = path / "manifest.json" if path.is_dir() else path
        self.form, self.folder = form, path.parent
        self.about: dict[str, Any] = read_json(path)
        if form not in (self.about["form"], "aligned" if self.about.get("aligned") else None):
            raise InputError(f"{path}: of form {self.about['form']}, not {form}. Rerun the export.")
        self.tables = {
            letter: self.filled(self.about[kind])
            for letter, kind in KINDS.items()
            if kind in self.about
        }
        where = f"{self.about['model']}, {self.about['space']}"
        named = [table["table"] for table in self.tables.values() if "table" in table]
        self.title = f"{where}: {named[0]}" if form == "biomedgps" else where

    def filled(self, table: dict[str, Any]) -> dict[str, Any]:
        """Return a table's facts with two ids as examples."""
        ids = [one["id"] for one in table.get("check", [])] or table.get("examples") or [""]
        return table | {"first": ids[0], "last": ids[-1]}

    def line(self) -> str:
        """Return the table's line."""
        rows = [f"{self.tables[one]['rows']:,}" if one in self.tables else "" for one in KINDS]
        dims = next(iter(self.tables.values()))["dims"]
        files = ", ".join(f"`{table['file']}`" for table in self.tables.values())
        return f"| `{self.folder}/`: {files} | {rows[0]} | {rows[1]} | {dims} |"

    def code(self) -> list[str]:
        """Return the code blocks."""
        found = []
        for language, snippets in (("python", SNIPPETS), ("sh", SHELL)):
            if self.form in snippets:
                text = self.chosen(snippets[self.form])
                filled = text.format(folder=self.folder, **self.tables)
                found += [f"```{language}", filled.rstrip(), "```"]
        return found

    def chosen(self, snippet: str) -> str:
        """Leave out the parts of a snippet for tables that aren't there."""
        lines, on = [], True
        for line in snippet.splitlines():
            if line.startswith("#if "):
                which = line.removeprefix("#if ")
                on = all(one in self.tables for one in (KINDS if which == "both" else which))
            elif line == "#end":
                on = True
            elif on:
                lines.append(line)
        return "\n".join(lines)
