"""Where training starts: a TensorFlow checkpoint of bilm-tf, or one that training here left.

Both hold the complete language model, softmax included, and Adagrad's accumulators. Everything is
checked by names, shapes and sizes before a tensor is read; tensors are mapped, not loaded.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.encoders.elmo.bilm_folder import files_in_use, refuse_other_tensors
from kgtextvec.encoders.elmo.convert import (
    Arrays,
    Place,
    check_shape,
    check_tensor_names,
    checkpoint_prefix,
    places_among,
)
from kgtextvec.encoders.elmo.options import read_options
from kgtextvec.encoders.elmo.tf_checkpoint import Checkpoint
from kgtextvec.errors import InputError
from kgtextvec.files import read_json, sha256_of
from kgtextvec.finetune.checkpoint import Snapshot, read_snapshot
from kgtextvec.finetune.language_model import SLOT, SOFTMAX_BIAS, SOFTMAX_WEIGHTS

if TYPE_CHECKING:
    from kgtextvec.encoders.elmo.model import ElmoConfig

INITIAL_ACCUMULATOR = 1.0  # bilm-tf's, for a checkpoint that was stripped of its slots
OURS = "checkpoint"  # folder of our own form, next to options.json and the vocabulary
ADVICE = "Give the folder of a training checkpoint: .index, .data-…, options.json, vocabulary."


@dataclass(frozen=True)
class TrainingSource:
    """A language model's files, checked but not read.

    `places` are its tensors, softmax included; `identity` changes with any bit of them.
    """

    options: Path
    vocabulary: Path
    config: "ElmoConfig"
    training: dict[str, Any]
    places: list[Place]
    held: Checkpoint | Snapshot
    has_slots: bool
    identity: str

    @property
    def rows(self) -> int:
        """Words of the vocabulary, `</S>` and the like included."""
        return self.places[-1].shape[0]

    def weights(self) -> Arrays:
        """Return the weights by our names, mapped; checksums are compared while reading."""
        if isinstance(self.held, Snapshot):
            self.held.check()
        return {place.tensor: self.take(place, "") for place in self.places}

    def slots(self) -> Arrays:
        """Return Adagrad's accumulators in the same way."""
        if self.has_slots:
            return {place.tensor: self.take(place, SLOT) for place in self.places}
        return {
            place.tensor: np.full(place.shape, INITIAL_ACCUMULATOR, np.float32)
            for place in self.places
        }

    def take(self, place: Place, ending: str) -> NDArray[np.float32]:
        """Return one tensor."""
        if isinstance(self.held, Snapshot):
            return self.held.tensor(place.tensor + ending)
        return self.held.map(place.checkpoint + ending)


def open_source(model: Path, vocabulary: Path | None = None) -> TrainingSource:
    """Find and check a language model's files in the folder `model` (or give its `.index`).

    Raises InputError when one is missing, or doesn't fit the others.
    """
    folder = model if model.is_dir() else model.parent
    options = only_file(folder, "options.json", sorted(folder.glob("*options.json")))
    if (folder / OURS / "state.json").is_file():
        return ours(folder, options, vocabulary or find_vocabulary(folder))
    here = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    used = files_in_use(here) if model.is_dir() else {model.name: model}
    found = [path for name, path in used.items() if name.endswith(".index") or path == model]
    prefix = checkpoint_prefix(only_file(folder, "checkpoint index (.index)", found))
    if prefix is None:
        raise InputError(f"{model}: no training checkpoint. {ADVICE}")
    checkpoint = Checkpoint(prefix)
    config, training = read_options(options), read_training(options)
    refuse_other_tensors(prefix, checkpoint.entries)
    rows = softmax_rows(prefix, checkpoint)
    wanted = with_softmax(config, rows, checkpoint.entries)
    check_vocabulary_size(options, rows)
    slots = {name for name in checkpoint.entries if name.endswith(SLOT)}
    needed = {place.checkpoint: place.shape for place in wanted}
    in_model = {name for name in checkpoint.entries if name.startswith("lm/")}
    check_tensor_names(prefix, in_model - slots, needed)
    if slots:
        needed |= {name + SLOT: shape for name, shape in needed.items()}
        check_tensor_names(prefix, in_model, needed)
    for name, shape in needed.items():
        entry = checkpoint.entries[name]
        check_shape(prefix, name, entry.shape, shape)
        if entry.dtype != 1:
            raise InputError(f"{prefix}: {name} {shape} is not float32. {ADVICE}")
        checkpoint.locate(name)
    index = prefix.with_name(prefix.name + ".index")
    # The index holds every tensor's checksum, and these are checked as tensors are read.
    return TrainingSource(
        options, vocabulary or find_vocabulary(folder), config, training, wanted, checkpoint,
        bool(slots), sha256_of(index),
    )  # fmt: skip


def ours(folder: Path, options: Path, vocabulary: Path) -> TrainingSource:
    """Open what training here left."""
    snapshot = read_snapshot(folder / OURS)
    config, training = read_options(options), read_training(options)
    shape = snapshot.shapes.get(SOFTMAX_BIAS, (0,))
    wanted = with_softmax(config, shape[0])
    check_vocabulary_size(options, shape[0])
    for place in wanted:
        for name in (place.tensor, place.tensor + SLOT):
            if name not in snapshot.shapes:
                raise InputError(f"{folder / OURS}: {name} is missing. Train again.")
            check_shape(folder / OURS, name, snapshot.shapes[name], place.shape)
    return TrainingSource(
        options, vocabulary, config, training, wanted, snapshot, True, snapshot.sha256
    )


def with_softmax(config: "ElmoConfig", rows: int, names: Iterable[str] = ()) -> list[Place]:
    """Return every tensor of the language model, as a file of the tensors `names` names them.

    The softmax's two come last.
    """
    size = config.projection_size
    return [
        *places_among(config, names),
        Place(SOFTMAX_WEIGHTS, "", "lm/softmax/W", (rows, size)),
        Place(SOFTMAX_BIAS, "", "lm/softmax/b", (rows,)),
    ]


def softmax_rows(prefix: Path, checkpoint: Checkpoint) -> int:
    """Return the rows of the checkpoint's softmax."""
    entry = checkpoint.entries.get("lm/softmax/b")
    if entry is None or len(entry.shape) != 1:
        raise InputError(
            f"{prefix}: lm/softmax/b is missing, so this is not a checkpoint of training. {ADVICE}"
        )
    return entry.shape[0]


def check_vocabulary_size(options: Path, rows: int) -> None:
    """Raise InputError if options.json has another number of words than the softmax has rows."""
    words = read_json(options, "Get the file again.").get("n_tokens_vocab")
    if words is not None and words != rows:
        raise InputError(
            f"{options}: n_tokens_vocab is {json.dumps(words)[:80]}, but the checkpoint's softmax"
            f" has {rows:,} rows. Give the options.json and the vocabulary of the checkpoint."
        )


def only_file(folder: Path, what: str, found: list[Path]) -> Path:
    """Return the one file there should be."""
    if len(found) != 1:
        raise InputError(f"{folder}: holds {len(found)} files of {what}, must be one. {ADVICE}")
    return found[0]


def find_vocabulary(folder: Path) -> Path:
    """Return the folder's word list: vocabulary.txt, vocab*.txt, or the only .txt."""
    for pattern in ("vocabulary.txt", "vocab*.txt", "*.txt"):
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
    raise InputError(f"{folder}: no vocabulary.txt there. Put the checkpoint's word list there.")


def read_training(options: Path) -> dict[str, Any]:
    """Return the options of training that are there; what they may be is checked.

    Raises InputError, naming the option.
    """
    values = read_json(options, "Get the file again.")
    found = {}
    for name, kind, least in (
        ("batch_size", int, 1),
        ("unroll_steps", int, 1),
        ("n_negative_samples_batch", int, 1),
        ("all_clip_norm_val", float, 0),
        ("dropout", float, 0),
        ("learning_rate", float, 0),
    ):
        value = values.get(name)
        if value is None:
            continue
        right = type(value) in ((int,) if kind is int else (int, float)) and math.isfinite(value)
        if not right or value < least or (name == "dropout" and value >= 1):
            raise InputError(
                f"{options}: {name} is {json.dumps(value)[:80]}, which training can't take. Give"
                " the options.json of the checkpoint."
            )
        found[name] = value
    sampled = values.get("sample_softmax")
    if sampled is not None:
        if type(sampled) is not bool:
            raise InputError(
                f"{options}: sample_softmax is {json.dumps(sampled)[:80]}, must be true or false."
                " Give the options.json of the checkpoint."
            )
        found["sample_softmax"] = sampled
    return found
