"""The files of a model's own recipe come through every kind of source, in their folders."""

import io
import tarfile
from pathlib import Path

import pytest
from downloads import run, server
from sentence_folders import bert, sentence_folder
from test_models_hub import add_hub

from kgtextvec.models.unpack import unpack_model

__all__ = ["server"]
PROMPTS = {"query": "find: ", "passage": ""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as sentence-transformers saves it, with every module that has files."""
    plain = bert(tmp_path_factory.mktemp("models") / "m")
    heads = ["Dense", "LayerNorm", "Normalize"]
    return sentence_folder(plain, heads=heads, prompts=PROMPTS, inside="0_Transformer")


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def packed(folder: Path) -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        archive.add(folder, "inside/m")
    return memory.getvalue()


def source_of(kind: str, folder: Path, server, tmp_path: Path) -> object:
    """Offer the folder in that way; return the entry's `source`."""
    if kind == "path":
        return f"path:{folder}"
    if kind == "hub":
        return add_hub(server, contents(folder))
    if kind == "package":
        (tmp_path / "some_model").mkdir()
        (tmp_path / "some_model/__init__.py").write_text("raise RuntimeError('is not imported')")
        (tmp_path / "some_model/m").symlink_to(folder)
        return "package:some_model/m"
    if kind == "https":
        server.add("/m.tar.gz", packed(folder))
        return f"{server.base}/m.tar.gz"
    (tmp_path / "m.tar.gz").write_bytes(packed(folder))
    return f"file:{tmp_path / 'm.tar.gz'}"


@pytest.mark.parametrize("kind", ["path", "hub", "package", "https", "file"])
def test_a_recipes_files_come_in_their_folders(server, tmp_path, monkeypatch, folder, kind):
    monkeypatch.syspath_prepend(str(tmp_path))
    run(tmp_path, source_of(kind, folder, server, tmp_path))
    unpack_model(tmp_path / "m.json", out=tmp_path / "unpacked")
    found, right = contents(tmp_path / "unpacked"), contents(folder)
    assert {"modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors"} <= right.keys()
    assert found == right
