"""Put the pages of the documentation site together: `python docs/site/assemble.py FOLDER`.

The site consists of docs/*.md, of the READMEs of other folders, and of reference pages that are
written from the code. Links between the files of the repository become links between pages; a link
that leads nowhere ends the build. mkdocs then renders the folder (mkdocs.yml, `make docs`).
"""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import getdoc
from pathlib import Path

from kgtextvec import registry
from kgtextvec.__main__ import VERBS
from kgtextvec.cli import parser_of
from kgtextvec.models.listing import COLUMNS, row_of
from kgtextvec.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parents[2]
# Files of the repository that are pages of the site, and what they are called there.
PAGES = {
    "README.md": "index.md",
    "config/README.md": "reference/configuration.md",
    "results/README.md": "reference/results.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    **{f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))},
}
FENCE = re.compile(r"^(```.*?^```\s*?$)", re.MULTILINE | re.DOTALL)
# A link or picture in Markdown; group 2 is where it leads.
LINK = re.compile(r"(\]\()(?![a-z]+:)([^)\s]+)(\))")
REGISTRIES = (
    ("Table formats", registry.FORMATS),
    ("Sources of models", registry.SOURCES),
    ("Poolings", registry.POOLINGS),
    ("Reduced spaces", registry.SPACES),
    ("Export forms", registry.FORMS),
    ("Scores", registry.SCORES),
    ("Forms of tables that `init` recognises", registry.RECOGNISERS),
)
# What users call from Python; of a class, the members.
PYTHON: dict[str, tuple[str, ...]] = {
    "kgtextvec.encode": (),
    "kgtextvec.pca": (),
    "kgtextvec.open": (),
    "kgtextvec.space.Space": ("vectors", "index", "get", "align", "find"),
    "kgtextvec.reduce.pca.Pca": ("apply", "explained_variance_ratio", "save"),
}


def main() -> None:
    """Write the folder again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    shutil.rmtree(folder, ignore_errors=True)
    for source, name in PAGES.items():
        write(folder / name, with_links_of_site(source, folder))
    write(folder / "reference/commands.md", commands_page())
    write(folder / "reference/catalogue.md", catalogue_page())
    write(folder / "reference/forms.md", forms_page())
    write(folder / "reference/python.md", python_page())


def write(path: Path, text: str) -> None:
    """Write a page, and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def with_links_of_site(source: str, folder: Path) -> str:
    """Return a page whose links lead to pages of the site; copy the other files that it names."""
    page = PAGES[source]

    def moved(match: re.Match[str]) -> str:
        target, mark, anchor = match[2].partition("#")
        if not target:
            return match[0]
        path = os.path.normpath(Path(source).parent / target)
        if path not in PAGES:
            if not (ROOT / path).is_file():
                sys.exit(f"ERROR: {source}: the link to {target} leads nowhere. Correct it.")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / path)
        there = os.path.relpath(PAGES.get(path, path), Path(page).parent)
        return f"{match[1]}{there}{mark}{anchor}{match[3]}"

    parts = FENCE.split((ROOT / source).read_text("utf-8"))
    return "".join(part if part.startswith("```") else LINK.sub(moved, part) for part in parts)


def commands_page() -> str:
    """Return the reference of the verbs: what each does, and its parameters."""
    lines = [
        "# Command line",
        "",
        "Written from the code. `kgtextvec VERB --help` shows the same; [Commands by"
        " example](../commands.md) shows each in use.",
        "",
    ]
    for verb, (module, _) in VERBS.items():
        function = getattr(import_module(f"kgtextvec.{module}"), verb.replace("-", "_"))
        parser = parser_of(function, verb)
        lines += [f"## {verb}", ""]
        lines += [escaped(line) for line in (getdoc(function) or "").split("\n")]
        lines += ["", "| parameter | what it is |", "|---|---|"]
        for action in parser._actions:
            if action.dest != "help":
                names = ", ".join(f"`{name}`" for name in action.option_strings)
                named = names or f"`{action.metavar or action.dest}`"
                if action.choices:
                    choices = ", ".join(f"`{one}`" for one in action.choices)
                    named += f" ({choices})"
                lines.append(f"| {cell(named)} | {cell((action.help or '').replace('%%', '%'))} |")
        lines.append("")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Return a text as the cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("{", "&#123;")


def escaped(text: str) -> str:
    """Return a line of a docstring as Markdown: no tags, and no list or code by accident."""
    return text.strip().replace("<", "&lt;")


def catalogue_page() -> str:
    """Return the table of the known models."""
    lines = [
        "# Catalogue of models",
        "",
        "Written from `config/models.yaml`. [Models](../models.md) explains the keys and how to add"
        " a model. Memory is what a job needs on a CPU in float32.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    for name, entry in read_yaml(ROOT / "config/models.yaml").items():
        lines.append(f"| {' | '.join(map(cell, row_of(name, entry)))} |")
    return "\n".join(lines) + "\n"


def forms_page() -> str:
    """Return the tables of what is one module each: formats, sources, poolings, spaces, forms."""
    lines = [
        "# Formats, forms, scores",
        "",
        "Written from the modules of the package. A package of yours can add to each of these lists"
        " ([a form of your own](../exports.md#a-form-of-your-own)). The files of a space are"
        " described in [Files of a space](../formats.md).",
        "",
    ]
    for title, things in REGISTRIES:
        lines += [f"## {title}", "", "| name | what it is |", "|---|---|"]
        lines += [f"| `{name}` | {cell(what)} |" for name, what in described(things)]
        lines.append("")
    return "\n".join(lines)


def described(things: "registry.Registry[object]") -> Iterator[tuple[str, str]]:
    """Yield (name, first line of the module's docstring) of each module of a registry."""
    for name in things.own_names:
        module = import_module(f"{things.package}.{name}")
        yield name, (getdoc(module) or "").split("\n")[0]


def python_page() -> str:
    """Return the page from which mkdocstrings makes the reference of the Python interface."""
    lines = ["# Python API", "", "[Python interface](../python.md) shows it in use.", ""]
    for name, members in PYTHON.items():
        lines += [f"::: {name}"]
        if members:
            lines += ["    options:", f"      members: [{', '.join(members)}]"]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
