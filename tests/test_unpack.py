"""unpack-model: what an archive may do is to give a model's files; nothing else happens."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kgtextvec.errors import InputError
from kgtextvec.models.unpack import BoundedStream, Limits, unpack_archive, unpack_model

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ("m/config.json", b'{"model_type":"roberta"}', {})
NOISE = np.random.default_rng(3).bytes(200_000)
WEIGHTS = ("m/pytorch_model.bin", NOISE, {})


def tar(*members, form=tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data, more in members:
            about = tarfile.TarInfo(name)
            for key, value in more.items():
                setattr(about, key, value)
            about.size = len(data) if about.isreg() else about.size
            archive.addfile(about, io.BytesIO(data) if about.isreg() else None)
    return buffer.getvalue()


def tgz(*members, **more) -> bytes:
    return gzip.compress(tar(*members, **more), mtime=0)


def unpack(folder: Path, data: bytes, name="model.tar.gz", kind="transformer", **more) -> Path:
    (folder / name).write_bytes(data)
    record = {
        "model": "m",
        "source": f"https://host/{name}",
        "kind": kind,
        "files": [
            {
                "name": name,
                "path": str(folder / name),
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
            }
        ],
        **more,
    }
    (folder / "m.json").write_text(json.dumps(record))
    unpack_model(folder / "m.json", out=folder / "out")
    return folder / "out"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


NESTED = [
    ("a", b"", {"type": tarfile.DIRTYPE, "mode": 0o755}),
    ("a/a-hf/config.json", b'{"model_type":"roberta"}', {}),
    ("a/a-hf/vocab.json", b"{}", {}),
    ("a/a-hf/merges.txt", b"#version: 0.2\n", {}),
    ("a/a-hf/pytorch_model.bin", b"x", {}),
]
ODD = {
    "tar_hardlink_escape": ("m/h", b"", {"type": tarfile.LNKTYPE, "linkname": "../../etc/passwd"}),
    "tar_symlink": ("m/vocab.txt", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
    "tar_symlink_folder": ("m/l", b"", {"type": tarfile.SYMTYPE, "linkname": "../.."}),
    "tar_hardlink_name": ("m/vocab.txt", b"", {"type": tarfile.LNKTYPE, "linkname": "config.json"}),
    "tar_device": ("m/null", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
    "tar_block_device": ("m/merges.txt", b"", {"type": tarfile.BLKTYPE, "devmajor": 8}),
    "tar_fifo": ("m/p", b"", {"type": tarfile.FIFOTYPE}),
    "tar_unknown_file": ("m/setup.py", b"import os", {}),
    "tar_hidden_file": ("m/._config.json", b"resource fork", {}),
    "tar_setuid": ("n/vocab.txt", b"x", {"mode": 0o6777, "uid": 0}),
}


def test_tar_nested_ok(tmp_path):
    out = unpack(tmp_path, tgz(*NESTED))
    assert files(out) == {name.split("/")[-1]: data for name, data, _ in NESTED[1:]}


@pytest.mark.parametrize("member", ODD.values(), ids=list(ODD))
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_what_is_no_file_of_the_model_is_not_made(tmp_path, member, first):
    out = unpack(tmp_path, tgz(member, CONFIG) if first else tgz(CONFIG, member))
    assert files(out) == {"config.json": CONFIG[1]}
    assert not (out / "config.json").is_symlink()
    assert (out / "config.json").stat().st_mode & 0o7111 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "model.tar.gz", "out"]


def test_tar_symlink_escape(tmp_path):
    link = ("m/l", b"", {"type": tarfile.SYMTYPE, "linkname": "../.."})
    out = unpack(tmp_path, tgz(link, ("m/l/evil.txt", b"x", {}), CONFIG))
    assert files(out) == {"config.json": CONFIG[1]}
    assert not list(tmp_path.parent.glob("**/evil.txt"))


def lying(size: int, kind: bytes = tarfile.REGTYPE, form: int = tarfile.PAX_FORMAT) -> bytes:
    about = tarfile.TarInfo("m/pytorch_model.bin")
    about.size, about.type = size, kind
    return gzip.compress(about.tobuf(form) + bytes(10240), mtime=0)


def pax(records: bytes) -> bytes:
    """An archive of 20 members with a pax header of these bytes each."""
    header, buffer = tarfile.TarInfo("p"), io.BytesIO()
    header.type, header.size = tarfile.XHDTYPE, len(records)
    data = header.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512)
    for _ in range(20):
        buffer.write(data + tarfile.TarInfo("m/q").tobuf(tarfile.USTAR_FORMAT))
    return gzip.compress(buffer.getvalue() + bytes(10240), mtime=0)


REFUSED = {
    "tar_traversal": (lambda: tgz(CONFIG, ("../evil.txt", b"x", {})), "refused entry name"),
    "tar_traversal_inside": (lambda: tgz(CONFIG, ("m/../../x", b"x", {})), "refused entry name"),
    "tar_absolute": (lambda: tgz(CONFIG, ("/evil_abs.txt", b"x", {})), "refused entry name"),
    "tar_backslash": (lambda: tgz(CONFIG, ("m\\..\\x", b"x", {})), "refused entry name"),
    "tar_control": (lambda: tgz(CONFIG, ("m/a\nb", b"x", {})), "refused entry name"),
    "tar_two_models": (
        lambda: tgz(CONFIG, ("n/config.json", b"{}", {})),
        r"holds 2 models \(m, n\)",
    ),
    "tar_no_config": (lambda: tgz(("m/readme.txt", b"x", {})), "holds no config.json"),
    "tar_empty": (tgz, "holds no config.json"),
    "tar_duplicate_member": (lambda: tgz(CONFIG, CONFIG), "twice"),
    "tar_duplicate_by_dot": (lambda: tgz(CONFIG, ("./m/config.json", b"", {})), "twice"),
    "tar_many_members": (
        lambda: tgz(*((f"m/f{i}", b"", {}) for i in range(10_001))),
        "more than 10000",
    ),
    "tar_lying_size": (lambda: lying(10 * 1024**4), "announces 10995116277760 bytes"),
    "tar_lying_size_small": (lambda: lying(10**7), "damaged or cut short"),
    "tar_truncated": (lambda: tgz(CONFIG, WEIGHTS)[:100_000], "damaged"),
    "tar_no_end_mark": (
        lambda: gzip.compress(tar(CONFIG)[:1024], mtime=0),
        "damaged or cut short, it ends without an end mark",
    ),
    "tar_bad_crc": (lambda: flip(tgz(CONFIG, WEIGHTS), -6), "damaged"),
    "tar_bad_length": (lambda: flip(tgz(CONFIG, WEIGHTS), -2), "damaged"),
    "tar_garbage_behind": (lambda: tgz(CONFIG) + b"garbage", "damaged"),
    "tar_bomb": (lambda: tgz(CONFIG, ("m/vocab.txt", bytes(100 << 20), {})), "bomb"),
    "tar_bomb_in_padding": (lambda: gzip.compress(tar(CONFIG) + bytes(100 << 20)), "bomb"),
    "tar_huge_header": (
        lambda: lying(10**9, b"L", tarfile.GNU_FORMAT),
        "damaged, a name of 1000000000",
    ),
    "tar_pax_many_records": (lambda: pax(b"6 k=v\n" * 170_000), "more than 256 records"),
    "tar_pax_long_number": (lambda: pax(b"9" * 100_000 + b" k=v\n"), "in place of|cannot be read"),
    "tar_sparse": (
        lambda: tgz(("m/pytorch_model.bin", b"", {"type": tarfile.GNUTYPE_SPARSE})),
        "sparse",
    ),
    "zip": (lambda: b"PK\3\4" + bytes(100), "is not a tar archive"),
    "html": (lambda: b"<html>", "damaged|not a tar"),
}


def flip(data: bytes, place: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=list(REFUSED))
def test_a_hostile_or_broken_archive_is_refused_and_nothing_is_left(
    tmp_path, monkeypatch, data, message
):
    """And without unpacking more than the limits for what can't be judged yet, and a read."""
    archive, unpacked = data(), []

    class Counting(BoundedStream):
        def read(self, size: int) -> bytes:
            data = super().read(size)
            unpacked.append(len(data))
            return data

    monkeypatch.setattr("kgtextvec.models.unpack.BoundedStream", Counting)
    with pytest.raises(InputError, match=message) as caught:
        unpack(tmp_path, archive)
    assert sum(unpacked) <= max(Limits().unjudged, Limits().ratio * len(archive))
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "model.tar.gz"]


def packed(form: str) -> bytes:
    plain = tar(CONFIG, ("m/pytorch_model.bin", NOISE[:60_000], {}), ("m/merges.txt", b"a\n", {}))
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}.get(form)
    return pack(plain) if pack else plain


@pytest.mark.parametrize("form", ["gz", "bz2", "xz", "plain"])
def test_each_way_of_packing_is_read(tmp_path, form):
    out = unpack(tmp_path, packed(form), name=f"m.tar.{form}".removesuffix(".plain"))
    assert sorted(files(out)) == ["config.json", "merges.txt", "pytorch_model.bin"]
    assert (out / "pytorch_model.bin").read_bytes() == NOISE[:60_000]


@pytest.mark.parametrize("form", ["gz", "bz2", "xz"])
def test_tar_bit_flip_is_refused_without_a_known_checksum(tmp_path, form):
    """150 random places; the archive's own checksums must tell (gzip's header has none)."""
    data = packed(form)
    random = np.random.default_rng(4)
    first = 10 if form == "gz" else 0
    silent = []
    for place in random.integers(first, len(data), 150):
        bit = int(random.integers(8))
        path, out = tmp_path / "m.tar", tmp_path / "out"
        path.write_bytes(flip(data, int(place), bit))
        out.mkdir()
        try:
            unpack_archive(path, out)
        except InputError:
            pass
        else:
            silent.append((int(place), bit))
        subprocess.run(["rm", "-rf", str(out)], check=True)
    assert not silent


@pytest.mark.parametrize("form", ["gz", "plain"])
def test_tar_bit_flip_is_refused_by_the_known_checksum(tmp_path, form):
    data = packed(form)
    path = tmp_path / "m.tar"
    random = np.random.default_rng(5)
    for place in [*range(10), *random.integers(0, len(data), 50)]:
        path.write_bytes(flip(data, int(place), int(random.integers(8))))
        (out := tmp_path / f"out{place}").mkdir(exist_ok=True)
        with pytest.raises(InputError):
            unpack_archive(path, out, sha256=hashlib.sha256(data).hexdigest())
        subprocess.run(["rm", "-rf", str(out)], check=True)


def test_limits_of_size_are_kept(tmp_path):
    (tmp_path / "m.tar").write_bytes(tar(CONFIG, WEIGHTS))
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="announces 200000 bytes; 100000 are allowed"):
        unpack_archive(tmp_path / "m.tar", tmp_path / "out", limits=Limits(total=100_000))


def test_subdir_picks_one_of_two_models(tmp_path):
    other = ("top/n/config.json", b"{}", {})
    data = tgz(CONFIG, other)
    assert files(unpack(tmp_path, data, subdir="n")) == {"config.json": b"{}"}
    unpack_model(tmp_path / "m.json", out=tmp_path / "two", subdir="m/")
    assert files(tmp_path / "two") == {"config.json": CONFIG[1]}
    with pytest.raises(InputError, match=r"holds no config\.json in x"):
        unpack_model(tmp_path / "m.json", out=tmp_path / "three", subdir="x")


def test_the_folder_of_a_sentence_transformer_is_one_model(tmp_path):
    out = unpack(tmp_path, tgz(CONFIG, ("m/1_Pooling/config.json", b"{}", {})))
    assert files(out) == {"config.json": CONFIG[1], "1_Pooling/config.json": b"{}"}


def test_a_stray_tokenizer_config_is_no_second_model(tmp_path):
    out = unpack(tmp_path, tgz(CONFIG, ("other/tokenizer_config.json", b"{}", {})))
    assert files(out) == {"config.json": CONFIG[1]}


def test_a_known_checksum_of_a_file_inside_is_checked(tmp_path):
    sums = {"pytorch_model.bin": hashlib.sha256(NOISE).hexdigest()}
    unpack(tmp_path, tgz(CONFIG, WEIGHTS), inside=sums)
    with pytest.raises(InputError, match=r"pytorch_model\.bin: checksum mismatch"):
        unpack(tmp_path, tgz(CONFIG, (WEIGHTS[0], NOISE[1:], {})), inside=sums)


def test_an_elmo_archive_needs_its_options(tmp_path):
    members = [("e/options.json", b"{}", {}), ("e/weights.hdf5", b"x", {})]
    out = unpack(tmp_path, tgz(*members), kind="elmo")
    assert sorted(files(out)) == ["options.json", "weights.hdf5"]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_long_and_foreign_names_are_read_in_every_dialect(tmp_path, form):
    deep = "/".join(["d" * 40] * 4)
    top = deep if form == tarfile.USTAR_FORMAT else f"{deep}/ü-€-{'l' * 120}"
    out = unpack(tmp_path, tgz((f"{top}/config.json", b"{}", {}), form=form))
    assert files(out) == {"config.json": b"{}"}


def plain_record(folder: Path, source: str) -> Path:
    model = folder / "cache"
    model.mkdir()
    (model / "config.json").write_bytes(b"{}")
    (model / "vocab.txt").write_bytes(b"[PAD]")
    listed = [
        {
            "name": path.name,
            "path": str(path),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in sorted(model.iterdir())
    ]
    record = {"model": "m", "kind": "transformer", "source": source, "files": listed}
    (folder / "m.json").write_text(json.dumps(record))
    return model


@pytest.mark.parametrize(("source", "links"), [("hub:a/b@c", 2), ("path:/x", 1)])
def test_plain_files_are_linked_from_the_cache_and_copied_from_a_user(tmp_path, source, links):
    plain_record(tmp_path, source)
    unpack_model(tmp_path / "m.json", out=tmp_path / "out")
    assert files(tmp_path / "out") == {"config.json": b"{}", "vocab.txt": b"[PAD]"}
    assert (tmp_path / "out/vocab.txt").stat().st_nlink == links


def test_a_file_that_changed_since_its_download_is_told(tmp_path):
    model = plain_record(tmp_path, "path:/x")
    (model / "vocab.txt").write_bytes(b"[PAT]")
    with pytest.raises(InputError, match=r"vocab\.txt: changed since download-model: checksum"):
        unpack_model(tmp_path / "m.json", out=tmp_path / "out")
    (model / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"vocab\.txt: not there any more"):
        unpack_model(tmp_path / "m.json", out=tmp_path / "out")


def test_read_only_and_oddly_named_input_is_fine(tmp_path):
    home = tmp_path / "-rf 'ü' $(x)"
    home.mkdir()
    out = unpack(home, tgz(*NESTED))
    assert len(files(out)) == 4
    model = plain_record(tmp_path, "path:/x")
    for path in (*model.iterdir(), model):
        path.chmod(0o555 if path.is_dir() else 0o444)
    unpack_model(tmp_path / "m.json", out=tmp_path / "two")
    assert len(files(tmp_path / "two")) == 2


def test_the_command_line_tells_an_error_in_one_line(tmp_path):
    (tmp_path / "m.tar.gz").write_bytes(tgz(("../x", b"x", {})))
    with pytest.raises(InputError):
        unpack(tmp_path, (tmp_path / "m.tar.gz").read_bytes())
    words = [sys.executable, "-m", "kgtextvec", "unpack-model", "m.json", "--out", "out"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C"}
    run = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith(b"ERROR: ")
    assert b"refused entry name" in run.stderr and b"Traceback" not in run.stderr


NAMES = ["config.json", "vocab.txt", "merges.txt", "vocab.json", "model.safetensors", "readme.md"]
TREES = st.dictionaries(
    st.sampled_from(NAMES), st.binary(max_size=3000), min_size=1, max_size=len(NAMES)
)
FOLDERS = st.lists(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=60
    ).filter(lambda name: not set("/\\") & set(name) and name not in (".", "..")),
    max_size=3,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tree=TREES,
    folders=FOLDERS,
    form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    way=st.sampled_from(["gz", "bz2", "xz", "plain"]),
)
def test_what_was_packed_is_unpacked(tmp_path_factory, tree, folders, form, way):
    tree = {**tree, "config.json": tree.get("config.json", b"{}")}
    members = [("/".join([*folders, name]), data, {}) for name, data in tree.items()]
    plain = tar(*members, form=form)
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}.get(way)
    home = tmp_path_factory.mktemp("tree")
    path, out = home / "m.tar", home / "out"
    path.write_bytes(pack(plain) if pack else plain)
    out.mkdir()
    unpack_archive(path, out)
    assert files(out) == {name: data for name, data in tree.items() if name != "readme.md"}
