import os
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, sets
from safetensors.numpy import save

from kgtextvec.embed.store import Part, Store, comparable, keys_of

SRC = Path(__file__).resolve().parents[1] / "src"
FINGERPRINT = {"weights": "a", "pooling": "mean"}


def keys(names) -> np.ndarray:
    found = keys_of([sha256(str(name).encode()).hexdigest() for name in names])
    return found[np.argsort(comparable(found), kind="stable")]


def part(some_keys: np.ndarray, dims: int = 4) -> Part:
    """Vectors that tell whose they are: the first bytes of the key."""
    return Part(
        keys=some_keys,
        vectors=some_keys[:, :dims].astype(np.float32),
        n_tokens=some_keys[:, 5].astype(np.int32),
        truncated=some_keys[:, 6] % 2 == 0,
        n_unknown=some_keys[:, 7].astype(np.int32),
    )


def collect(store: Store, wanted: np.ndarray) -> np.ndarray:
    """Vectors of the keys found, NaN elsewhere."""
    vectors = np.full((len(wanted), 4), np.nan, dtype=np.float32)
    for rows, found in store.find(wanted):
        assert np.isnan(vectors[rows]).all(), "a row came twice"
        vectors[rows] = found.vectors
        assert np.array_equal(found.n_tokens, wanted[rows, 5])
        assert np.array_equal(found.truncated, wanted[rows, 6] % 2 == 0)
        assert np.array_equal(found.n_unknown, wanted[rows, 7])
    return vectors


@given(sets(integers(0, 300)), sets(integers(0, 300)), sets(integers(0, 300), min_size=1))
def test_the_store_gives_back_what_was_put_and_no_more(tmp_path_factory, first, second, wanted):
    store = Store(tmp_path_factory.mktemp("store"), FINGERPRINT)
    for names in (first, second):
        if names:
            store.write(part(keys(names)))
    asked = keys(wanted)
    known = {key.tobytes() for key in keys(first | second)}
    expected = np.array(
        [key[:4] if key.tobytes() in known else [np.nan] * 4 for key in asked], dtype=np.float32
    )
    assert np.array_equal(collect(store, asked), expected, equal_nan=True)


def test_other_settings_share_nothing(tmp_path):
    Store(tmp_path, FINGERPRINT).write(part(keys("abc")))
    other = Store(tmp_path, FINGERPRINT | {"pooling": "cls"})
    assert np.isnan(collect(other, keys("abc"))).all()


def test_two_writers_of_the_same_part_write_one_file(tmp_path):
    store = Store(tmp_path, FINGERPRINT)
    assert store.write(part(keys("abc"))) == store.write(part(keys("abc")))
    assert len(store.parts()) == 1


def test_every_flipped_byte_is_noticed(tmp_path, capfd):
    """Wherever a byte flips, the part is set aside and its vectors count as never computed."""
    store = Store(tmp_path, FINGERPRINT)
    path = store.write(part(keys(range(6))))
    good = path.read_bytes()
    places = range(0, len(good), max(len(good) // 200, 1))
    assert len(places) >= 200
    for place in places:
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert np.isnan(collect(store, keys(range(6)))).all(), place
        path.write_bytes(good)
    assert "set aside" in capfd.readouterr().err
    assert not np.isnan(collect(store, keys(range(6)))).any()


@pytest.mark.parametrize("cut", [0, 5, 40, -1])
def test_a_part_that_is_cut_short_is_set_aside(tmp_path, capfd, cut):
    store = Store(tmp_path, FINGERPRINT)
    path = store.write(part(keys("abc")))
    path.write_bytes(path.read_bytes()[:cut])
    assert np.isnan(collect(store, keys("abc"))).all()
    assert (path.parent / "damaged" / path.name).exists()
    assert "damaged" in capfd.readouterr().err


def crafted(**changes: np.ndarray) -> bytes:
    """A part as the store writes it, its name right, with other tensors in it."""
    good = part(keys("abc"))
    tensors = {
        "keys": good.keys,
        "vectors": good.vectors,
        "n_tokens": good.n_tokens,
        "truncated": good.truncated.astype(np.uint8),
        "n_unknown": good.n_unknown,
    }
    return save({name: each for name, each in (tensors | changes).items() if each is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {"vectors": np.zeros((3, 4))},
        {"vectors": np.zeros(3, np.float32)},
        {"vectors": np.zeros((2, 4), np.float32)},
        {"keys": np.zeros((3, 5), np.uint8)},
        {"n_tokens": np.zeros(3, np.int64)},
        {"truncated": None},
    ],
)
def test_a_part_of_another_form_is_set_aside(tmp_path, capfd, changes):
    store = Store(tmp_path, FINGERPRINT)
    for data, found in ((crafted(), True), (crafted(**changes), False)):
        path = store.put(f"{sha256(data).hexdigest()}.safetensors", data)
        assert np.isfinite(collect(store, keys("abc"))).all() == found
        assert path.exists() == found
        path.unlink(missing_ok=True)
    assert (store.folder / "damaged" / path.name).exists()
    assert "set aside" in capfd.readouterr().err


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[2])))
from test_store import FINGERPRINT, keys, part
from kgtextvec.embed.store import Store
store = Store(Path(sys.argv[1]), FINGERPRINT)
print("ready", flush=True)
for i in range(100000):
    store.write(part(keys(range(i * 50, i * 50 + 50))))
"""


def test_kill_9_leaves_only_whole_parts(tmp_path):
    env = os.environ | {"PYTHONPATH": str(SRC)}
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(Path(__file__).parent)],
            env=env,
            stdout=subprocess.PIPE,
        )
        assert writer.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(0.3)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    store = Store(tmp_path, FINGERPRINT)
    assert store.parts()
    assert all(store.read(path) is not None for path in store.parts())


def test_a_full_disk_leaves_no_part(tmp_path):
    """A file-size limit stands for the full disk: the same error path, errno EFBIG for ENOSPC."""
    code = (
        "import resource, signal, sys; sys.path.insert(0, sys.argv[2])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from pathlib import Path\n"
        "from test_store import FINGERPRINT, keys, part\n"
        "from kgtextvec.embed.store import Store\n"
        "from kgtextvec.errors import InputError\n"
        "try:\n"
        "    Store(Path(sys.argv[1]), FINGERPRINT).write(part(keys(range(50))))\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parent)],
        env=os.environ | {"PYTHONPATH": str(SRC), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "File too large" in told.stdout
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("*.part"))
