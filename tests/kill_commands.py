"""What tests/kills.py runs and kills: each verb and each form of an export, on small inputs."""

import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import damage
from damage import Words

import kgtextvec
from kgtextvec.registry import FORMS

Command = Callable[[Path, Path], Words]
ROOT = Path(__file__).resolve().parents[1]
# Snakemake does the work of these: it is killed by itself.
WORKFLOWS = {"run", "demo"}
# What reads more than the files that tests/damage.py makes.
READ_MORE = {"finetune-model", "export-aligned", "cache-tokens", "probe-model", "compare-spaces"}
READ_MORE |= {
    "store verify",
    "store prune",
    "entities",
    "relation-types",
    "reduce-dimensions",
    "perplexity",
    "predict-links",
}
READ_MORE |= {"mask-texts", "read-synonyms"}
# They make a file once: after a kill that came too late, another run is refused.
NEVER_OVERWRITE = {"init"}
FINDS_FAULTS = {"store verify"}  # and says so by its exit code
SPACE_FORMS = ("npy", "tsv", "parquet")


def download(home: Path, out: Path) -> Words:
    entry = json.dumps({"source": f"path:{home / 'raw'}"})
    lock = ["--lock", out / "lock.yaml", "--downloads", out / "downloads"]
    return ["download-model", "tiny", "--entry", entry, *lock, "--out", out / "d.json"]


def share(home: Path, out: Path) -> Words:
    return ["share-file", home / "model/model.safetensors", "--out", out / "copy"]


def convert(home: Path, out: Path) -> Words:
    return ["convert-model", home / "raw", "--model", "tiny", "--out", out / "model"]


def read(home: Path, out: Path) -> Words:
    words = ["read-texts", home / "table.tsv", "--table=t", "--kind=entities"]
    return [*words, "--out-dir", out / "t"]


def embed(home: Path, out: Path) -> Words:
    return [*damage.embed(home, out), "--part-seconds", "0.01", "--batch-tokens", "512"]


def aligned(home: Path, out: Path) -> Words:
    words = ["export-aligned", home / "full/embeddings.npy", "--to", home / "ids.tsv"]
    return [*words, "--form", "dglke", "--out-dir", out / "aligned"]


def biomedgps(home: Path, out: Path) -> Words:
    return damage.biomedgps(home / "full", out / "e.tsv")


def draw_map(home: Path, out: Path) -> Words:
    return ["draw-map", home / "full", "--layouts", "tsne", "--texts", home / "texts/t/shards",
            "--out-dir", out]  # fmt: skip


def notebook(home: Path, out: Path) -> Words:
    template = ROOT / "workflow/notebooks/explore.ipynb"
    return ["render-notebook", home / "full", "--template", template, "--pca",
            "--out-notebook", out / "e.ipynb", "--out-html", out / "e.html"]  # fmt: skip


def compare(home: Path, out: Path) -> Words:
    template = ROOT / "workflow/notebooks/compare.ipynb"
    results = out / "results"  # the notebook names files as seen from where it lies
    shutil.copytree(home / "results", results, dirs_exist_ok=True)
    shutil.copy(home / "scores.tsv", results)
    read = ["--scores", results / "scores.tsv", "--texts", home / "texts/t/manifest.json"]
    return ["compare-spaces", results / "tiny/t/full/manifest.json", *read, "--template", template,
            "--out-html", results / "c.html", "--out-notebook", results / "c.ipynb"]  # fmt: skip


def draw_index(home: Path, out: Path) -> Words:
    results = home / "results"
    words = ["draw-index", results / "tiny/t/full", "--quality", results / "texts/t/quality.json"]
    return [*words, "--out", out / "index.html"]


def finetune(home: Path, out: Path) -> Words:
    return ["finetune-model", home / "checkpoint", "--text", home / "text.txt", "--out",
            out / "tuned", "--work", out / "work", "--device", "cpu", "--threads", "1",
            "--epochs", "3", "--snapshot-minutes", "0.002"]  # fmt: skip


def script(home: Path, out: Path, verb: str) -> Words:
    table, model = home / "table.tsv", home / "model"
    if verb == "reduce-dimensions":
        return [verb, "-e", home / "script.tsv", "-o", out / "r.tsv", "-m", "pca", "-d", "2"]
    flag = "-e" if verb == "entities" else "-r"
    table = table if verb == "entities" else home / "relations.tsv"
    return [verb, flag, table, "-m", model, "-o", out / "s.tsv", "--work", out / "work"]


def links(home: Path, out: Path) -> Words:
    return ["predict-links", home / "full", "--triples", home / "ring.tsv", "--models", "TransE",
            "--seeds", "1", "--epochs", "8", "--batch-size", "16", "--threads", "1",
            "--device", "cpu", "--out", out / "link_prediction.json"]  # fmt: skip


def mask(home: Path, out: Path) -> Words:
    words = ["mask-texts", home / "texts/t", "--triples", home / "ring.tsv"]
    return [*words, "--out-dir", out / "masked"]


def synonyms(home: Path, out: Path) -> Words:
    table = home / "other.tsv"
    return ["read-synonyms", table, "--kind=entities", "--out", out / "synonyms.parquet"]


def init(home: Path, out: Path) -> Words:
    return ["init", home / "table.tsv", "--yes", "--out", out / "config.yaml"]


def store(home: Path, out: Path, action: str) -> Words:
    """Of a store with a damaged part; or with texts that no results use."""
    own = out / "checked"
    if not own.exists():
        shutil.copytree(home / "larger-store", own)
        part = next(own.glob("*/*.safetensors"))
        if action == "verify":
            part.write_bytes(part.read_bytes()[:-1] + b"x")
    return ["store", action, own, *(["--used-in", home, "--yes"] if action == "prune" else [])]


def lint(home: Path, out: Path) -> Words:
    return ["lint", home / "table.tsv", "--kind=entities"]


def disk(home: Path, out: Path) -> Words:
    tables = {"t": [str(home / "table.tsv")]}
    models = {"tiny": {"kind": "transformer", "dims": 32, "server": None}}
    plan = {"tables": tables, "models": models, "spaces": ["full"], "exports": [], "probes": {}}
    return ["disk", json.dumps(plan)]


def probe(home: Path, out: Path) -> Words:
    """With few steps: by default a thousand for each of the three probes, which takes a minute."""
    return damage.probe(home, out, "--least-steps", "40")


def perplexity(home: Path, out: Path) -> Words:
    return ["perplexity", "--model", home / "checkpoint", "--text", home / "text.txt",
            "--threads", "1"]  # fmt: skip


def encode_in_python(home: Path, out: Path) -> int:
    """`kgtextvec.encode`, with a store of its own."""
    import numpy as np

    texts = [f"the text {i}" for i in range(200)]
    np.save(out / "part.npy", kgtextvec.encode(texts, str(home / "model"), work=out / "work"))
    (out / "part.npy").rename(out / "vectors.npy")
    return 0


def pca_in_python(home: Path, out: Path) -> int:
    """`kgtextvec.pca` and its `save`."""
    kgtextvec.pca(kgtextvec.open(home / "full"), 2).save(out / "pca.npz")
    return 0


COMMANDS: dict[str, Command] = {
    "download-model": download,
    "share-file": share,
    "unpack-model": damage.unpack,
    "convert-model": convert,
    "finetune-model": finetune,
    "read-texts": read,
    "embed-shard": embed,
    "gather-shards": damage.gather,
    "fit-pca": damage.fit,
    "apply-pca": damage.apply,
    **{f"export-table {form}": partial(damage.export, form=form) for form in SPACE_FORMS},
    **{
        f"export-bundle {form}": partial(damage.export, form=form)
        for form in FORMS.names()
        if FORMS[form].write_table
    },
    "export-aligned": aligned,
    "export-biomedgps": biomedgps,
    "export-entity2d": damage.entity2d,
    "write-loaders": damage.loaders,
    "evaluate-space": damage.evaluate,
    "cache-tokens": damage.cache_tokens,
    "probe-model": probe,
    "collect-scores": damage.collect,
    "draw-quality": damage.quality,
    "draw-index": draw_index,
    "draw-map": draw_map,
    "render-notebook": notebook,
    "compare-spaces": compare,
    "mask-texts": mask,
    "read-synonyms": synonyms,
    "predict-links": links,
    "init": init,
    "store verify": partial(store, action="verify"),
    "store prune": partial(store, action="prune"),
    "entities": partial(script, verb="entities"),
    "relation-types": partial(script, verb="relation-types"),
    "reduce-dimensions": partial(script, verb="reduce-dimensions"),
}
# They write nothing: a kill leaves things as they were. Only how they end is looked at.
READERS: dict[str, Command] = {
    "lint": lint,
    "disk": disk,
    "models": lambda home, out: ["models"],
    "perplexity": perplexity,
    "verify": damage.verify,
    "store stats": lambda home, out: ["store", "stats", home / "store"],
}
# Python's own interface, which handles no signals.
IN_PYTHON: dict[str, Callable[[Path, Path], int]] = {
    "encode in Python": encode_in_python,
    "pca in Python": pca_in_python,
}


def make(home: Path, verbs: Sequence[str]) -> int:
    """Make what some steps read; return 0."""
    from finetune_models import tiny_checkpoint
    from finetune_runs import write_text
    from probe_corpora import elmo, write_ner

    damage.make(home, with_map="export-entity2d" in verbs)
    if not READ_MORE & {*verbs}:
        return 0
    ids = "".join(f"{i}\tGene::A:{3 * i}\n" for i in range(20))
    (home / "ids.tsv").write_text(ids)
    (home / "relations.tsv").write_text("relation_type\tdescription\nA::t::G:G\tIt treats.\n")
    tiny_checkpoint(home / "checkpoint")
    write_text(home / "text.txt")
    (home / "raw-elmo").mkdir()
    elmo(home / "raw-elmo").rename(home / "elmo")
    write_ner(home / "train.tsv", 30, 0)
    write_ner(home / "test.tsv", 10, 1)
    edges = [f"Gene::A:{i}\tr\tGene::A:{(i + j) % 60}\n" for i in range(60) for j in (1, 2, 3)]
    (home / "ring.tsv").write_text("head\trelation\ttail\n" + "".join(edges))
    other = "id\tlabel\tname\tdescription\tsynonyms\n"
    other += "B:1\tGene\tone\tNo results use this.\tuno|eins\n"
    (home / "other.tsv").write_text(other)
    shutil.copytree(home / "store", home / "larger-store")
    larger = damage.embed(home, home / "larger")
    larger[1] = home / "other/shards/000-of-001.parquet"
    larger[larger.index("--store") + 1] = home / "larger-store"
    for words in (
        ["read-texts", home / "other.tsv", "--table=o", "--kind=entities", "--out-dir",
         home / "other"],
        larger,
        damage.collect(home, home),
        damage.cache_tokens(home, home),
        script(home, home, "entities"),
    ):  # fmt: skip
        code, errors = damage.quiet(words)
        assert code == 0, (words, errors)
    (home / "s.tsv").rename(home / "script.tsv")
    return 0
