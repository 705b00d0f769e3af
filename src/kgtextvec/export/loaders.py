"""write_loaders: the page that shows how to load a form, with this run's own paths and numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.kinds import IN_GRAPHS, Kind
from kgtextvec.records import read_unedited
from kgtextvec.registry import FORMS

PAGES = Path(__file__).parent / "pages"
ALIGNED = "aligned"  # not a form, but it has a page


def write_loaders(
    manifests: Annotated[list[Path], "exports of the form: folders, or BioMedGPS's reports"],
    *,
    form: Annotated[str, "the form, or aligned"],
    out: Annotated[Path, "README.md to write"],
) -> None:
    """Write the README of a form: what its files are, and code that loads each export of it.

    Paths are as the manifests' are given: from the working directory. Raises InputError when a
    manifest is of another form, and for a form without a page.
    """
    if form == ALIGNED:
        title, page, kinds = "your trainer, aligned", PAGES / "aligned.md.j2", [*IN_GRAPHS]
    elif FORMS[form].page is None:
        raise InputError(
            f"--form {form}: has no page that shows how to load it. Choose another form."
        )
    else:
        title, page, kinds = FORMS[form].title, FORMS[form].page, [*FORMS[form].kinds]
    abouts = [read_export_manifest(path, form) for path in manifests]
    there = {name for about in abouts for name in about}
    kinds = [kind for kind in kinds if kind in IN_GRAPHS or kind.name in there]
    exports = [
        listed_export(path, about, kinds) for path, about in zip(manifests, abouts, strict=True)
    ]
    text = render_page(page, title=title, kinds=[kind.name for kind in kinds], exports=exports)
    with whole_file(out, record_digest=True) as part:
        part.write_text(text, "utf-8")


def render_page(page: Path, **values: Any) -> str:
    """Fill a form's template; it may extend and import those in pages/."""
    import jinja2

    environment = jinja2.Environment(  # noqa: S701 (Markdown and code, nothing to escape)
        loader=jinja2.FileSystemLoader([page.parent, PAGES]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["repr"] = repr
    return environment.get_template(page.name).render(**values)


@dataclass(frozen=True)
class ListedExport:
    """One export on a page. `tables`: by the letter of their kind, None where there is none."""

    folder: Path
    title: str
    tables: dict[str, dict[str, Any] | None]

    @property
    def present(self) -> list[dict[str, Any]]:
        """What the manifest says of the tables that are there."""
        return [table for table in self.tables.values() if table]

    @property
    def files(self) -> list[str]:
        """The files of vectors."""
        return [table["file"] for table in self.present]

    @property
    def rows(self) -> list[str]:
        """The number of rows of each kind, "" where there is no table."""
        return [f"{table['rows']:,}" if table else "" for table in self.tables.values()]

    @property
    def dims(self) -> int:
        """The dims of all tables."""
        found: int = self.present[0]["dims"]
        return found


def read_export_manifest(path: Path, form: str) -> dict[str, Any]:
    """Read the manifest of an export. Raises InputError when it is of another form."""
    path = path / "manifest.json" if path.is_dir() else path
    about: dict[str, Any] = read_unedited(path)
    if form not in (about["form"], ALIGNED if about.get("aligned") else None):
        raise InputError(f"{path}: of form {about['form']}, not {form}. Rerun the export.")
    return about


def listed_export(path: Path, about: dict[str, Any], kinds: Sequence[Kind]) -> ListedExport:
    """Return what a page shows of an export, given its folder or manifest."""
    tables = {kind.letter: with_examples(about.get(kind.name)) for kind in kinds}
    folder = path if path.is_dir() else path.parent
    return ListedExport(folder, f"{about['model']}, {about['space']}", tables)


def with_examples(table: dict[str, Any] | None) -> dict[str, Any] | None:
    """Add two ids as examples to what a manifest says of a table."""
    if table is None:
        return None
    ids = [one["id"] for one in table.get("check", [])] or table.get("examples") or [""]
    return table | {"first": ids[0], "last": ids[-1]}
