"""Flip bits in every kind of file that steps leave for one another, and run the step that reads it.

`python tests/damage.py --flips 300` prints a table: for each kind of file how many flips the next
step refused, how many made no difference to what it wrote, how many changed it silently (there
must be none) and how many ended in a traceback (none either). Seeds are fixed.
"""

import argparse
import io
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from damage_pages import PAGES, SNAPSHOT, finetune, pages

from kgtextvec import registry
from kgtextvec.__main__ import main
from kgtextvec.files import sha256_of

Words = list[object]
Reader = Callable[[Path, Path], Words]
# Records say how long a step took, and when versions differ; pages hold what they say.
TIMED = {"manifest.json", "shard.json", "quality.json", "quality.html", "v.json", "finetune.json",
         "finetune.html", "state.json"}  # fmt: skip
RESUMED = {"store", "work"}  # folders that serve to resume


def quiet(words: Words) -> tuple[int, list[str]]:
    """Run a verb in this process; return its exit code and the lines that begin with ERROR."""
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        code = main([str(word) for word in words])
    return code, [line for line in said.getvalue().splitlines() if line.startswith("ERROR: ")]


def embed(home: Path, out: Path) -> Words:
    """With an empty store of its own."""
    return [
        *("embed-shard", home / "texts/t/shards/000-of-001.parquet", "--model", home / "model"),
        *("--store", out / "store", "--out", out / "shard.npy", "--threads", "1"),
    ]


def embed_from_store(home: Path, out: Path) -> Words:
    words = embed(home, out)
    words[words.index("--store") + 1] = home / "store"
    return words


def gather(home: Path, out: Path) -> Words:
    shard = home / "shards/000-of-001.npy"
    return ["gather-shards", shard, "--texts", home / "texts/t", "--out-dir", out]


def fit(home: Path, out: Path) -> Words:
    return ["fit-pca", home / "full/embeddings.npy", "--space", "pca2", "--out", out / "pca2.npz"]


def apply(home: Path, out: Path) -> Words:
    words = ["apply-pca", home / "full", "--pca", home / "pca2.npz", "--space", "pca2"]
    return [*words, "--out-dir", out]


def export(home: Path, out: Path, form: str, space: str = "full") -> Words:
    if form in ("npy", "tsv", "parquet"):
        out = out / f"embeddings.{form}"
        return ["export-table", home / space, "--format", form, "--threads", "1", "--out", out]
    return ["export-bundle", home / space, "--form", form, "--out-dir", out / form]


def biomedgps(space: Path, out: Path) -> Words:
    return ["export-biomedgps", space, "--dims", "32", "--threads", "1", "--out", out]


def evaluate(home: Path, out: Path) -> Words:
    words = ["evaluate-space", home / "full", "--texts", home / "texts/t/shards"]
    words += ["--scores", '["geometry", "labels"]', "--store", out / "store"]
    return [*words, "--out", out / "scores.json"]


def collect(home: Path, out: Path) -> Words:
    return ["collect-scores", home / "full/scores.json", "--out", out / "scores.tsv"]


def entity2d(home: Path, out: Path) -> Words:
    layout = home / "full/layout.parquet"
    return ["export-entity2d", home / "full", "--layout", layout, "--out", out / "entity2d.tsv"]


def loaders(home: Path, out: Path) -> Words:
    return ["write-loaders", home / "dglke", "--form", "dglke", "--out", out / "README.md"]


def quality(home: Path, out: Path) -> Words:
    return [
        *("draw-quality", "--findings", home / "texts/t/findings.json"),
        *("--manifest", home / "full/manifest.json"),
        *("--out-json", out / "quality.json", "--out-html", out / "quality.html"),
    ]


def unpack(home: Path, out: Path) -> Words:
    return ["unpack-model", home / "downloaded.json", "--out", out / "unpacked"]


def download(home: Path, out: Path) -> Words:
    entry = json.dumps({"source": f"path:{home / 'raw'}"})
    lock = ["--lock", home / "lock.yaml", "--downloads", home / "downloads"]
    return ["download-model", "tiny", "--entry", entry, *lock, "--out", out / "d.json"]


def corpora(home: Path) -> Words:
    return ["--model", home / "elmo", "--train", home / "train.tsv", "--test", home / "test.tsv"]


def cache_tokens(home: Path, out: Path) -> Words:
    return ["cache-tokens", "ner", *corpora(home), "--threads", "1", "--device", "cpu",
            "--out", out / "v.npy"]  # fmt: skip


def probe(home: Path, out: Path, *more: str) -> Words:
    return ["probe-model", "ner", *corpora(home), "--vectors", home / "v.npy", "--epochs", "1",
            "--seeds", "1", "--threads", "1", *more, "--out", out / "p.json"]  # fmt: skip


def probe_without_controls(home: Path, out: Path) -> Words:
    return probe(home, out, "--controls", "[]")


def verify(home: Path, out: Path) -> Words:
    return ["verify", home / "results"]


def verify_store(home: Path, out: Path) -> Words:
    return ["store", "verify", home / "store"]


BUNDLED = [name for name in registry.FORMS.names() if registry.FORMS[name].scope == "bundle"]
if not find_spec("faiss"):
    BUNDLED.remove("faiss")
FORMS = [partial(export, form=form) for form in ("tsv", "parquet", "npy", *BUNDLED)]
# Which steps read a kind of file.
READERS: dict[str, list[Reader]] = {
    "downloaded.json": [unpack],
    "model/kgtextvec.json": [embed],
    "model/model.safetensors": [embed],
    "model/config.json": [embed],
    "model/tokenizer.json": [embed],
    "texts/t/shards/000-of-001.parquet": [embed, evaluate],
    "texts/t/rows.parquet": [gather],
    "texts/t/manifest.json": [gather],
    "texts/t/findings.json": [quality],
    "store/part": [embed_from_store],
    "store/about.json": [verify_store],
    "shards/000-of-001.npy": [gather],
    "shards/000-of-001.parquet": [gather],
    "shards/000-of-001.json": [gather],
    "full/embeddings.npy": [apply, fit, evaluate, *FORMS],
    "full/index.parquet": [apply, evaluate, *FORMS],
    "full/manifest.json": [apply, evaluate, quality],
    "full/scores.json": [collect],
    "full/layout.parquet": [entity2d],
    "pca2.npz": [apply],
    "lock.yaml": [download],
    "elmo/model.safetensors": [cache_tokens],
    "v.npy": [probe_without_controls],
    "v.json": [probe_without_controls],
    "dglke/manifest.json": [loaders],
    "results/tiny/t/full/embeddings.tsv": [verify],
    "results/tiny/t/full/embeddings.parquet": [verify],
    "results/tiny/t/full/map.html": [verify],
    "results/tiny/t/full/scores.json": [verify],
    "results/texts/t/quality.html": [verify],
    "results/exports/dglke/tiny/full/tiny_entity.npy": [verify],
    "results/exports/biomedgps/tiny/t_embeddings_32.tsv": [verify],
    "results/exports/biomedgps/tiny/t_embeddings_32.json": [verify],
    **{name: [verify] for name in PAGES},
    **{f"snapshot/{name}": [finetune] for name in SNAPSHOT},
}


def make(
    home: Path, with_map: bool = False, with_probe: bool = False, with_pages: bool = False
) -> Path:
    """Make one of each kind of file in a folder: a table of 60 rows, a tiny model, its results.

    A map takes ten seconds, since UMAP is compiled for it. With a probe comes an ELMo; with pages,
    which need a map, a training too.
    """
    from probe_corpora import elmo, write_ner
    from tiny_models import tiny_bert

    raw = tiny_bert(home / "raw")
    entry = json.dumps({"source": f"path:{raw}"})
    lines = [f"A:{i}\tGene\tname {i}\tthe text {i // 2}" for i in range(60)]
    (home / "table.tsv").write_text("\n".join(["id\tlabel\tname\tdescription", *lines]) + "\n")
    record, shard = home / "downloaded.json", home / "shards/000-of-001.npy"
    lock = ["--lock", home / "lock.yaml", "--downloads", home / "downloads"]
    map_words = ["--layouts", "tsne,umap", "--texts", home / "texts/t/shards"]
    results = home / "results/tiny/t/full"
    if with_probe:
        (home / "raw-elmo").mkdir()
        elmo(home / "raw-elmo").rename(home / "elmo")
        write_ner(home / "train.tsv", 30, 0)
        write_ner(home / "test.tsv", 10, 1)
    for words in (
        ["download-model", "tiny", "--entry", entry, *lock, "--out", record],
        ["convert-model", raw, "--model", "tiny", "--entry", entry, "--downloaded", record,
         "--out", home / "model"],
        ["read-texts", home / "table.tsv", "--table=t", "--kind=entities", "--out-dir",
         home / "texts/t"],
        [*embed_from_store(home, home)[:-4], "--out", shard],
        ["gather-shards", shard, "--texts", home / "texts/t", "--out-dir", home / "full"],
        ["fit-pca", home / "full/embeddings.npy", "--space", "pca2", "--out", home / "pca2.npz"],
        evaluate(home, home / "full"),
        export(home, home, "dglke"),
        *([["draw-map", home / "full", *map_words, "--out-dir", home / "full"],
          ] * with_map),
        *([cache_tokens(home, home)] * with_probe),
    ):  # fmt: skip
        code, errors = quiet(words)
        assert code == 0, (words, errors)
    (home / "results/exports/dglke/tiny").mkdir(parents=True)
    (home / "results/texts").mkdir()
    shutil.copytree(home / "full", results)
    shutil.copytree(home / "dglke", home / "results/exports/dglke/tiny/full")
    shutil.copytree(home / "texts/t", home / "results/texts/t")
    for words in (
        biomedgps(results, home / "results/exports/biomedgps/tiny/t_embeddings_32.tsv"),
        export(home, results, "tsv"),
        export(home, results, "parquet"),
        quality(home, home / "results/texts/t"),
    ):
        assert quiet(words) == (0, [])
    for words in pages(home) if with_pages else ():
        code, errors = quiet(words)
        assert code == 0, (words, errors)
    return home


def kinds(with_map: bool) -> list[str]:
    """Return the kinds of files that `make` makes."""
    slow = ("layout.parquet", "map.html", "elmo/model.safetensors", "v.npy", "v.json")
    slow += (*PAGES, *SNAPSHOT)
    return [name for name in READERS if with_map or not name.endswith(slow)]


def place_of(home: Path, name: str) -> Path:
    """Return a kind's file; parts of the store and snapshots have names by content."""
    places = {"store/part": "store/*/*.safetensors", "store/about.json": "store/*/about.json"}
    places |= {f"snapshot/{one}": f"trained/work/*/step-*/{one}" for one in SNAPSHOT}
    return max(home.glob(places[name])) if name in places else home / name


def contents(out: Path) -> dict[str, str]:
    """Return the digests of what a step wrote, but for records of how long it took."""
    return {
        str(path.relative_to(out)): sha256_of(path)
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in TIMED and not path.name.endswith(".sha256")
        and not RESUMED & {*path.relative_to(out).parts}
    }  # fmt: skip


def flipped(path: Path, flips: int, seed: int) -> Iterator[int]:
    """Flip one bit of a file at a time, at places drawn by the seed; afterwards it is sound."""
    sound = path.read_bytes()
    places = np.random.default_rng(seed).integers(0, len(sound) * 8, flips)
    try:
        for place in places.tolist():
            damaged = bytearray(sound)
            damaged[place // 8] ^= 1 << place % 8
            path.write_bytes(damaged)
            yield place
    finally:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sound)


@dataclass(frozen=True)
class Trial:
    """What became of one flipped bit: `refused`, `same`, `silent` or `traceback`."""

    name: str
    outcome: str
    detail: str


def trials(home: Path, name: str, flips: int) -> Iterator[Trial]:
    """Flip bits in a kind of file, each time running one of the steps that read it, in turns."""
    readers = READERS[name]
    path = place_of(home, name)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        sound = []
        for number, reader in enumerate(readers):
            out = Path(folder, f"sound-{number}")
            out.mkdir()
            assert quiet(reader(home, out)) == (0, [])
            sound.append(contents(out))
        for turn, place in enumerate(flipped(path, flips, seed=len(name))):
            number = turn % len(readers)
            out = Path(folder, f"out-{turn}")
            out.mkdir()
            words = readers[number](home, out)
            yield Trial(name, outcome_of(words, out, sound[number]), f"bit {place}: {words[0]}")
            shutil.rmtree(out)
            for aside in path.parent.glob("damaged/*"):
                aside.unlink()


def outcome_of(words: Words, out: Path, sound: dict[str, str]) -> str:
    """Run a step on a damaged file; return what became of it."""
    try:
        code, errors = quiet(words)
    except BaseException as error:  # whatever it is, it is what we look for
        return f"traceback {type(error).__name__}"
    if code == 0:
        return "same" if contents(out) == sound else "silent"
    left = [path for path in contents(out) if not path.startswith(".")]
    return "refused" if code == 2 and len(errors) == 1 and not left else f"silent (code {code})"


def main_of_table(flips: int, only: str) -> int:
    """Print the table; return 1 if a flip was silent or ended in a traceback."""
    bad = 0
    print(f"| file | flips | refused | same result | silent | traceback |\n|{'---|' * 6}")
    with tempfile.TemporaryDirectory() as folder:
        home = make(Path(folder), with_map=True, with_probe=True, with_pages=True)
        for name in kinds(with_map=True):
            if only not in name:
                continue
            found: Counter[str] = Counter()
            for trial in trials(home, name, flips):
                found[trial.outcome.split()[0]] += 1
                if not trial.outcome.startswith(("refused", "same")):
                    print(f"{trial.name}: {trial.detail}: {trial.outcome}", file=sys.stderr)
            counts = [found[kind] for kind in ("refused", "same", "silent", "traceback")]
            bad += sum(counts[2:])
            print(f"| {name} | {flips} | {' | '.join(map(str, counts))} |", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=300, help="bits per kind of file")
    parser.add_argument("--only", default="", help="kinds of files whose name contains this")
    given = parser.parse_args()
    sys.exit(main_of_table(given.flips, given.only))
