"""Mutated tables, triples, archives, parts of the store and files of results, by fixed seeds.

`python tests/fuzz.py --rounds 1000` prints how many inputs of each kind were accepted and refused.
The inputs in tests/inputs/corpus, which once failed, come first. It ends within about two minutes.
Whatever the bytes, a reader returns, or raises InputError with one line; nothing else. A damaged
part of the store is never taken for a sound one.
"""

import argparse
import bz2
import gzip
import io
import json
import lzma
import sys
import tarfile
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from hashlib import sha256
from pathlib import Path

import numpy as np
import zstandard
from export_spaces import entity_space
from safetensors.numpy import save

from kgtextvec.__main__ import main
from kgtextvec.embed.store import Store
from kgtextvec.embed.store_admin import fault_in
from kgtextvec.errors import InputError
from kgtextvec.models.unpack import Limits, unpack_archive
from kgtextvec.parquet_files import read_parquet
from kgtextvec.records import OWN_DIGEST, read_unedited
from kgtextvec.space import Space
from kgtextvec.triples import read_columns
from kgtextvec.yaml_files import read_yaml

CORPUS = Path(__file__).parent / "inputs/corpus"
SECONDS = 120  # for all targets together, on however slow a machine
# What such files are made of: fragments that decide how a reader goes on.
WORDS = [
    b"\t", b"\n", b"\r\n", b'"', b'""', b"\0", b"\xff", b"\xef\xbb\xbf", b"\x1f\x8b", b"id\tlabel",
    b"\xe2\x80\xa8", b"{", b"}", b"[" * 200, b"-1", b"1e999", b"NaN", b"9" * 40, b"null", b"../",
    b"\xc3\x28", b" ", b"PAR1", b"\x28\xb5\x2f\xfd", b"ustar", b"\x00" * 64, b"\xf0\x9f\x92\x8a",
]  # fmt: skip


def mutated(sound: bytes, random: np.random.Generator) -> bytes:
    """Change some bytes: flip bits, cut, repeat or move a piece, put in a fragment."""
    data = bytearray(sound)
    for _ in range(int(random.integers(1, 5))):
        at, to = sorted(random.integers(0, len(data) + 1, 2).tolist())
        piece = data[at : min(to, at + 4096)]
        match int(random.integers(6)):
            case 0 if data:
                data[at % len(data)] ^= 1 << int(random.integers(8))
            case 1:
                del data[at:]
            case 2:
                del data[at : at + len(piece)]
            case 3:
                data[at:at] = piece
            case 4:
                data[at : at + int(random.integers(9))] = WORDS[int(random.integers(len(WORDS)))]
            case _:
                data[at : at + 4] = random.bytes(4)
    return bytes(data)


def read_table(path: Path) -> None:
    """The whole pass of read-texts: columns, rows, texts, shards."""
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        words = ["read-texts", path, "--table=t", "--kind=entities", "--out-dir", path.parent / "t"]
        code = main([str(word) for word in words])
    if code:
        lines = said.getvalue().splitlines()
        assert code == 2 and sum(line.startswith("ERROR: ") for line in lines) == 1, lines
        raise InputError(lines[-1])


def read_triples(path: Path) -> None:
    read_columns([path])


def read_archive(path: Path) -> None:
    out = path.with_name("unpacked")
    out.mkdir(exist_ok=True)
    limits = Limits(total=1 << 20, unjudged=1 << 16)
    try:
        unpack_archive(path, out, limits=limits)
    finally:
        written = [one for one in out.rglob("*") if one.is_file()]
        for one in written:
            assert one.resolve().is_relative_to(out.resolve()) and not one.is_symlink()
            one.unlink()
        if (out / ".staging").exists():
            (out / ".staging").rmdir()


def read_part(path: Path) -> None:
    """A part of the store whose name fits its bytes, as one who means harm would make it."""
    data = path.read_bytes()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, redirect_stderr(io.StringIO()):
        store = Store(Path(folder), {"of": "fuzz"})
        place = store.folder / f"{sha256(data).hexdigest()}.safetensors"
        place.parent.mkdir()
        place.write_bytes(data)
        wanted = np.sort(np.frombuffer(KEYS, "S32")).view(np.uint8).reshape(-1, 32)
        for rows, part in store.find(wanted):
            assert part.vectors.shape == (len(rows), part.vectors.shape[1])
            assert part.vectors.dtype == np.float32
            assert (part.keys == wanted[rows]).all()
            for counts in (part.n_tokens, part.n_unknown, part.truncated):
                assert counts.shape == (len(rows),)
        if not place.exists():
            raise InputError("set aside")
        part = store.read(place)
        if part is not None and fault_in(part):
            raise InputError("found by store verify")


def read_index(path: Path) -> None:
    read_parquet(path)


def read_json_record(path: Path) -> None:
    read_unedited(path)


def read_config(path: Path) -> None:
    read_yaml(path)


def read_space(path: Path) -> None:
    """A manifest, with sound vectors and index beside it."""
    home = path.with_name("space")
    if not home.exists():
        entity_space(home, NODES, dims=3)
    path.replace(home / "manifest.json")
    space = Space(home, verify=True)
    assert space.get("Gene::A:1").shape == (3,)


NODES = [("Gene", "A:1", "one"), ("Gene", "A:2", "two")]
KEYS = b"".join(sha256(b"%d" % i).digest() for i in range(6))
TABLE = "id\tlabel\tname\tdescription\n" + "".join(
    f'X:{i}\tGene\tname {i}\t"a ""text"" of\n {i}"\n' if i % 3 else f"X:{i}\tGene\tname\ttext\n"
    for i in range(12)
)
TRIPLES = "head\trelation\ttail\n" + "".join(f"Gene::X:{i}\tr\tGene::X:{i + 1}\n" for i in range(9))


def tar_of(form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name in ("m/config.json", "m/vocab.txt", "m/pytorch_model.bin"):
            about = tarfile.TarInfo(name)
            about.size, about.pax_headers = 40, {"comment": "x" * 30}
            archive.addfile(about, io.BytesIO(b"{}" * 20))
    return buffer.getvalue()


def part_of_store() -> bytes:
    keys = np.sort(np.frombuffer(KEYS, "S32")).view(np.uint8).reshape(-1, 32)
    return save(
        {"keys": keys, "vectors": np.ones((6, 4), np.float32), "n_tokens": np.ones(6, np.int32),
         "n_unknown": np.zeros(6, np.int32), "truncated": np.zeros(6, np.uint8)}
    )  # fmt: skip


def index_file() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    rows = {"id": [f"X:{i}" for i in range(20)], "n": list(range(20))}
    pq.write_table(pa.table(rows), sink, write_page_checksum=True)
    return sink.getvalue()


def manifest_of_space() -> bytes:
    """Without its own digest, by which nearly all others are refused."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = entity_space(Path(folder, "space"), NODES, dims=3) / "manifest.json"
        content = json.loads(manifest.read_text())
    return json.dumps({key: one for key, one in content.items() if key != OWN_DIGEST}).encode()


Reader = Callable[[Path], None]
# Kind of input: how it is read, its file's name, and sound bytes to mutate.
TARGETS: dict[str, tuple[Reader, list[tuple[str, Callable[[], bytes]]]]] = {
    "table": (
        read_table,
        [
            ("t.tsv", lambda: TABLE.encode()),
            ("t.tsv.gz", lambda: gzip.compress(TABLE.encode(), mtime=0)),
            ("t.tsv.xz", lambda: lzma.compress(TABLE.encode())),
            ("t.tsv.zst", lambda: zstandard.compress(TABLE.encode())),
        ],
    ),
    "triples": (
        read_triples,
        [
            ("g.tsv", lambda: TRIPLES.encode()),
            ("g.tsv.gz", lambda: gzip.compress(TRIPLES.encode(), mtime=0)),
            ("g.tsv.xz", lambda: lzma.compress(TRIPLES.encode())),
            ("g.tsv.zst", lambda: zstandard.compress(TRIPLES.encode())),
            ("g.tsv.bz2", lambda: bz2.compress(TRIPLES.encode())),
        ],
    ),
    "archive": (
        read_archive,
        [
            ("m.tar", lambda: tar_of(tarfile.PAX_FORMAT)),
            ("m.tar", lambda: tar_of(tarfile.GNU_FORMAT)),
            ("m.tar.gz", lambda: gzip.compress(tar_of(tarfile.PAX_FORMAT), mtime=0)),
            ("m.tar.xz", lambda: lzma.compress(tar_of(tarfile.GNU_FORMAT))),
        ],
    ),
    "store": (read_part, [("p.safetensors", part_of_store)]),
    "index": (read_index, [("i.parquet", index_file)]),
    "record": (
        read_json_record,
        [("r.json", lambda: json.dumps({"a": [1, {"b": "ä"}], "record_digest": "0"}).encode())],
    ),
    "space": (read_space, [("s.json", manifest_of_space)]),
    "config": (
        read_config,
        [("c.yaml", lambda: b"tables:\n  a: {file: x, kind: entities}\nmodels: [b, c]\n")],
    ),
}


def outcome(reader: Reader, path: Path) -> str:
    """Return `accepted`, `refused`, or what went wrong."""
    ignored: list[str] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda one: ignored.append(repr(one.exc_value))
    try:
        with redirect_stderr(io.StringIO()):
            reader(path)
    except InputError as error:
        return ignored[0] if ignored else "an error of lines" if "\n" in str(error) else "refused"
    except BaseException:
        return traceback.format_exc(limit=-3)
    finally:
        sys.unraisablehook = before
    return ignored[0] if ignored else "accepted"


def fuzz(
    target: str, rounds: int, folder: Path, seconds: float = SECONDS
) -> Iterator[tuple[str, bytes]]:
    """Yield the outcome and the bytes of each round of a target, until the time is up."""
    until = time.monotonic() + seconds / len(TARGETS)
    reader, starts = TARGETS[target]
    random = np.random.default_rng([len(target), *target.encode()])
    for turn in range(rounds):
        if time.monotonic() > until:
            return
        name, make = starts[turn % len(starts)]
        data = mutated(make(), random)
        path = folder / name
        path.write_bytes(data)
        yield outcome(reader, path), data


def replay() -> Iterator[tuple[Path, str]]:
    """Yield each input of the corpus, named TARGET-WHAT.ENDING, and its outcome."""
    for kept in sorted(CORPUS.iterdir()):
        target = kept.name.partition("-")[0]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, kept.name)
            path.write_bytes(kept.read_bytes())
            yield kept, outcome(TARGETS[target][0], path)


def main_of_table(rounds: int) -> int:
    """Print the table; return 1 if any input was neither accepted nor refused."""
    bad = [f"{path}: {found}" for path, found in replay() if found not in ("accepted", "refused")]
    print("| target | inputs | accepted | refused | faults |\n|---|---|---|---|---|")
    for target in TARGETS:
        found: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as folder:
            for number, (what, data) in enumerate(fuzz(target, rounds, Path(folder))):
                found[what if what in ("accepted", "refused") else "fault"] += 1
                if what not in ("accepted", "refused"):
                    Path(tempfile.gettempdir(), f"{target}-{number}").write_bytes(data)
                    bad.append(f"{target} {number}: {what}")
        print(f"| {target} | {found.total()} | {found['accepted']} | {found['refused']} |"
              f" {found['fault']} |", flush=True)  # fmt: skip
    for one in bad:
        print(one, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000, help="inputs per target")
    sys.exit(main_of_table(parser.parse_args().rounds))
