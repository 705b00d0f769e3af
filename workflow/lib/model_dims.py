"""How many dims a model's vectors have, as far as that is known before the model is there."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kgtextvec.errors import InputError
from kgtextvec.models.known import is_known
from kgtextvec.models.sources import scheme_of, watched_files
from kgtextvec.models.sources.path import SOURCE
from kgtextvec.settings.models import Model
from kgtextvec.unpacked import UnpackedFile

from .memory import read_quietly

if TYPE_CHECKING:
    from .plan import Plan

TWO_NUMBERS = 100  # bytes that hold them


def known_dims(plan: "Plan", model: str, entry: Model) -> int:
    """Return the dims of a model's vectors; 0 while they are unknown.

    The catalogue has them, or the config.json of a folder on this machine, or the first line of a
    file of word vectors, or the record of a converted model. Poolings and layers that are put next
    to each other have a multiple of them.
    """
    if entry.truncate_dims:
        return entry.truncate_dims
    if entry.layers == "concat" or "+" in (entry.pooling or ""):
        return 0
    of_files = dims_of_words(entry) if entry.kind == "words" else dims_of_folder(entry)
    return entry.dims or of_files or recorded_dims(plan, model, entry)


def check_files_of_biomedgps(plan: "Plan") -> None:
    """Check that BioMedGPS's files have what they need, and names of their own."""
    if len(plan.config.report.layouts) < 2:
        raise InputError(
            "config, exports: entity2d of biomedgps needs both maps. Set report.layouts to"
            " [tsne, umap]."
        )
    for model in plan.models:
        dims_of_spaces(plan, known_dims(plan, model, plan.catalogue[model]))


def dims_of_spaces(plan: "Plan", full: int) -> list[int]:
    """Return the dims of all spaces, where the model has `full`; 0 while that is unknown.

    Raises InputError when two spaces have the same, since BioMedGPS's files are named by them.
    """
    dims = {space: plan.dims_in(space) or full for space in plan.spaces}
    for space, size in dims.items():
        same = [other for other in dims if dims[other] == size]
        if len(same) > 1:
            raise InputError(
                f"config, exports: {' and '.join(same)} have the same dims"
                f" ({size or 'those of the model'}), so that biomedgps has one name for two files."
                f" Leave {space} out of spaces, or biomedgps out of exports."
            )
    return list(dims.values())


def recorded_dims(plan: "Plan", model: str, entry: Model) -> int:
    """Return the dims that a conversion found, unless the entry asks for others since."""
    resources = Path(plan.config.pathvars.get("resources", "resources"))
    record = read_quietly(resources / "models" / model / "kgtextvec.json")
    asked = record.get("asked") or {}
    sources = [entry.source] if isinstance(entry.source, str) else entry.source
    source = str(record.get("source")).partition("@")[0]
    same = source in [str(one).partition("@")[0] for one in sources] and all(
        asked.get(key) == getattr(entry, key) for key in ("pooling", "truncate_dims")
    )
    return int(record.get("dims") or 0) if same else 0


def dims_of_folder(entry: Model) -> int:
    """Return the hidden size in a local folder of transformers, where no module changes it."""
    source = entry.source
    if entry.kind != "transformer" or not isinstance(source, str) or scheme_of(source) != "path":
        return 0
    folder = SOURCE.folder(source)
    if (folder / "modules.json").exists():
        return 0
    hidden = read_quietly(folder / "config.json").get("hidden_size")
    return hidden if isinstance(hidden, int) else 0


def dims_of_words(entry: Model) -> int:
    """Return the dims that the first line of a local file of word vectors gives: `words dims`."""
    files = [path for path in watched_files(entry.source) if is_known(path.name, "words")]
    fields: list[bytes] = []
    with suppress(InputError, OSError):  # convert-model reports it
        if len(files) == 1:
            with UnpackedFile(files[0]) as file:
                fields = file.read(TWO_NUMBERS).partition(b"\n")[0].split()
    return int(fields[1]) if len(fields) == 2 and all(one.isdigit() for one in fields) else 0
