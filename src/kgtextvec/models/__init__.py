"""Models: get their files, unpack them, check them and save them as safetensors.

The only step that touches the net. What each source may be stands in docs/models.md.
"""

import argparse
from pathlib import Path


def download_model(
    model: str, entry: str, lock: Path, downloads: Path, out: Path, offline: bool = False
) -> None:
    """Fetch a model's files to the cache `downloads` and write their record to `out` (JSON).

    `entry` is the catalogue entry as JSON. Raises InputError when no source works, or when a
    file differs from the one of the first download (`lock`).
    """
    from kgtextvec.models.download import download_to
    from kgtextvec.models.sources import read_entry

    download_to(read_entry(model, entry), lock, downloads, out, offline)


def download_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of download-model."""
    add = parser.add_argument
    add("model", help="name in the catalogue")
    add("--entry", required=True, help="the catalogue entry, as JSON")
    add("--lock", type=Path, required=True, help="models.lock.yaml: digests at first download")
    add("--downloads", type=Path, required=True, help="cache; survives reruns")
    add("--out", type=Path, required=True, help="record of the files, JSON")
    add("--offline", action="store_true", help="use what is there, ask no server")


def unpack_model(downloaded: Path, out: Path, subdir: str | None = None) -> None:
    """Turn what download-model got into a plain folder `out`: archives safely, files as copies.

    `subdir` names the folder inside an archive that holds the model. Raises InputError for a
    damaged or hostile archive; `out` is then not made.
    """
    from kgtextvec.models.unpack import unpack

    unpack(downloaded, out, subdir)


def unpack_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of unpack-model."""
    add = parser.add_argument
    add("downloaded", type=Path, help="record that download-model wrote")
    add("--out", type=Path, required=True, help="folder to make")
    add("--subdir", help="folder inside the archive that holds the model")


def convert_model(
    out: Path,
    folder: Path | None = None,
    model: str | None = None,
    entry: str = "{}",
    downloaded: Path | None = None,
    kind: str | None = None,
    weights: Path | None = None,
    options: Path | None = None,
    vocabulary: Path | None = None,
) -> None:
    """Check a model's folder and save it as safetensors with kgtextvec.json to the folder `out`.

    `entry` is the catalogue entry as JSON, `downloaded` the record of download-model (for source
    and revision). For ELMo `weights`, `options` and `vocabulary` may stand in for `folder`.
    Raises InputError when the model would give wrong vectors; `out` is then not made.
    """
    from kgtextvec.models.convert import convert

    convert(out, folder, model, entry, downloaded, kind, (weights, options, vocabulary))


def convert_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of convert-model."""
    add = parser.add_argument
    add("folder", type=Path, nargs="?", help="folder that unpack-model made")
    add("--model", help="name in the catalogue (default: the folder's name)")
    add("--entry", default="{}", help="the catalogue entry, as JSON")
    add("--downloaded", type=Path, help="record that download-model wrote")
    add("--kind", choices=("transformer", "elmo"), help="default: the entry's kind")
    add("--weights", type=Path, help="elmo: HDF5 weights")
    add("--options", type=Path, help="elmo: options.json")
    add("--vocabulary", type=Path, help="elmo: list of words, optional")
    add("--out", type=Path, required=True, help="folder to make")
