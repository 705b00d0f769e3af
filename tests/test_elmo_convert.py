"""bilm-tf's files to a model folder and back, and the files that must not pass."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from elmo_models import KINDS, make, options_of, write
from elmo_oracle import names_and_shapes, random_weights
from safetensors.numpy import load_file
from tf_checkpoints import checkpoint_name, write_checkpoint

from kgtextvec.encoders.elmo.convert import convert_bilm, to_hdf5
from kgtextvec.encoders.elmo.tf_checkpoint import Checkpoint
from kgtextvec.errors import InputError

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "elmo"
golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the published fixtures are not here")
OPTIONS = KINDS["plain"]
KERNEL = "RNN_1/RNN/MultiRNNCell/Cell0/LSTMCell/W_0"


def read_hdf5(path: Path) -> dict[str, np.ndarray]:
    """Read all datasets of a file."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, data: (
                found.update({name: data[...]}) if isinstance(data, h5py.Dataset) else None
            )
        )
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_has_the_bytes_of_the_original(tmp_path, kind):
    folder, weights = make(tmp_path, KINDS[kind])
    to_hdf5(folder, tmp_path / "back.hdf5", tmp_path / "options.json")
    back = read_hdf5(tmp_path / "back.hdf5")
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        assert back[name].dtype == np.float32 and back[name].shape == value.shape
        assert back[name].tobytes() == value.tobytes()
    assert json.loads((tmp_path / "options.json").read_text()) == KINDS[kind]
    convert_bilm(tmp_path / "back.hdf5", tmp_path / "options.json", None, tmp_path / "again")
    for file in folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_numbers_at_the_edge_survive(tmp_path):
    weights = random_weights(OPTIONS)
    weights["CNN/b_cnn_0"][:4] = [-0.0, np.finfo(np.float32).max, 1e-45, np.float32(0.1)]
    convert_bilm(*write(tmp_path, OPTIONS, weights), None, tmp_path / "model")
    to_hdf5(tmp_path / "model", tmp_path / "back.hdf5")
    assert (
        read_hdf5(tmp_path / "back.hdf5")["CNN/b_cnn_0"].tobytes()
        == weights["CNN/b_cnn_0"].tobytes()
    )


def refused(tmp_path, told, options=OPTIONS, weights=None, change=None):
    """Convert something; it must stop with one line that says `told`, and write nothing."""
    path, options_path = write(tmp_path / "in", OPTIONS, weights or random_weights(OPTIONS))
    options_path.write_text(options if isinstance(options, str) else json.dumps(options))
    if change:
        change(path)
    with pytest.raises(InputError, match=told) as error:
        convert_bilm(path, options_path, None, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_wrong_shape_is_told_with_both_shapes(tmp_path):
    weights = random_weights(OPTIONS)
    weights[KERNEL] = weights[KERNEL][:-1]
    refused(
        tmp_path,
        rf"{KERNEL} has shape \(11, 48\), the options call for \(12, 48\)",
        weights=weights,
    )


@pytest.mark.parametrize("name", ["char_embed", "CNN_high_0/b_carry", KERNEL])
def test_a_missing_tensor_is_named_with_its_shape(tmp_path, name):
    weights = random_weights(OPTIONS)
    shape = weights.pop(name).shape
    told = rf"{name} \({shape[0]},.*\) is missing"
    refused(tmp_path, told, weights=weights)


def test_more_tensors_than_the_options_call_for_are_named(tmp_path):
    refused(tmp_path, r"RNN_0/.*/Cell1/.*B is in the file", options=options_of(layers=1))
    refused(tmp_path, r"CNN_high_0/\w+ is in the file", options=options_of(highways=0))


def test_options_of_another_model_are_told(tmp_path):
    refused(tmp_path, r"W_0 has shape \(12, 48\), .* \(12, 56\)", options=options_of(dim=14))
    refused(tmp_path, r"W_cnn_1 has shape \(1, 3, 3, 5\), the options call for \(1, 4, 3, 5\)",
            options=options_of(filters=[[1, 4], [4, 5], [2, 3]]))  # fmt: skip


def broken(**more):
    """Give the options with some values of `lstm` replaced."""
    return {**OPTIONS, "lstm": {**OPTIONS["lstm"], **more}}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "must be a mapping"),
        ({"lstm": OPTIONS["lstm"]}, "reads words from a fixed vocabulary"),
        (broken(dim="12"), r'lstm\.dim is "12", must be a whole number'),
        (broken(dim=True), r"lstm\.dim is true"),
        (broken(n_layers=0), r"lstm\.n_layers is 0"),
        (broken(dim=10**12), r"lstm\.dim is 1000000000000"),
        (broken(dim=None), r"lstm\.dim is missing"),
        (broken(cell_clip=-1), r"lstm\.cell_clip is -1, must be a positive"),
        (broken(cell_clip=float("nan")), r"lstm\.cell_clip is NaN"),
        (broken(peephole=True), r"lstm\.peephole is not an option of an ELMo"),
        (broken(projection_dim=99), "projection_size 99 is over cell_size 12"),
        (broken(use_skip_connections="yes"), r"lstm\.use_skip_connections"),
        (options_of(activation="gelu"), r'char_cnn\.activation is "gelu"'),
        (options_of(n_characters=300), r"char_cnn\.n_characters is 300"),
        (options_of(filters=[]), r"char_cnn\.filters is \[\]"),
        (options_of(filters=[[1, 2, 3]]), r"char_cnn\.filters"),
        (options_of(filters=[[40, 2]]), "don't fit 16 characters"),
        ({**OPTIONS, "bidirectional": False}, "bidirectional is false"),
    ],
)  # fmt: skip
def test_odd_options_are_named(tmp_path, options, told):
    refused(tmp_path, told, options=options)


def test_damaged_weights_are_told(tmp_path):
    def cut(path):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    refused(tmp_path, r"weights\.hdf5: not a complete HDF5 file", change=cut)
    refused(tmp_path, "not a complete HDF5 file", change=lambda path: path.write_bytes(b"x" * 999))
    refused(tmp_path, "no such weights file", change=lambda path: path.unlink())


def test_a_tensor_that_can_not_be_read_is_named(tmp_path):
    def compress_and_break(path):
        weights = read_hdf5(path)
        with h5py.File(path, "w") as file:
            for name, value in weights.items():
                zipped = {"compression": "gzip", "chunks": value.shape} if name == KERNEL else {}
                file.create_dataset(name, data=value, **zipped)
            where = file[KERNEL].id.get_chunk_info(0)
        content = bytearray(path.read_bytes())
        content[where.byte_offset : where.byte_offset + where.size] = b"\0" * where.size
        path.write_bytes(content)

    refused(tmp_path, rf"{KERNEL} \(12, 48\) can't be read", change=compress_and_break)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("double", "is float64, must be float32"),
        ("empty", "holds no data here"),
        ("outside", "holds no data here"),
        ("link", "is a link, not a tensor"),
        ("loop", "is a link, not a tensor"),
        ("nan", "holds NaN or infinity"),
    ],
)
def test_a_tensor_that_is_not_one_is_named(tmp_path, kind, told):
    def change(path):
        with h5py.File(path, "r+") as file:
            value = file[KERNEL][...]
            if kind == "nan":
                file[KERNEL][0, 0] = np.nan
                return
            del file[KERNEL]
            if kind == "double":
                file[KERNEL] = value.astype(np.float64)
            elif kind == "empty":
                file.create_dataset(KERNEL, shape=value.shape, dtype="f4", chunks=(6, 8))
            elif kind == "outside":
                other = [("/etc/hostname", 0, value.nbytes)]
                file.create_dataset(KERNEL, shape=value.shape, dtype="f4", external=other)
            elif kind == "link":
                file[KERNEL] = h5py.ExternalLink("/etc/hostname", "/x")
            else:
                file[KERNEL] = h5py.SoftLink("/")

    refused(tmp_path, rf"{KERNEL}.*{told}", change=change)


def test_a_group_that_holds_itself_ends(tmp_path):
    def change(path):
        with h5py.File(path, "r+") as file:
            file["CNN/again"] = file["CNN"]

    refused(tmp_path, "again", change=change)


def test_an_export_of_something_else_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a complete ELMo folder"):
        to_hdf5(tmp_path, tmp_path / "out.hdf5")
    folder, _ = make(tmp_path, OPTIONS)
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-8])
    with pytest.raises(InputError, match="not a complete ELMo folder"):
        to_hdf5(folder, tmp_path / "out.hdf5")
    assert not (tmp_path / "out.hdf5").exists()


@pytest.fixture
def checkpoint(tmp_path):
    """Write a model as a training checkpoint, training state included."""
    weights = random_weights(OPTIONS)
    _, options = write(tmp_path / "in", OPTIONS, weights)
    arrays = {checkpoint_name(name): value for name, value in weights.items()}
    arrays |= {f"{name}/Adagrad": value + 1 for name, value in arrays.items()}
    arrays |= {"lm/softmax/W": np.ones((7, 6), np.float32), "global_step": np.float32(3)}
    prefix = tmp_path / "model.ckpt-3"
    write_checkpoint(prefix, {name: np.asarray(value) for name, value in arrays.items()})
    return prefix, options, weights


@pytest.mark.parametrize("ending", ["", ".index", ".data-00000-of-00001"])
def test_a_checkpoint_gives_the_folder_that_its_hdf5_gives(checkpoint, tmp_path, ending):
    prefix, options, weights = checkpoint
    convert_bilm(prefix.with_name(prefix.name + ending), options, None, tmp_path / "out")
    convert_bilm(tmp_path / "in" / "weights.hdf5", options, None, tmp_path / "same")
    ours, same = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "same"))
    assert len(ours) == len(weights) == len(same)
    assert all(ours[name].tobytes() == same[name].tobytes() for name in same)


def test_a_mapped_tensor_is_the_one_that_is_read_and_can_be_written_to(checkpoint):
    prefix, _, _ = checkpoint
    data = prefix.with_name(prefix.name + ".data-00000-of-00001")
    before, opened = data.read_bytes(), Checkpoint(prefix)
    for name in opened.entries:
        tensor = opened.map(name)
        assert tensor.tobytes() == opened.read(name).tobytes()
        tensor += 1
    assert data.read_bytes() == before
    data.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(InputError, match="don't match their checksum"):
        [opened.map(name) for name in opened.entries]


def test_a_damaged_checkpoint_is_told(checkpoint, tmp_path):
    prefix, options, _ = checkpoint
    index = prefix.with_name(prefix.name + ".index")
    data = prefix.with_name(prefix.name + ".data-00000-of-00001")
    whole, content = index.read_bytes(), data.read_bytes()

    def refused_here(told):
        with pytest.raises(InputError, match=told) as error:
            convert_bilm(index, options, None, tmp_path / "out")
        assert "\n" not in str(error.value)

    data.write_bytes(content[:2000])
    refused_here(r"cut: lm/\S+ \([\d, ]+\) needs bytes \d+ to \d+, the file has 2000")
    data.write_bytes(content[:4] + bytes([content[4] ^ 1]) + content[5:])
    refused_here(r"bytes of lm/CNN/W_cnn_0 \(1, 1, 3, 4\) don't match their checksum")
    data.unlink()
    refused_here(r"data-00000-of-00001: no such file")
    data.write_bytes(content)
    for place in range(0, len(whole), 7):
        index.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            convert_bilm(index, options, None, tmp_path / "out")
        except InputError as error:
            assert "\n" not in str(error)
        index.write_bytes(whole[:place])
        refused_here("damaged checkpoint index")
    index.unlink()
    refused_here("no such file")


def test_a_checkpoint_of_another_model_is_told(checkpoint, tmp_path):
    prefix, options, _ = checkpoint
    options.write_text(json.dumps(options_of(layers=3)))
    with pytest.raises(InputError, match=r"cell_2/\S+ \(\d+.*\) is missing"):
        convert_bilm(prefix, options, None, tmp_path / "out")
    options.write_text(json.dumps(options_of(dim=13)))
    with pytest.raises(InputError, match=r"lstm_cell/kernel has shape \(12, 48\), .*\(12, 52\)"):
        convert_bilm(prefix, options, None, tmp_path / "out")


def test_without_the_checksum_library_nothing_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    _, options = write(tmp_path / "in", OPTIONS, random_weights(OPTIONS))
    (tmp_path / "x.index").write_bytes(b"")
    with pytest.raises(InputError, match="need the package google-crc32c"):
        convert_bilm(tmp_path / "x.index", options, None, tmp_path / "out")


@golden
def test_a_checkpoint_of_tensorflow_is_read_bit_for_bit(tmp_path):
    pytest.importorskip("google_crc32c")
    home = GOLDEN / "tf_checkpoint"
    checkpoint = Checkpoint(home / "model.ckpt-300")
    with np.load(home / "tf_read.npz") as theirs:
        assert set(checkpoint.entries) == set(theirs.files)
        for name in theirs.files:
            for tensor in (checkpoint.read(name), checkpoint.map(name)):
                assert (tensor.shape, tensor.dtype) == (theirs[name].shape, theirs[name].dtype)
                assert tensor.tobytes() == theirs[name].tobytes()
    convert_bilm(home / "model.ckpt-300.index", home / "options.json", None, tmp_path / "one")
    convert_bilm(home / "weights.hdf5", home / "options.json", None, tmp_path / "other")
    for file in (tmp_path / "one").iterdir():
        assert (tmp_path / "other" / file.name).read_bytes() == file.read_bytes()


def test_the_oracle_names_what_the_options_call_for():
    assert len(names_and_shapes(OPTIONS)) == 1 + 6 + 4 + 2 + 12
