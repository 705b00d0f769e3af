"""An estimate of the disk space that a run needs, and of what it sends to endpoints.

Reported before the run, with how much disk space is free.

Standard library only (settings apart): it runs before any conda environment exists.
"""

import gzip
import lzma
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Annotated, Any

from kgtextvec.errors import InputError
from kgtextvec.files import existing_parent, parse_json
from kgtextvec.progress import say
from kgtextvec.registry import SPACES

STORED_TEXT_BYTES = 41  # of a text in the store, besides its vector
INDEX_ROW_BYTES = 80  # of a row in index.parquet
BYTES_PER_NUMBER = {"tsv": 11, "npy": 0}  # npy is the space's own file; others hold float32
ELMO_PARAMETERS = 94_000_000
ELMO_LAYERS = 3
WORDS_OF_WORD2VEC = 2_000_000
WORD_BYTES = 6  # of a corpus, with its tag or its space
COUNTED_BYTES = 1 << 20  # read at once
READERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
BY_SIZE = (".zst", ".parquet")
ZSTD_RATIO = 4  # zstd isn't in the standard library: rows are estimated from the file's size
ROW_BYTES = 300
PACKED = {".gz", ".xz", ".zst"}
BYTES_PER_TOKEN_AT_SERVER = 3.5


def disk(
    plan: Annotated[
        str,
        "JSON: {tables: {name: files}, models: {name: {kind, dims, bytes, server}}, spaces,"
        " exports, probes: {name: {files, stored}}}; bytes: of the model's files on this machine",
    ],
    *,
    store: Annotated[Path, "the vector store"] = Path(".kgtextvec/store"),
    downloads: Annotated[Path, "downloaded files"] = Path(".kgtextvec/downloads"),
    resources: Annotated[Path, "folder of the models"] = Path("resources"),
    results: Annotated[Path, "folder of the results"] = Path("results"),
) -> None:
    """Report an estimate of what a run will write, by place and by file system, and what is free.

    What exists already isn't counted. Raises InputError when the plan is not JSON, or lacks a part.
    """
    try:
        wanted = parse_json(plan)
    except ValueError as error:
        raise InputError(
            f"the plan: not valid JSON ({error}). See kgtextvec disk --help."
        ) from None
    needed = ("tables", "models", "spaces", "exports")
    missing = [one for one in needed if not isinstance(wanted, dict) or one not in wanted]
    if missing:
        raise InputError(
            f"the plan: {', '.join(missing)} missing. Add what kgtextvec disk --help lists."
        )
    sizes = expected_sizes(wanted, store, downloads, resources, results)
    by_device: dict[int, list[Path]] = {}
    for path in sizes:
        by_device.setdefault(existing_parent(path).stat().st_dev, []).append(path)
    for paths in by_device.values():
        need = sum(sizes[path] for path in paths)
        free = shutil.disk_usage(existing_parent(paths[0])).free
        parts = ", ".join(f"{path} {gigabytes(sizes[path])}" for path in paths if sizes[path])
        say(
            f"disk: about {gigabytes(need)} to come ({parts or 'nothing'}); {gigabytes(free)} are"
            " free"
        )
        if need > free:
            say("WARNING: disk: that may not suffice. A run that fails for it resumes later.")
    for line in texts_to_send(wanted, results):
        say(line)


def texts_to_send(plan: dict[str, Any], results: Path) -> Iterator[str]:
    """Yield for each endpoint how many texts and tokens it gets at most; what is there counts not.

    The tokens are those of complete files: texts are a part of them.
    """
    for model, about in plan["models"].items():
        if not about.get("server"):
            continue
        n_texts = n_bytes = 0
        for table, files in plan["tables"].items():
            if (results / model / table / "full/embeddings.npy").exists():
                continue
            rows, texts = count_rows(table, files, results)
            n_texts += texts
            size = sum(map(file_bytes, map(Path, [files] if isinstance(files, str) else files)))
            n_bytes += size * texts // max(rows, 1)
        tokens = n_bytes / BYTES_PER_TOKEN_AT_SERVER + 2 * n_texts
        yield (
            f"{model}: at most {n_texts:,} texts, {tokens / 1e6:,.2f} million tokens, are sent to"
            f" {about['server']}; not those in the store"
        )


def file_bytes(file: Path) -> int:
    """Estimate the bytes of a file, unpacked; 0 if it is not there."""
    try:
        return file.stat().st_size * (ZSTD_RATIO if file.suffix in PACKED else 1)
    except OSError:
        return 0


def expected_sizes(
    plan: dict[str, Any], store: Path, downloads: Path, resources: Path, results: Path
) -> dict[Path, int]:
    """Return the bytes to come at each place. Sizes of models are estimated from their dims."""
    sizes = dict.fromkeys((store, results, resources, downloads), 0)
    rows = {name: count_rows(name, files, results) for name, files in plan["tables"].items()}
    for model, about in plan["models"].items():
        converted = resources / "models" / model
        dims = dims_of(about, converted)
        if not converted.exists():
            known = about.get("parameters")
            weights = 4 * (known or count_parameters(about.get("kind") or "transformer", dims))
            here = about.get("bytes") or 0
            sizes[resources] += 2 * (here or weights)  # unpacked for a while, converted for good
            sizes[downloads] += 0 if here else weights
        for probe, corpora in plan.get("probes", {}).items():
            if not (resources / "tokens" / model / f"{probe}.npy").exists():
                sizes[resources] += word_vector_bytes(corpora, about.get("kind"), dims)
        for table, (n_rows, n_texts) in rows.items():
            if not (results / model / table / "full/embeddings.npy").exists():
                sizes[store] += n_texts * (4 * dims + STORED_TEXT_BYTES)
                sizes[results] += 4 * dims * n_texts  # shards, until they are gathered
            for space in plan["spaces"]:
                numbers = n_rows * (SPACES[space].dims_in(space) or dims)
                folder = results / model / table / space
                if not (folder / "embeddings.npy").exists():
                    sizes[results] += 4 * numbers + INDEX_ROW_BYTES * n_rows
                for form in plan["exports"]:
                    if not (folder / f"embeddings.{form}").exists():
                        sizes[results] += BYTES_PER_NUMBER.get(form, 4) * numbers
    return sizes


def count_rows(table: str, files: str | list[str], results: Path) -> tuple[int, int]:
    """Return rows and distinct texts of a table: as read, or as many as its files have lines."""
    try:
        manifest = parse_json((results / "texts" / table / "manifest.json").read_text("utf-8"))
        return int(manifest["rows"]), int(manifest["texts"])
    except (OSError, ValueError, KeyError):
        pass
    n_rows = 0
    for file in map(Path, [files] if isinstance(files, str) else files):
        try:
            if file.suffix in BY_SIZE:
                n_rows += ZSTD_RATIO * file.stat().st_size // ROW_BYTES
            else:
                with READERS.get(file.suffix, open)(file, "rb") as lines:
                    n_rows += max(sum(chunk.count(b"\n") for chunk in pieces_of(lines)) - 1, 0)
        except (OSError, EOFError, lzma.LZMAError):  # read_texts reports what is wrong with it
            continue
    return n_rows, n_rows


def word_vector_bytes(corpora: dict[str, Any], kind: str | None, dims: int) -> int:
    """Estimate the bytes of all layers' vectors of all words in a probe's corpora."""
    there = [Path(file) for file in corpora["files"] if Path(file).is_file()]
    words = sum(path.stat().st_size for path in there) // WORD_BYTES
    known = {"elmo": ELMO_LAYERS, "words": 1}
    layers = known.get(kind or "", transformer_layers(dims) + 1)
    return words * layers * dims * (2 if corpora["stored"] == "float16" else 4)


def pieces_of(file: IO[bytes]) -> Iterator[bytes]:
    """Read a file piece by piece."""
    while chunk := file.read(COUNTED_BYTES):
        yield chunk


def dims_of(about: dict[str, Any], converted: Path) -> int:
    """Return a model's dims: as converted, as in the catalogue, or those of a large model."""
    try:
        return int(parse_json((converted / "kgtextvec.json").read_text("utf-8"))["dims"])
    except (OSError, ValueError, KeyError):
        return int(about.get("dims") or 1024)


def transformer_layers(dims: int) -> int:
    """Estimate how many layers a model has: 12 as BERT up to 768 dims, above that 24."""
    return 12 if dims <= 768 else 24


def count_parameters(kind: str, dims: int) -> int:
    """Estimate how many parameters a model has: as a BERT of its dims."""
    if kind == "endpoint":
        return 0
    if kind == "elmo":
        return ELMO_PARAMETERS
    if kind == "words":
        return WORDS_OF_WORD2VEC * dims
    return 12 * transformer_layers(dims) * dims**2 + 31_000 * dims


def gigabytes(size: float) -> str:
    """Write bytes as GB, or as MB below one."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
