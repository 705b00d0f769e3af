"""`kgtextvec store stats|verify|prune`: contents, damage, and parts no longer used."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from kgtextvec.embed.shard_lock import SHARD_LOCKS
from kgtextvec.embed.store import KEY_BYTES, Part, Store, comparable, keys_of, open_store
from kgtextvec.errors import InputError
from kgtextvec.files import digest_of, read_json, refuse_other_digest, sha256_of
from kgtextvec.kept_results import FOLDER, KeptResults, old_leftovers
from kgtextvec.locks import is_unlocked
from kgtextvec.parquet_files import read_parquet
from kgtextvec.progress import Progress, plural, say
from kgtextvec.records import read_unedited

SHOWN = ("pooling", "precision", "max_tokens", "long_text", "layers")


def store(
    what: Annotated[
        Literal["stats", "verify", "prune"],
        "stats: what is there; verify: read every part and set damaged ones aside; prune: drop"
        " vectors of models and texts that no working directory uses (a dry run without --yes)",
    ],
    folder: Annotated[
        str, "the store: a folder, or s3://bucket/prefix (default: .kgtextvec/store)"
    ] = ".kgtextvec/store",
    *,
    used_in: Annotated[
        Sequence[Path],
        "working directories (or results folders) that use the store: all of them, for prune",
    ] = (),
    yes: Annotated[bool, "prune: do it"] = False,
) -> None:
    """Report what a vector store holds, check every byte of it, or drop what is no longer used.

    Raises InputError when the folder is no store; for `verify`, when a part was damaged; for
    `prune`, when no working directory is named, or one of them has no results or is locked.
    """
    if "://" in folder and what == "prune":
        raise InputError(
            f"{folder}: prune works on folders alone. Remove the folders of models that you no"
            " longer use with the cloud's own tools."
        )
    used = used_vectors(used_in)
    folders = [open_store(folder, about) for about in fingerprints(folder)]
    kept = KeptResults(Path(folder) / FOLDER)  # in a bucket there are none
    if what == "stats":
        report_stats(folders, used, kept)
    elif what == "verify":
        verify_parts(folders, kept)
    else:
        prune_parts(folders, used, used_in, kept, yes)


@dataclass
class UsedTexts:
    """Texts in use under one fingerprint, and the models' names that go with it."""

    names: set[str] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)


def fingerprints(where: str) -> Iterator[dict[str, Any]]:
    """Yield what each folder of a store says of itself. Raises InputError when that is false."""
    if "://" in where:
        from kgtextvec.embed.bucket import fingerprints_in_bucket

        yield from fingerprints_in_bucket(where)
        return
    folder = Path(where)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder. Name the store, the config's key `store`.")
    for about in sorted(folder.glob("*/about.json")):
        found = read_json(about)
        if digest_of(found)[:32] != about.parent.name:
            raise InputError(
                f"{about}: does not fit the name of its folder. Remove the folder; its vectors"
                " are computed again."
            )
        yield found


def used_vectors(used_in: Sequence[Path]) -> dict[str, UsedTexts]:
    """Find the texts that results use, per folder of the store.

    The spaces `full` of each working directory tell: manifest.json the fingerprint, index.parquet
    the texts. Raises InputError for a directory without results, so that a slip of the pen drops
    nothing.
    """
    used: dict[str, UsedTexts] = defaultdict(UsedTexts)
    for directory in used_in:
        results = directory / "results" if (directory / "results").is_dir() else directory
        manifests = sorted(results.glob("*/*/full/manifest.json"))
        if not manifests:
            raise InputError(
                f"{directory}: no results in it (results/*/*/full/manifest.json). Name a working"
                " directory in which the workflow has run, or the folder of its results."
            )
        for path in manifests:
            about = read_unedited(path)
            here = used[about["fingerprint"]]
            here.names.add(about["model"]["name"])
            index = path.with_name("index.parquet")
            if "index_sha256" in about:
                refuse_other_digest(index, about["index_sha256"], sha256_of(index))
            texts = read_parquet(index, ["text_sha256"])
            keys = keys_of(texts["text_sha256"].unique().to_pylist())
            here.keys.update(key.tobytes() for key in keys)
    return used


def description_of(one: Store, used: dict[str, UsedTexts]) -> str:
    """Say in a few words which model and settings a folder of the store belongs to."""
    about = one.fingerprint
    names = used[one.name].names if one.name in used else set()
    words = [", ".join(sorted(names)) or f"{about['kind']} {about['weights_sha256'][:12]}"]
    return " ".join(words + [str(about[key]) for key in SHOWN if key in about])


def report_stats(folders: list[Store], used: dict[str, UsedTexts], kept: KeptResults) -> None:
    """Say what each folder of the store holds, and how much is kept of baselines."""
    total = 0
    for one in folders:
        parts, again, size = one.parts(), 0, 0
        texts: set[bytes] = set()
        for path, keys in one.keys_of_parts(parts):
            size += one.size_of(path)
            if keys is not None:
                before = len(texts)
                texts.update(key.tobytes() for key in keys)
                again += before + len(keys) - len(texts)
        aside = one.count_damaged()
        total += size
        say(
            f"{one.name}: {description_of(one, used)}: {plural(len(texts), 'text')} in"
            f" {plural(len(parts), 'part')}, {size / 1e6:,.1f} MB"
            + (f", {again:,} stored more than once" if again else "")
            + (f", {plural(aside, 'damaged part')} set aside" if aside else "")
        )
    say(f"{len(folders)} models and settings, {total / 1e6:,.1f} MB")
    if paths := kept.paths():
        size = sum(path.stat().st_size for path in paths)
        say(f"{FOLDER}: {plural(len(paths), 'result')}, {size / 1e6:,.1f} MB")


def verify_parts(folders: list[Store], kept: KeptResults) -> None:
    """Read every part, check its digest, form and numbers; damaged ones are set aside.

    Damaged results of baselines are deleted.
    """
    paths = [(one, path) for one in folders for path in one.parts()]
    damaged = damaged_results = 0
    with Progress("verify", len(paths), "parts") as progress:
        for one, path in paths:
            before = one.count_damaged()
            part = one.read(path)
            if part is None:
                damaged += one.count_damaged() > before
            elif fault := fault_in(part):
                one.set_aside(path, fault)
                damaged += 1
            progress.add(1)
    n_results = len(kept.paths())
    for path in kept.damaged():
        say(f"WARNING: {path}: damaged, deleted.")
        path.unlink()
        damaged_results += 1
    if damaged:
        raise InputError(
            f"{damaged:,} of {len(paths):,} parts are damaged and set aside; the next run computes"
            " their vectors again. Check the disk."
        )
    if damaged_results:
        raise InputError(
            f"{damaged_results:,} of {n_results:,} results of baselines were damaged and are"
            " deleted; the next run that needs them computes them again. Check the disk."
        )
    say(f"{plural(len(paths), 'part')}, all intact")


def fault_in(part: Part) -> str:
    """Say what is wrong with a part whose bytes are as they were written; nothing, mostly."""
    if part.keys.shape[1:] != (KEY_BYTES,) or len(part.keys) != len(part.vectors):
        return "its keys don't fit its vectors"
    if len(part.keys) > 1 and not (comparable(part.keys)[:-1] <= comparable(part.keys)[1:]).all():
        return "its keys are out of order"
    if not np.isfinite(part.vectors).all():
        return "its vectors hold NaN or Inf"
    return ""


def prune_parts(
    folders: list[Store],
    used: dict[str, UsedTexts],
    used_in: Sequence[Path],
    kept: KeptResults,
    yes: bool,
) -> None:
    """Drop vectors that no results use, damaged parts and what killed jobs left; or tell of them.

    Results of baselines go that no job has used for 30 days.

    A part of which some vectors are in use is written anew without the others before it goes, so
    that a kill at any moment loses nothing.
    """
    if not used_in:
        raise InputError(
            "store prune: no working directory is named. Name all that use the store: --used-in"
            " DIR …"
        )
    for directory in used_in:
        if yes and any(directory.glob(".snakemake/locks/*")):
            raise InputError(
                f"{directory}: a run is going on there, or it crashed. Wait until it ends, or run"
                " snakemake --unlock; then prune."
            )
    freed = 0
    for one in folders:
        here = used.get(one.folder.name, UsedTexts())
        dropped, texts = 0, 0
        for path in one.parts():
            keys = one.keys_in(path)
            if keys is None:
                continue
            chosen = np.array([key.tobytes() in here.keys for key in keys], dtype=np.bool_)
            if not chosen.all():
                texts += int((~chosen).sum())
                dropped += drop_vectors(one, path, chosen, yes)
        left = sum(remove(path, yes) for path in leftovers(one.folder))
        if dropped or left:
            say(
                f"{one.folder.name}: {description_of(one, used)}: {plural(texts, 'text')} that"
                " nothing uses"
            )
        freed += dropped + left
        if yes and not one.parts() and not here.keys:
            remove_empty(one.folder)
    unused = [remove(path, yes) for path in kept.unused()]
    if sum(unused):
        some = plural(len(unused), "file")
        say(f"{FOLDER}: {some} that no job has used for 30 days, or left behind")
    freed += sum(unused)
    done = "freed" if yes else "to be freed; say --yes to do it"
    say(f"{freed / 1e6:,.1f} MB {done}")


def drop_vectors(one: Store, path: Path, kept: NDArray[np.bool_], yes: bool) -> int:
    """Drop the vectors of a part that aren't kept; returns the bytes freed, about."""
    size = path.stat().st_size
    if kept.any():
        part = one.read(path)
        if part is None:
            return 0
        if yes:
            one.write(part.take(kept))
    if yes:
        path.unlink(missing_ok=True)
    return size * int((~kept).sum()) // len(kept)


def leftovers(folder: Path) -> Iterator[Path]:
    """Yield parts set aside, lock files that no job holds, and temporary files long left alone."""
    yield from folder.glob("damaged/*")
    yield from (path for path in folder.glob(f"{SHARD_LOCKS}/*.lock") if is_unlocked(path))
    yield from old_leftovers(folder)


def remove(path: Path, yes: bool) -> int:
    """Remove a file if `yes`; returns its bytes."""
    size = path.stat().st_size
    if yes:
        path.unlink(missing_ok=True)
    return size


def remove_empty(folder: Path) -> None:
    """Remove a folder that holds nothing but what it says of itself."""
    for name in ("damaged", SHARD_LOCKS):
        if (folder / name).is_dir() and not any((folder / name).iterdir()):
            (folder / name).rmdir()
    if [path.name for path in folder.iterdir()] == ["about.json"]:
        (folder / "about.json").unlink()
        folder.rmdir()
