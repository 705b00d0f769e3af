"""From a table to vectors in one go: model, texts, vectors, TSV; each by the step that does it."""

import json
import re
from pathlib import Path
from typing import Any

from kgtextvec.device import available_cores
from kgtextvec.embed.gather import gather_shards
from kgtextvec.embed.shard import embed_shard
from kgtextvec.errors import InputError
from kgtextvec.export.tsv import write_tsv
from kgtextvec.files import digest_of, temporary_beside
from kgtextvec.kinds import KINDS
from kgtextvec.locations import project_folder
from kgtextvec.models.convert import convert_model
from kgtextvec.models.download import download_model
from kgtextvec.models.sources.hub import newest_commit
from kgtextvec.models.unpack import unpack_model
from kgtextvec.progress import say
from kgtextvec.records import read_unedited
from kgtextvec.settings.models import Embed, Mode
from kgtextvec.settings.tables import Sharding
from kgtextvec.space import Space
from kgtextvec.texts.verbs import read_texts
from kgtextvec.yaml_files import read_yaml

# Where a catalogue may be: in the working directory, with the workflow.
CATALOGUES = (Path("config/models.yaml"), project_folder() / "config/models.yaml")
HUB_NAME = re.compile(r"([\w.-]+/[\w.-]+)(?:@([0-9a-f]{40}))?")
MODEL_RECORD = "kgtextvec.json"


def embed_table(
    kind: str,
    file: Path,
    model_name: str,
    output: Path,
    mode: Mode,
    device: str,
    work: Path,
) -> None:
    """Embed a table with a model and write the script's TSV, complete or not at all.

    Finished vectors stay in `work`/store, models in `work`/models: a second run is fast, and one
    that was stopped goes on. faithful: texts untouched, float32, the script's tokens.
    """
    work.mkdir(parents=True, exist_ok=True)
    faithful = mode.mode == "faithful"
    with temporary_beside(work / "run") as folder:
        texts, space = folder / "texts", folder / "space"
        # The table first: a fault in it must not wait for a download.
        reading = Sharding(kind=kind, text_clean="none" if faithful else "standard")
        read_texts([file], table=kind, out_dir=texts, reading=reading)
        model = find_model(model_name, work)
        vectors = folder / "000-of-001.npy"
        embed_shard(
            texts / "shards/000-of-001.parquet",
            model=model,
            store=str(work / "store"),
            out=vectors,
            embed=Embed(precision="float32" if faithful else "auto", device=device),
            mode=mode,
        )
        gather_shards([vectors], texts=texts, out_dir=space)
        write_tsv(Space(space), output, available_cores(), KINDS[kind].script_tsv)


def find_model(name: str, work: Path) -> Path:
    """Return the folder of a converted model; it is fetched and converted if need be.

    A name is a folder (converted or as a hub has it), a catalogue's name, or a hub's.
    Raises InputError when it is none of them.
    """
    folder, catalogue = Path(name), read_catalogue()
    if (folder / MODEL_RECORD).is_file():
        return folder
    if folder.is_dir():
        return from_folder(folder, work)
    if name in catalogue:
        return from_source(name, catalogue[name], work)
    found = HUB_NAME.fullmatch(name)
    if not found:
        raise InputError(
            f"-m {name}: is not a folder, a name of config/models.yaml"
            f" ({', '.join(sorted(catalogue)) or 'not found here'}) and no hub's owner/name. Name"
            " one."
        )
    for known, entry in catalogue.items():
        sources = entry["source"] if isinstance(entry["source"], list) else [entry["source"]]
        pinned = [str(source).removeprefix("hub:") for source in sources]
        if name in pinned or name in [source.partition("@")[0] for source in pinned]:
            say(f"{name}: taken as the catalogue's {known}")
            return from_source(known, entry, work)
    address, commit = found.groups()
    short = address.rpartition("/")[2]
    if not commit:
        for record in sorted((work / "models").glob(f"{short}-*/{MODEL_RECORD}")):
            if str(read_unedited(record)["source"]).startswith(f"hub:{address}@"):
                say(f"{name}: as fetched before, {read_unedited(record)['source']}")
                return record.parent
        commit = newest_commit(address, work)
        say(f"{name}: now at commit {commit}; -m {address}@{commit} will get the same again")
    return from_source(short, {"source": f"hub:{address}@{commit}"}, work)


def read_catalogue() -> dict[str, Any]:
    """Return the nearest catalogue; empty if there is none. Raises InputError at damage."""
    for path in CATALOGUES:
        if path.is_file():
            advice = "Restore it, or give -m a folder."
            found = read_yaml(path, advice) or {}
            entries = list(found.values()) if isinstance(found, dict) else [None]
            if all(isinstance(entry, dict) and entry.get("source") for entry in entries):
                return dict(found)
            raise InputError(f"{path}: not a catalogue: each model needs a source. {advice}")
    return {}


def from_folder(folder: Path, work: Path) -> Path:
    """Convert a folder as a hub has it, once per state of its files."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    state = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", folder.resolve().name).lstrip("._+-") or "model"
    out = work / "models" / f"{name}-{digest_of([str(folder.resolve()), state])[:12]}"
    if not (out / MODEL_RECORD).is_file():
        convert_model(folder, out=out, model=name)
    return out


def from_source(name: str, entry: dict[str, Any], work: Path) -> Path:
    """Fetch and convert a model by its catalogue entry, once per entry."""
    if entry.get("kind") == "endpoint":
        raise InputError(f"{name}: is an endpoint. Only the workflow can ask its server.")
    out = work / "models" / f"{name}-{digest_of(entry)[:12]}"
    if not (out / MODEL_RECORD).is_file():
        record = out.with_name(f"{out.name}.json")
        text = json.dumps(entry)
        download_model(
            name,
            entry=text,
            lock=work / "models.lock.yaml",
            downloads=work / "downloads",
            out=record,
        )
        with temporary_beside(work / "unpacked") as folder:
            unpacked = folder / name
            unpack_model(record, out=unpacked, subdir=entry.get("subdir"))
            convert_model(unpacked, out=out, model=name, entry=text, downloaded=record)
    return out
