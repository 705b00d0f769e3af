"""`kgtextvec verify`: every file of a results folder against what was recorded when it was made."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq

from kgtextvec.checksums import (
    FILE_DIGESTS,
    SHA256,
    VECTOR_KEYS,
    recorded_digests,
    vector_digests,
)
from kgtextvec.device import available_cores
from kgtextvec.digests import checked_text_keys
from kgtextvec.embed.gather import CheckedRows
from kgtextvec.embed.store_admin import store as store_verb
from kgtextvec.errors import InputError
from kgtextvec.export.tsv import check_tsv
from kgtextvec.files import check_recorded_digest, digest_file, refuse_other_digest, sha256_of
from kgtextvec.kinds import KINDS
from kgtextvec.matrices import rows_per_block, take_rows
from kgtextvec.pairs import SUMS_FILE
from kgtextvec.parquet_files import parquet_batches, parquet_errors, read_parquet
from kgtextvec.progress import Progress, plural, say
from kgtextvec.records import SpaceManifest, TextsManifest, read_record, read_unedited
from kgtextvec.reduce.pca import load_pca
from kgtextvec.space import Space

# Records of steps that no other check reads, with the rules that make them.
RECORDS = {
    "texts/*/quality.json": "draw_quality",
    "*/*/*/link_prediction.json": "predict_links",
    "*/probes/*.json": "probe_model",
    "*/finetune.json": "finetune_model",
}
RULES_OF_FILES = {
    "exports/*/README.md": "write_loaders",
    "entity2d.tsv": "export_entity2d",
    "map.*": "draw_map",
    "layout.parquet": "draw_map",
    "explore.*": "render_notebook",
    "compare.*": "compare_spaces",
    "scores.tsv": "collect_scores",
    "index.html": "draw_index",
    "quality.html": "draw_quality",
    "finetune.*": "finetune_model",
}


def verify(
    results: Annotated[Path, "the folder of the results"],
    *,
    store: Annotated[
        str | None, "the vector store (a folder, or s3://…), to check its parts too"
    ] = None,
) -> None:
    """Compare every file of a results folder with what was recorded when it was made.

    Tables' texts, spaces with their TSV, Parquet, scores and maps, bases of reduced spaces,
    exports, tables of scores and pages; with --store every part of the vector store. Each damaged
    file is named with the rule that makes it again. A TSV is compared with what would be written
    for its space. Raises InputError when anything is damaged, and when there are no results.
    """
    checks = list(checks_of(results))
    if not checks:
        raise InputError(f"{results}: no results in it. Give the folder that the workflow wrote.")
    damaged = []
    with Progress("verify", len(checks), "files") as progress:
        for check in checks:
            try:
                check.run()
            except InputError as error:
                damaged.append(check.path)
                say(f"DAMAGED: {error} Rule: {check.rule}.")
            progress.add(1)
    if store is not None:
        try:
            store_verb("verify", store)
        except InputError as error:
            damaged.append(Path(store))
            say(f"DAMAGED: {error} Rule: embed_shard.")
    if damaged:
        names = ", ".join(map(str, damaged[:5])) + (", …" if len(damaged) > 5 else "")
        raise InputError(
            f"{results}: {len(damaged):,} damaged, of {plural(len(checks), 'file')} checked:"
            f" {names}. Delete them and run the workflow, which makes them again."
        )
    say(f"{results}: {plural(len(checks), 'file')} checked, none is damaged")


@dataclass(frozen=True)
class FileCheck:
    """A check of one file, and the rule that makes the file; `run` raises InputError at damage."""

    path: Path
    rule: str
    function: Callable[..., object]
    given: tuple[Any, ...] = field(default=())

    def run(self) -> None:
        """Check the file."""
        self.function(*self.given)


def checks_of(results: Path) -> Iterator[FileCheck]:
    """Yield a check for each file of a results folder that has something to be compared with."""
    for path in sorted(results.glob("texts/*/manifest.json")):
        yield from checks_of_texts(path)
    for path in sorted(results.glob("*/*.npz")):
        yield FileCheck(path, "fit_pca", load_pca, (path,))
    for path in sorted(results.glob("*/*/*/manifest.json")):
        if path.relative_to(results).parts[0] not in ("texts", "exports"):
            yield from checks_of_space(path)
    for path in sorted(results.glob("*/*/*/embeddings.npy")):
        if not path.with_name("manifest.json").exists():
            yield FileCheck(path, "gather_shards", Space, (path,))
    for path in sorted(results.glob("exports/*/*/*/manifest.json")):
        rule = "export_aligned" if path.parts[-4] == "aligned" else "export_bundle"
        yield from checks_of_bundle(path, rule)
    for path in sorted(results.glob("exports/biomedgps/*/*.json")):
        yield FileCheck(path, "export_biomedgps", check_biomedgps, (path, results))
    for name, rule in RECORDS.items():
        for path in sorted(results.glob(name)):
            yield FileCheck(path, rule, read_unedited, (path,))
    for recorded in sorted(results.rglob(".*.sha256")):
        path = recorded.with_name(recorded.name.removeprefix(".").removesuffix(".sha256"))
        if path.exists():
            yield FileCheck(path, rule_that_makes(path), check_recorded_digest, (path,))


def rule_that_makes(path: Path) -> str:
    """Return the rule that makes a file whose digest is recorded next to it."""
    names = [name for name in RULES_OF_FILES if path.match(name)]
    return RULES_OF_FILES[names[0]] if names else "unknown"


def checks_of_texts(path: Path) -> Iterator[FileCheck]:
    """Yield the checks of a table's rows and of its shards of texts, given its manifest."""
    folder = path.parent
    masked = is_masked(folder)
    rule = "mask_texts" if masked else "read_texts"
    try:
        table = read_record(path, TextsManifest)
    except InputError:
        yield FileCheck(path, rule, read_record, (path, TextsManifest))
        return
    yield FileCheck(
        folder / "rows.parquet", rule, check_table_rows, (folder / "rows.parquet", table)
    )
    for name in table["shards"]:
        shard = folder / f"shards/{name}.parquet"
        yield FileCheck(shard, rule, check_shard_of_texts, (shard, table))
    findings = folder / "findings.json"
    if not masked or findings.exists():
        yield FileCheck(findings, rule, read_unedited, (findings,))


def is_masked(folder: Path) -> bool:
    """Return whether texts are a table's, with names masked; what was found is with the table."""
    table = folder.name.removesuffix("-masked")
    return table != folder.name and folder.with_name(table).is_dir()


def check_table_rows(path: Path, table: TextsManifest) -> None:
    """Raise InputError unless rows.parquet holds the rows that the manifest describes."""
    for _ in CheckedRows(path, table).batches():
        pass


def check_shard_of_texts(path: Path, table: TextsManifest) -> None:
    """Raise InputError unless a shard holds the texts that the manifest describes."""
    keys = checked_text_keys(path, read_parquet(path))
    wanted = table["shards"][path.stem]
    refuse_other_digest(path, wanted["digest"], hashlib.sha256(keys.tobytes()).hexdigest())


def checks_of_space(path: Path) -> Iterator[FileCheck]:
    """Yield the checks of a space's files, given its manifest."""
    folder = path.parent
    rule = "gather_shards" if folder.name == "full" else "apply_pca"
    try:
        space = Space(folder)
    except InputError:
        yield FileCheck(folder, rule, Space, (folder,))
        return
    yield FileCheck(path, rule, check_place, (path, space))
    yield FileCheck(space.matrix.path, rule, check_vectors, (space,))
    yield FileCheck(space.index_path, rule, check_index_rows, (space,))
    for name, rule, check in (
        ("embeddings.parquet", "export_table", check_export),
        ("embeddings.tsv", "export_table", check_tsv_of),
        ("layout.parquet", "draw_map", check_layout),
        ("scores.json", "evaluate_space", check_scores),
    ):
        path = folder / name
        if path.exists() and not digest_file(path).exists():  # such a file is checked by its digest
            yield FileCheck(path, rule, check, (path, space))


def check_place(path: Path, space: Space) -> None:
    """Raise InputError unless a space is where its model, table and name belong."""
    made = space.manifest
    place = made["model"]["name"], made["table"], made["space"]
    if path.parts[-4:-1] != place:
        raise InputError(
            f"{path}: describes {'/'.join(place)}, so that the folder is a copy of another space."
            " Delete the folder and rerun the step that made it."
        )


def check_vectors(space: Space) -> None:
    """Raise InputError unless embeddings.npy has the digests that the manifest records."""
    for key, digest in vector_digests(space.manifest).items():
        check_file(space.matrix.path, VECTOR_KEYS[key], digest)


def check_index_rows(space: Space) -> None:
    """Raise InputError unless index.parquet is the one that the manifest describes.

    Manifests of earlier versions record the digest of its rows alone, which takes longer.
    """
    space.check_index()
    recorded: SpaceManifest = space.manifest
    if "index_sha256" in recorded or "index_digest" not in recorded:
        return
    digest = hashlib.sha256()
    with parquet_errors(space.index_path), pq.ParquetFile(space.index_path) as file:
        for group in range(file.num_row_groups):
            digest.update(repr(file.read_row_group(group).to_pydict()).encode())
    refuse_other_digest(space.index_path, recorded["index_digest"], digest.hexdigest())


def check_export(path: Path, space: Space) -> None:
    """Raise InputError unless embeddings.parquet holds the vectors and ids of the space.

    A damaged space isn't compared with: its own check reports it.
    """
    if not is_sound(check_index_rows, space):
        return
    done = 0
    for batch in parquet_batches(path, rows_per_block(space.dims)):
        end = done + len(batch)
        if end > space.rows or not {"embedding", "node_id"} <= set(batch.schema.names):
            break
        vectors = batch["embedding"].flatten().to_numpy(zero_copy_only=False)
        expected = take_rows(space.matrix, np.arange(done, end)).reshape(-1)
        ids = space.column("node_id").slice(done, len(batch))
        if vectors.tobytes() != expected.tobytes() or not batch["node_id"].equals(ids):
            break
        done = end
    if done != space.rows and is_sound(check_vectors, space):
        raise InputError(
            f"{path}: differs from embeddings.npy or index.parquet after row {done}. Delete it and"
            " rerun the step that made it."
        )


def is_sound(check: Callable[[Space], None], space: Space) -> bool:
    """Return whether a check of a space finds no damage."""
    try:
        check(space)
    except InputError:
        return False
    return True


def check_tsv_of(path: Path, space: Space) -> None:
    """Raise InputError unless a TSV is that of the space. A damaged space isn't compared with."""
    if is_sound(check_index_rows, space) and is_sound(check_vectors, space):
        check_tsv(space, path, available_cores())


def check_biomedgps(path: Path, results: Path) -> None:
    """Raise InputError unless an export for BioMedGPS is complete, given the report next to it."""
    report = read_unedited(path)
    for kind in KINDS:
        if about := report.get(kind):
            try:
                space = Space(results / report["model"] / about["table"] / report["space"])
            except InputError:  # its own check reports it
                continue
            check_tsv_of(path.with_name(about["file"]), space)


def check_layout(path: Path, space: Space) -> None:
    """Raise InputError unless layout.parquet can be read and has the space's rows."""
    if read_parquet(path).num_rows != space.rows:
        raise InputError(f"{path}: doesn't have the rows of the space. Delete it and rerun.")


def check_scores(path: Path, space: Space) -> None:
    """Raise InputError unless scores.json can be read and is of the space's vectors.

    A damaged space isn't compared with: its own check reports it.
    """
    scores = read_unedited(path)
    if not isinstance(scores, dict) or not (
        is_of_vectors(scores, space) or not is_sound(check_vectors, space)
    ):
        raise InputError(f"{path}: isn't of the vectors next to it. Delete it and rerun.")
    sums = path.with_name(SUMS_FILE)
    if "sums_sha256" in scores:
        if not sums.exists():
            raise InputError(f"{sums}: not there. Delete {path} and rerun.")
        refuse_other_digest(sums, scores["sums_sha256"], sha256_of(sums))


def is_of_vectors(record: dict[str, Any], space: Space) -> bool:
    """Return whether a record is of a space's vectors.

    Where the one has a digest that only earlier versions recorded, and the other has not, the file
    is hashed.
    """
    known: dict[str, str] = vector_digests(space.manifest)
    return all(
        digest == (known.get(key) or FILE_DIGESTS[VECTOR_KEYS[key]](space.matrix.path))
        for key, digest in vector_digests(record).items()
    )


def checks_of_bundle(path: Path, rule: str) -> Iterator[FileCheck]:
    """Yield the checks of a bundle's files, given its manifest."""
    try:
        manifest = read_unedited(path)
    except InputError:
        yield FileCheck(path, rule, read_unedited, (path,))
        return
    small = [(name, SHA256, digest) for name, digest in manifest.get("files", {}).items()]
    for name, *recorded in dict.fromkeys([*recorded_digests(manifest.values()), *small]):
        file = path.with_name(name)
        yield FileCheck(file, rule, check_file, (file, *recorded))


def check_file(path: Path, algorithm: str, digest: str) -> None:
    """Raise InputError unless a file is there and has that digest."""
    if not path.is_file():
        raise InputError(f"{path}: not there. Run the step that makes it first.")
    refuse_other_digest(path, digest, FILE_DIGESTS[algorithm](path), algorithm)
