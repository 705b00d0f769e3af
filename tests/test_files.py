"""Files are complete or absent: errors in one line, modes by the umask, leftovers removed."""

import errno
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.files import (
    as_input_error,
    remove_leftovers,
    temporary_name,
    whole_file,
    whole_folder,
    writer_tag,
)

NUMBERS = np.random.default_rng(1).random(100_000)


@contextmanager
def file_size_limit(most: int):
    """Let no file of this process grow beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def write_numpy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, NUMBERS)


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = NUMBERS


def write_faiss_index(path: Path) -> None:
    faiss = pytest.importorskip("faiss")
    index = faiss.IndexFlatL2(8)
    index.add(NUMBERS.reshape(-1, 8).astype(np.float32))
    faiss.write_index(index, str(path))


WRITERS = {
    "safetensors": lambda path: save_file({"a": NUMBERS}, path),
    "pyarrow": lambda path: pq.write_table(pa.table({"a": NUMBERS}), path),
    "numpy": write_numpy,
    "hdf5": write_hdf5,
    "faiss": write_faiss_index,
    "python": lambda path: path.write_bytes(bytes(100_000)),
}


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))
def test_a_file_that_does_not_fit_is_one_line_whichever_library_writes(tmp_path, write, folder):
    target = tmp_path / "target"
    with (
        file_size_limit(1000),
        pytest.raises(InputError, match=r"target: (File too large|No space left)") as caught,
        whole_folder(target) if folder else whole_file(target) as part,
    ):
        write(part / "inside" if folder else part)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("write error in x: 1 != 2 (No space left on device)"), "No space left"),
        (PermissionError(errno.EACCES, "Permission denied", "/in/x"), "/in/x: Permission denied"),
        (OSError(errno.EROFS, "Read-only"), "f: Read-only file system; choose a folder"),
    ],
)
def test_errors_of_the_disk_become_one_line(error, message):
    assert message in str(as_input_error(error, Path("f")))
    assert isinstance(as_input_error(error, Path("f")), InputError)


@contextmanager
def as_ordinary_user():
    """Root may do everything: give its rights up for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_what_this_user_may_not_read_or_enter_is_one_line(tmp_path):
    """Looking at the path fails as well."""
    home = tmp_path.resolve()
    for folder in (home, *home.parents):
        if "pytest" in str(folder):
            folder.chmod(0o755)
    for name in ("file", "closed/file", "folder/x"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).touch()
    (home / "file").chmod(0)
    (home / "folder").chmod(0o311)
    (home / "closed").chmod(0)
    wanted = {
        "file": "make the file readable",
        "folder": "make the folder readable",
        "closed/file": "let this user enter the folders above it, or choose another path",
        "absent": "make the folder writable, or choose another one",
    }
    with as_ordinary_user():
        for name, advice in wanted.items():
            error = PermissionError(errno.EACCES, "Permission denied", str(home / name))
            shown = as_input_error(error, home)
            assert str(shown) == f"{home / name}: Permission denied; {advice}."
    (home / "closed").chmod(0o755)


@pytest.mark.parametrize("error", [ValueError("No space left on device"), RuntimeError("a bug")])
def test_other_errors_stay_as_they_are(error):
    assert as_input_error(error, Path("f")) is error


def test_an_output_folder_that_cannot_be_made_is_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="check the path"), whole_file(tmp_path / "file/x/y"):
        pass
    with (
        pytest.raises(InputError, match="File name too long"),
        whole_file(tmp_path / ("a" * 300)) as part,
    ):
        part.touch()
    table = tmp_path / "t.tsv"
    table.write_text("id\tlabel\tname\tdescription\nX:1\tGene\tn\td\n")
    words = ["read-texts", str(table), "--table", "t", "--kind", "entities"]
    assert main([*words, "--out-dir", str(tmp_path / "file/out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_have_the_mode_of_the_umask_whichever_library_writes(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with whole_file(tmp_path / "a.safetensors") as part:
            save_file({"a": NUMBERS}, part)
        with whole_folder(tmp_path / "model") as folder:
            save_file({"a": NUMBERS}, folder / "model.safetensors")
    finally:
        os.umask(before)
    for path in (tmp_path / "a.safetensors", tmp_path / "model/model.safetensors"):
        assert path.stat().st_mode & 0o777 == mode
        assert len(load_file(path)["a"]) == len(NUMBERS)
    assert len(list(tmp_path.rglob("*"))) == 3


KILLED = """
import os, sys
from pathlib import Path
from kgtextvec.files import whole_file, whole_folder
with whole_file(Path(sys.argv[1]) / "a.npy") as part, whole_folder(Path(sys.argv[1]) / "m") as made:
    part.write_text("half")
    (made / "inside").write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_what_a_killed_writer_left_is_removed_by_the_next_run_and_nothing_else(tmp_path):
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
        assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2  # the second one removed what the first one left
    left = next(path for path in tmp_path.iterdir() if path.is_file())
    number = left.name.split(".")[-2].partition("-")[0]
    living = temporary_name(tmp_path / "a.npy")
    kept = {
        living,
        living.with_name(left.name.replace(writer_tag(), "other-host")),
        living.with_name(f".a.npy.{number}-12345678.part"),
        living.with_name("a.npy.part"),
        living.with_name(left.name.replace(f"{number}-", f"{os.getppid()}-")),
    }
    for path in kept:
        path.touch()
    remove_leftovers.cache_clear()
    with whole_file(tmp_path / "a.npy") as part:
        part.touch()
    assert set(tmp_path.iterdir()) == kept | {tmp_path / "a.npy"}


def test_a_temporary_name_is_short_enough_for_any_name_that_is():
    for name in ("a" * 255, "\u4e2d" * 85, "\U0001f9ec" * 63):
        assert len(os.fsencode(temporary_name(Path("x") / name).name)) <= 255
