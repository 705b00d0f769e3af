"""How much disk a run will take, about, beside how much is free: told before the run.

Standard library only: it is asked before any environment is there.
"""

import argparse
import gzip
import json
import lzma
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from kgtextvec.errors import InputError
from kgtextvec.files import existing_parent
from kgtextvec.progress import say

KEY_BYTES = 41  # of a text in the store, beside its vector
INDEX_BYTES = 80  # of a row in index.parquet
BYTES_PER_NUMBER = {"tsv": 11, "npy": 0}  # npy is the space's own file; others hold float32
ELMO_PARAMETERS = 94_000_000
ELMO_LAYERS = 3
WORD_BYTES = 6  # of a corpus, with its tag or its space
CHUNK = 1 << 20
READERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
ZSTD_RATIO = 4  # zstd isn't in the standard library: rows are guessed by the file's size
ROW_BYTES = 300


def disk_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `disk`."""
    parser.add_argument(
        "plan",
        help="JSON: {tables: {name: file}, models: {name: {kind, dims}}, spaces, exports, probes:"
        " {name: {files, stored}}}",
    )
    parser.add_argument("--store", type=Path, default=Path(".kgtextvec/store"))
    parser.add_argument("--downloads", type=Path, default=Path(".kgtextvec/downloads"))
    parser.add_argument("--resources", type=Path, default=Path("resources"))
    parser.add_argument("--results", type=Path, default=Path("results"))


def disk(plan: str, store: Path, downloads: Path, resources: Path, results: Path) -> None:
    """Say how much a run will write, by place and by file system, and what is free there.

    What lies there already isn't counted. Raises InputError when the plan is no JSON.
    """
    try:
        wanted = json.loads(plan)
    except ValueError as error:
        raise InputError(
            f"the plan: not valid JSON ({error}). See kgtextvec disk --help."
        ) from None
    sizes = expected(wanted, store, downloads, resources, results)
    by_device: dict[int, list[Path]] = {}
    for path in sizes:
        by_device.setdefault(existing_parent(path).stat().st_dev, []).append(path)
    for paths in by_device.values():
        need = sum(sizes[path] for path in paths)
        free = shutil.disk_usage(existing_parent(paths[0])).free
        parts = ", ".join(f"{path} {gigabytes(sizes[path])}" for path in paths if sizes[path])
        told = f"disk: about {gigabytes(need)} to come ({parts or 'nothing'})"
        say(f"{told}; {gigabytes(free)} are free")
        if need > free:
            say("WARNING: disk: that may not suffice. A run that fails for it resumes later.")


def expected(
    plan: dict[str, Any], store: Path, downloads: Path, resources: Path, results: Path
) -> dict[Path, int]:
    """Return the bytes to come at each place. Sizes of models are guessed by their dims."""
    sizes = dict.fromkeys((store, results, resources, downloads), 0)
    rows = {name: rows_of(name, Path(file), results) for name, file in plan["tables"].items()}
    for model, about in plan["models"].items():
        converted = resources / "models" / model
        dims = dims_of(about, converted)
        if not converted.exists():
            weights = 4 * parameters(about.get("kind") or "transformer", dims)
            sizes[resources] += 2 * weights  # unpacked for a while, converted for good
            sizes[downloads] += weights
        for probe, corpora in plan.get("probes", {}).items():
            if not (resources / "tokens" / model / f"{probe}.npy").exists():
                sizes[resources] += word_vectors(corpora, about.get("kind"), dims)
        for table, (n_rows, n_texts) in rows.items():
            if not (results / model / table / "full/embeddings.npy").exists():
                sizes[store] += n_texts * (4 * dims + KEY_BYTES)
                sizes[results] += 4 * dims * n_texts  # shards, until they are gathered
            for space in plan["spaces"]:
                numbers = n_rows * (dims if space == "full" else int(space.removeprefix("pca")))
                folder = results / model / table / space
                if not (folder / "embeddings.npy").exists():
                    sizes[results] += 4 * numbers + INDEX_BYTES * n_rows
                for form in plan["exports"]:
                    if not (folder / f"embeddings.{form}").exists():
                        sizes[results] += BYTES_PER_NUMBER.get(form, 4) * numbers
    return sizes


def rows_of(table: str, file: Path, results: Path) -> tuple[int, int]:
    """Return rows and distinct texts of a table: as read, or as many as its file has lines."""
    try:
        manifest = json.loads((results / "texts" / table / "manifest.json").read_text("utf-8"))
        return int(manifest["rows"]), int(manifest["texts"])
    except (OSError, ValueError, KeyError):
        pass
    try:
        if file.suffix == ".zst":
            n_rows = ZSTD_RATIO * file.stat().st_size // ROW_BYTES
        else:
            with READERS.get(file.suffix, open)(file, "rb") as lines:
                n_rows = sum(chunk.count(b"\n") for chunk in chunks(lines)) - 1
    except (OSError, EOFError, lzma.LZMAError):  # read_texts tells what is wrong with it
        n_rows = 0
    return max(n_rows, 0), max(n_rows, 0)


def word_vectors(corpora: dict[str, Any], kind: str | None, dims: int) -> int:
    """Guess the bytes of all layers' vectors of all words in a probe's corpora."""
    there = [Path(file) for file in corpora["files"] if Path(file).is_file()]
    words = sum(path.stat().st_size for path in there) // WORD_BYTES
    layers = ELMO_LAYERS if kind == "elmo" else transformer_layers(dims) + 1
    return words * layers * dims * (2 if corpora["stored"] == "float16" else 4)


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Read a file a piece at a time."""
    while chunk := file.read(CHUNK):
        yield chunk


def dims_of(about: dict[str, Any], converted: Path) -> int:
    """Return a model's dims: as converted, as the catalogue has them, or those of a large model."""
    try:
        return int(json.loads((converted / "kgtextvec.json").read_text("utf-8"))["dims"])
    except (OSError, ValueError, KeyError):
        return int(about.get("dims") or 1024)


def transformer_layers(dims: int) -> int:
    """Guess how many layers a model has: 12 as BERT up to 768 dims, above that 24."""
    return 12 if dims <= 768 else 24


def parameters(kind: str, dims: int) -> int:
    """Guess how many numbers a model has: as a BERT of its dims."""
    if kind == "elmo":
        return ELMO_PARAMETERS
    return 12 * transformer_layers(dims) * dims**2 + 31_000 * dims


def gigabytes(size: float) -> str:
    """Write bytes as GB, or as MB below one."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
