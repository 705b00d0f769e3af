"""Models whose weights exist in other forms only are refused, with the reason and the way out."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of
from kgtextvec.models.download import find_files
from kgtextvec.models.unpack import unpack_model
from kgtextvec.models.weights import load_model
from kgtextvec.settings.models import Model

CONFIG = b'{"model_type": "bert"}'
CASES = {
    "onnx": (
        {"onnx/config.json": CONFIG, "onnx/model.onnx": b"x"},
        r"as ONNX only \((m/)?onnx(/model\.onnx)?\).*Take the repository that it was made from",
    ),
    "onnx_with_head": ({"model.onnx": b"x", "2_Dense/model.safetensors": b""}, "as ONNX only"),
    "gguf": ({"model.q4.gguf": b"x"}, r"as GGUF \(quantized, for llama\.cpp\) only"),
    "tensorflow": ({"tf_model.h5": b"x"}, "as TensorFlow only.*from_tf=True"),
    "flax": ({"flax_model.msgpack": b"x"}, "as Flax only.*from_flax=True"),
}


def write_archive(path: Path, files: dict[str, bytes]) -> Path:
    """Write a .tar.gz, and the record of its download beside it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return write_download(path)


def write_download(*paths: Path) -> Path:
    """Write the record that download-model leaves of local files."""
    files = [
        {
            "name": path.name,
            "path": str(path),
            "sha256": sha256_of(path),
            "bytes": path.stat().st_size,
        }
        for path in paths
    ]
    record = {"model": "m", "source": f"file:{paths[0]}", "kind": "transformer", "files": files}
    target = paths[0].parent / "m.json"
    target.write_text(json.dumps(record))
    return target


@pytest.mark.parametrize(("files", "message"), CASES.values(), ids=list(CASES))
def test_an_archive_is_refused_with_the_reason_and_the_way_out(tmp_path, files, message):
    held = {"m/config.json": CONFIG} | {f"m/{name}": data for name, data in files.items()}
    record = write_archive(tmp_path / "model.tar.gz", held)
    with pytest.raises(InputError, match=rf"^{tmp_path}/model\.tar\.gz: .*{message}"):
        unpack_model(record, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("files", "message"), CASES.values(), ids=list(CASES))
def test_a_folder_is_refused_before_anything_is_copied(tmp_path, files, message):
    for name, data in ({"config.json": CONFIG} | files).items():
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_bytes(data)
    entry = Model(source=f"path:{tmp_path / 'm'}")
    with pytest.raises(InputError, match=f"^m: {tmp_path}/m: .*{message}"):
        find_files("m", entry, tmp_path / "lock.yaml", tmp_path / "downloads", offline=True)


def test_the_folder_that_subdir_picks_must_have_weights_that_can_be_read(tmp_path):
    held = {f"{name}/config.json": CONFIG for name in "ab"}
    held |= {"a/pytorch_model.bin": b"weights", "b/flax_model.msgpack": b"x"}
    record = write_archive(tmp_path / "model.tar.gz", held)
    unpack_model(record, out=tmp_path / "a", subdir="a")
    assert (tmp_path / "a" / "pytorch_model.bin").read_bytes() == b"weights"
    with pytest.raises(InputError, match=r"gz, b: the weights are there as Flax only"):
        unpack_model(record, out=tmp_path / "b", subdir="b")


def test_single_files_of_another_form_are_named(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"model\.gguf: the weights are there as GGUF"):
        unpack_model(write_download(tmp_path / "model.gguf"), out=tmp_path / "out")


def test_a_mapping_of_files_without_readable_weights_is_refused_when_they_are_loaded(tmp_path):
    (tmp_path / "config.json").write_bytes(CONFIG)
    (tmp_path / "model.onnx").write_bytes(b"x")
    record = write_download(tmp_path / "config.json", tmp_path / "model.onnx")
    unpack_model(record, out=tmp_path / "out")
    with pytest.raises(InputError, match=r"as ONNX only \(model\.onnx\)"):
        load_model(tmp_path / "out")
