"""bilm-tf's weights and options to a transformers folder, and back, byte for byte.

Nothing is guessed: every tensor that the options call for must be there in its shape, and no
other. Arrays are copied as they are, so an export has the same bytes as what was converted.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.encoders.elmo.bilm_folder import refuse_other_tensors
from kgtextvec.encoders.elmo.options import bilm_options, read_options
from kgtextvec.encoders.elmo.tf_checkpoint import Checkpoint
from kgtextvec.encoders.elmo.words import read_word_list
from kgtextvec.errors import InputError
from kgtextvec.files import whole_file

if TYPE_CHECKING:
    from kgtextvec.encoders.elmo.model import ElmoConfig

CHARACTER_ROWS = 261  # of the table; the 262nd, "no word", is not stored
VOCABULARY = "vocabulary.txt"
Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Place:
    """One tensor: its shape, and its name in our model, in HDF5 and in a TF checkpoint."""

    tensor: str
    hdf5: str
    checkpoint: str
    shape: tuple[int, ...]


def convert_bilm(weights: Path, options: Path, vocabulary: Path | None, out: Path) -> None:
    """Write a model folder: config.json, model.safetensors, the tokenizer[, vocabulary.txt].

    `weights` is bilm-tf's HDF5 file, or a TensorFlow checkpoint (its `.index` or its prefix);
    `options` its options.json; `vocabulary` a list of words that vectors don't depend on. `out`
    may exist. Raises InputError, before anything is written, when a name, a shape or a number is
    not what the options call for.
    """
    from safetensors.numpy import save_file

    from kgtextvec.encoders.elmo.tokenizer import ElmoTokenizer

    config = read_options(options)
    if vocabulary is not None:
        read_word_list(vocabulary)
    prefix = checkpoint_prefix(weights)
    arrays = read_checkpoint(prefix, config) if prefix else read_hdf5(weights, config)
    for place in tensor_places(config):
        if not np.isfinite(arrays[place.tensor]).all():
            raise InputError(f"{weights}: {place.hdf5} holds NaN or infinity. Get an intact file.")
    out.mkdir(parents=True, exist_ok=True)
    config.architectures = ["ElmoModel"]
    config.dtype = "float32"
    config.save_pretrained(out)
    ElmoTokenizer(max_characters=config.max_characters).save_pretrained(out)
    with whole_file(out / "model.safetensors") as part:
        save_file(arrays, part, metadata={"format": "pt"})
    if vocabulary is not None:
        with whole_file(out / VOCABULARY) as part:
            shutil.copyfile(vocabulary, part)


def to_hdf5(folder: Path, out: Path, options: Path | None = None) -> None:
    """Write a model folder back as bilm-tf's HDF5 (`out`) and, if asked, options.json.

    Arrays are bit for bit those that were converted. Raises InputError when the folder holds no
    complete ELMo.
    """
    import h5py
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    from kgtextvec.encoders.elmo.model import ElmoConfig

    try:
        config = ElmoConfig.from_pretrained(folder, local_files_only=True)
        arrays = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"{folder}: not a complete ELMo folder ({one_line(error)}). Convert it again."
        ) from None
    for place in tensor_places(config):
        if place.tensor not in arrays:
            raise InputError(f"{folder}: {place.tensor} {place.shape} is missing. Convert again.")
        check_shape(folder, place.tensor, arrays[place.tensor].shape, place.shape)
    with whole_file(out) as part, h5py.File(part, "w") as file:
        for place in tensor_places(config):
            file.create_dataset(place.hdf5, data=arrays[place.tensor])
    if options is not None:
        with whole_file(options) as part:
            part.write_text(json.dumps(config.bilm_options or bilm_options(config)), "utf-8")


def tensor_places(config: "ElmoConfig") -> Iterator[Place]:
    """Yield every tensor of a model, in the order of the network."""
    yield Place("char_embed", "char_embed", "lm/char_embed", (CHARACTER_ROWS, config.char_dim))
    for i, (width, number) in enumerate(config.filters or []):
        shape = (1, width, config.char_dim, number)
        yield same(f"filters.{i}.weight", f"CNN/W_cnn_{i}", shape)
        yield same(f"filters.{i}.bias", f"CNN/b_cnn_{i}", (number,))
    dims, words = config.filter_dims, config.projection_size
    for i in range(config.num_highways):
        for gate in ("carry", "transform"):
            ours, theirs = f"highways.{i}.{gate}", f"CNN_high_{i}"
            yield same(f"{ours}.weight", f"{theirs}/W_{gate}", (dims, dims))
            yield same(f"{ours}.bias", f"{theirs}/b_{gate}", (dims,))
    if config.projects_words:
        yield same("projection.weight", "CNN_proj/W_proj", (dims, words))
        yield same("projection.bias", "CNN_proj/b_proj", (words,))
    for d in range(2):
        for k in range(config.num_hidden_layers):
            ours, cell = f"cells.{d}.{k}", config.cell_size
            h5 = f"RNN_{d}/RNN/MultiRNNCell/Cell{k}/LSTMCell"
            tf = f"lm/RNN_{d}/rnn/multi_rnn_cell/cell_{k}/lstm_cell"
            yield Place(f"{ours}.kernel", f"{h5}/W_0", f"{tf}/kernel", (2 * words, 4 * cell))
            yield Place(f"{ours}.bias", f"{h5}/B", f"{tf}/bias", (4 * cell,))
            if config.projects_state:
                projection = f"{tf}/projection/kernel"
                yield Place(f"{ours}.projection", f"{h5}/W_P_0", projection, (cell, words))


def places_among(config: "ElmoConfig", names: Iterable[str]) -> list[Place]:
    """Return every tensor of a model as a file of these tensors names it.

    bilm-tf puts several layers into a MultiRNNCell; a single layer it names without one.
    """
    places = list(tensor_places(config))
    if config.num_hidden_layers > 1 or any("multi" in name.lower() for name in names):
        return places
    return [
        replace(
            place,
            hdf5=place.hdf5.replace("/MultiRNNCell/Cell0", ""),
            checkpoint=place.checkpoint.replace("/multi_rnn_cell/cell_0", ""),
        )
        for place in places
    ]


def same(tensor: str, hdf5: str, shape: tuple[int, ...]) -> Place:
    """Make a Place whose checkpoint name is the HDF5 name under `lm/`."""
    return Place(tensor, hdf5, f"lm/{hdf5}", shape)


def check_shape(where: Path, name: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise InputError unless a tensor has the shape that the options call for."""
    if tuple(got) != expected:
        raise InputError(
            f"{where}: {name} has shape {tuple(got)}, the options call for {expected}. Give the"
            " options.json that belongs to these weights."
        )


def check_tensor_names(where: Path, got: set[str], expected: dict[str, tuple[int, ...]]) -> None:
    """Raise InputError unless the names are those that the options call for."""
    missing = sorted(set(expected) - got)
    if missing:
        raise InputError(
            f"{where}: {missing[0]} {expected[missing[0]]} is missing, which the options call for."
            " Give complete weights and the options.json that belongs to them."
        )
    more = sorted(got - set(expected))
    if more:
        raise InputError(
            f"{where}: {more[0]} is in the file, and the options don't call for it. Give the"
            " options.json that belongs to these weights."
        )


@contextmanager
def damage_as_input_error(where: Path, name: str) -> Iterator[None]:
    """Turn what h5py raises on damaged bytes into an InputError that names the tensor."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{where}: {name} can't be read ({one_line(error)}). Get an intact file."
        ) from None


def read_hdf5(path: Path, config: "ElmoConfig") -> Arrays:
    """Read bilm-tf's HDF5 file as our tensors. Raises InputError on any mismatch."""
    import h5py

    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise InputError(f"{path}: no such weights file. Check its path.") from None
    except OSError as error:
        raise InputError(
            f"{path}: not a complete HDF5 file ({one_line(error)}). Get it again."
        ) from None
    with file:
        names: set[str] = set()
        with damage_as_input_error(path, "the list of tensors"):
            walk(path, file, "", names)
        refuse_other_tensors(path, names)
        places = places_among(config, names)
        expected = {place.hdf5: place.shape for place in places}
        check_tensor_names(path, names, expected)
        for name, shape in expected.items():
            with damage_as_input_error(path, name):
                got, dtype, stored = header(file[name])
            check_shape(path, name, got, shape)
            if dtype != np.float32:
                raise InputError(
                    f"{path}: {name} {shape} is {dtype}, must be float32. Get the weights in"
                    " float32."
                )
            if not stored:
                raise InputError(
                    f"{path}: {name} {shape} holds no data here. Get the complete file."
                )
        arrays = {}
        for place in places:
            with damage_as_input_error(path, f"{place.hdf5} {place.shape}"):
                arrays[place.tensor] = np.ascontiguousarray(file[place.hdf5][...], "<f4")
    return arrays


def walk(path: Path, group: Any, above: str, names: set[str]) -> None:
    """Collect the names of all datasets. Raises InputError on links that lead elsewhere."""
    import h5py

    for key in group:
        name = f"{above}{key}"
        if not isinstance(group.get(key, getlink=True), h5py.HardLink) or name.count("/") > 8:
            raise InputError(f"{path}: {name} is a link, not a tensor. Get the original file.")
        value = group[key]
        if isinstance(value, h5py.Group):
            walk(path, value, f"{name}/", names)
        else:
            names.add(name)


def header(data: Any) -> tuple[tuple[int, ...], Any, bool]:
    """Return a dataset's shape, dtype and whether its bytes are in this very file."""
    inside = not data.external and not data.is_virtual
    complete = data.chunks is not None or data.id.get_storage_size() >= data.nbytes
    return data.shape, data.dtype, inside and complete and data.id.get_storage_size() > 0


def checkpoint_prefix(weights: Path) -> Path | None:
    """Return the prefix of a TensorFlow checkpoint, None when `weights` is something else."""
    name = weights.name.removesuffix(".index").split(".data-")[0]
    index = weights.with_name(name + ".index")
    return weights.with_name(name) if index.is_file() or weights.suffix == ".index" else None


def read_checkpoint(prefix: Path, config: "ElmoConfig") -> Arrays:
    """Read a TensorFlow checkpoint's language model; training state and softmax are left out."""
    checkpoint = Checkpoint(prefix)
    refuse_other_tensors(prefix, checkpoint.entries)
    places = places_among(config, checkpoint.entries)
    expected = {place.checkpoint: place.shape for place in places}
    names = {
        name
        for name in checkpoint.entries
        if name.startswith("lm/")
        and not name.startswith("lm/softmax/")
        and not name.endswith("/Adagrad")
    }
    check_tensor_names(prefix, names, expected)
    for name, shape in expected.items():
        check_shape(prefix, name, checkpoint.entries[name].shape, shape)
        if checkpoint.entries[name].dtype != 1:
            raise InputError(
                f"{prefix}: {name} {shape} is not float32. Get the weights in float32."
            )
    return {place.tensor: checkpoint.read(place.checkpoint) for place in places}


def one_line(error: BaseException) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__
