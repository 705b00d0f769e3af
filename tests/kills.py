"""Kill each verb, and Snakemake itself, at random moments; a rerun must give the same bytes.

`python tests/kills.py --rounds 20` prints a table. In each round a step is killed once, by kill -9
or by SIGTERM in turns, at a moment drawn by a fixed seed from the time that it takes, and then run
again: what it wrote must be what an undisturbed run writes, byte for byte, and no temporary file
may be left. Steps run in forked children, so that a kill meets the work, not the imports.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

import damage
import numpy as np
from damage import Words

from kgtextvec.__main__ import main
from kgtextvec.files import digest_of, sha256_of

Command = Callable[[Path, Path], Words]
# What writes nothing that is read again, or never overwrites; Snakemake is killed by itself.
LEFT_OUT = {"lint", "verify", "disk", "perplexity", "store", "models", "init", "run", "demo"}
# What reads more than the files that tests/damage.py makes.
READ_MORE = {"finetune-model", "export-aligned", "cache-tokens", "probe-model", "compare-spaces"}
READ_MORE |= {"entities", "relation-types", "reduce-dimensions"}
NEEDS_PYKEEN = {"predict-links"}
BY_KERNEL = {"compare-spaces", "render-notebook"}  # nbclient answers SIGTERM in its own way
WARM = (
    "torch", "transformers.models.bert.modeling_bert", "sklearn.decomposition", "h5py", "numba",
    "openTSNE", "matplotlib.figure", "nbclient",
)  # fmt: skip
SIGNALS = (signal.SIGKILL, signal.SIGTERM)
RESUMED = {"work", "store", "downloads", ".snakemake"}
TIMES = {"seconds", "tokens_per_second", "record_digest", "digest", "command", "path",
         "texts_embedded", "texts_from_store", "tokens_embedded"}  # fmt: skip
TIMED_PAGES, SUFFIXES_LEFT = {"finetune.html", "quality.html"}, (".part", ".tmp")


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
    template = Path(__file__).resolve().parents[1] / "workflow/notebooks/explore.ipynb"
    return ["render-notebook", home / "full", "--template", template, "--pca",
            "--out-notebook", out / "e.ipynb", "--out-html", out / "e.html"]  # fmt: skip


def compare(home: Path, out: Path) -> Words:
    template = Path(__file__).resolve().parents[1] / "workflow/notebooks/compare.ipynb"
    results = out / "results"  # the notebook names files as seen from where it lies
    shutil.copytree(home / "results", results, dirs_exist_ok=True)
    shutil.copy(home / "scores.tsv", results)
    read = ["--scores", results / "scores.tsv", "--texts", home / "texts/t/manifest.json"]
    return ["compare-spaces", results / "tiny/t/full/manifest.json", *read, "--template", template,
            "--out-html", results / "c.html", "--out-notebook", results / "c.ipynb"]  # fmt: skip


def finetune(home: Path, out: Path) -> Words:
    return ["finetune-model", home / "checkpoint", "--text", home / "text.txt", "--out",
            out / "tuned", "--work", out / "work", "--device", "cpu", "--threads", "1",
            "--epochs", "3", "--snapshot-minutes", "0.002"]  # fmt: skip


def corpora(home: Path) -> Words:
    return ["--model", home / "elmo", "--train", home / "train.tsv", "--test", home / "test.tsv"]


def tokens(home: Path, out: Path) -> Words:
    return ["cache-tokens", "ner", *corpora(home), "--threads", "1", "--device", "cpu",
            "--out", out / "v.npy"]  # fmt: skip


def probe(home: Path, out: Path) -> Words:
    return ["probe-model", "ner", *corpora(home), "--vectors", home / "v.npy", "--epochs", "1",
            "--seeds", "1", "--threads", "1", "--out", out / "p.json"]  # fmt: skip


def script(home: Path, out: Path, verb: str) -> Words:
    table, model = home / "table.tsv", home / "model"
    if verb == "reduce-dimensions":
        return [verb, "-e", home / "script.tsv", "-o", out / "r.tsv", "-m", "pca", "-d", "2"]
    flag = "-e" if verb == "entities" else "-r"
    table = table if verb == "entities" else home / "relations.tsv"
    return [verb, flag, table, "-m", model, "-o", out / "s.tsv", "--work", out / "work"]


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
    "export-table": partial(damage.export, form="tsv"),
    "export-bundle": partial(damage.export, form="pgvector"),
    "export-aligned": aligned,
    "export-biomedgps": biomedgps,
    "export-entity2d": damage.entity2d,
    "write-loaders": damage.loaders,
    "evaluate-space": damage.evaluate,
    "cache-tokens": tokens,
    "probe-model": probe,
    "collect-scores": damage.collect,
    "draw-quality": damage.quality,
    "draw-map": draw_map,
    "render-notebook": notebook,
    "compare-spaces": compare,
    "entities": partial(script, verb="entities"),
    "relation-types": partial(script, verb="relation-types"),
    "reduce-dimensions": partial(script, verb="reduce-dimensions"),
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
    for words in (damage.collect(home, home), tokens(home, home), script(home, home, "entities")):
        code, errors = damage.quiet(words)
        assert code == 0, (words, errors)
    (home / "s.tsv").rename(home / "script.tsv")
    return 0


@dataclass
class Tally:
    """What became of the rounds of one step."""

    rounds: int = 0
    killed: int = 0
    faults: list[str] = field(default_factory=list)


def start(words: Words, log: Path) -> int:
    """Run a verb in a forked child; return its number."""
    return in_child(lambda: main([str(word) for word in words]), log)


def in_child(work: Callable[[], int], log: Path) -> int:
    """Do something in a forked child, whose exit code it returns; return the child's number.

    The parent must not have computed anything: threads of torch don't survive a fork.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    """Return how a child ended: its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def results_of(out: Path) -> dict[str, str]:
    """Return the digests of what a step made; of JSON without how long it took, and where.

    What only serves to resume (snapshots, the store, downloads) depends on when it was killed.
    """
    found = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if (
            not path.is_file()
            or RESUMED & {*path.relative_to(out).parts}
            or path.name in TIMED_PAGES
        ):
            continue
        if path.suffix == ".json":
            found[name] = digest_of(untimed(json.loads(path.read_text())))
        elif not name.endswith(".sha256"):
            found[name] = sha256_of(path)
    return found


def untimed(value: object) -> object:
    """Return JSON without the keys that say how long something took, or depend on that."""
    if isinstance(value, list):
        return [untimed(one) for one in value]
    if isinstance(value, dict):
        return {key: untimed(one) for key, one in value.items() if key not in TIMES}
    return value


def leftovers(*folders: Path) -> list[str]:
    """Return the temporary files in folders."""
    return [
        str(path) for folder in folders for path in folder.rglob("*")
        if path.name.endswith(SUFFIXES_LEFT) and path.name.startswith(".")
    ]  # fmt: skip


def kill_verb(home: Path, verb: str, rounds: int) -> Tally:
    """Kill a verb in each round, then run it again and compare."""
    tally, moments = Tally(), np.random.default_rng([*verb.encode()])
    undisturbed = home / "undisturbed" / verb
    undisturbed.mkdir(parents=True)
    began = time.monotonic()
    code = wait(start(COMMANDS[verb](home, undisturbed), home / "log"))
    took = time.monotonic() - began
    if code:
        tally.faults.append(f"undisturbed: {(home / 'log').read_text()[-300:]}")
        return tally
    right = results_of(undisturbed)
    for turn in range(rounds):
        number = SIGNALS[0 if verb in BY_KERNEL else turn % 2]
        out = home / "killed" / f"{verb}-{turn}"
        out.mkdir(parents=True)
        words = COMMANDS[verb](home, out)
        pid = start(words, home / "log")
        time.sleep(moments.uniform(0, took))
        os.kill(pid, number)
        ended = wait(pid)
        tally.rounds += 1
        tally.killed += ended != 0
        said = (home / "log").read_text()
        unborn = ended == -signal.SIGTERM and not said  # before it could be asked
        if number == signal.SIGTERM and ended and not unborn and not said.count("stopped: "):
            tally.faults.append(f"round {turn}: SIGTERM ended in {ended}: {said[-300:]}")
        code = wait(start(words, home / "log"))
        if code:
            tally.faults.append(f"round {turn}: rerun: {(home / 'log').read_text()[-300:]}")
        elif results_of(out) != right:
            found = results_of(out)
            other = [name for name in found.keys() | right if found.get(name) != right.get(name)]
            tally.faults.append(f"round {turn}: other bytes: {sorted(other)[:5]}")
        if left := leftovers(home):
            tally.faults.append(f"round {turn}: left: {left[:3]}")
    return tally


def kill_snakemake(home: Path, rounds: int) -> Tally:
    """Kill Snakemake in each round, its jobs going on or not, then run it again and compare."""
    from tiny_models import tiny_bert
    from workflow_run import RELATION_TYPES, Project, entities

    config = {
        "tables": {
            "entities": {"file": "entities.tsv", "kind": "entities", "shards": 2},
            "relation_types": {"file": "relation_types.tsv", "kind": "relation_types"},
        },
        "models": ["cased"],
        "spaces": ["full", "pca4"],
        "exports": ["tsv", "dglke"],
        "catalogue": {"cased": {"source": "path:raw/cased"}},
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
    }

    def project(name: str) -> Project:
        made = Project(home / name, config)
        tiny_bert(made.folder / "raw/cased", hidden=64, layers=2)
        made.write_entities(entities(600))
        made.write_relation_types(RELATION_TYPES)
        return made

    tally, moments = Tally(), np.random.default_rng(0)
    undisturbed = project("undisturbed")
    began = time.monotonic()
    undisturbed.run()
    took = time.monotonic() - began
    right = results_of(undisturbed.folder / "results")
    for turn in range(rounds):
        made = project(f"killed-{turn}")
        words = made.command()
        running = subprocess.Popen(
            words, cwd=made.folder, env=made.env(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(moments.uniform(0, took))
        number = SIGNALS[turn % 2]
        if turn % 4 < 2:
            running.send_signal(number)
        else:
            os.killpg(running.pid, number)  # its jobs too
        ended = running.wait()
        tally.rounds += 1
        tally.killed += ended != 0
        made.run("--unlock", ok=False)
        again = made.run(ok=False)
        if again.code:
            tally.faults.append(f"round {turn}: rerun: {again.text[-400:]}")
        found = results_of(made.folder / "results")
        other = {name for name in found.keys() | right if found.get(name) != right.get(name)}
        # Snakemake leaves temporary outputs of a killed run that nothing needs any more.
        if other := {name for name in other if not name.startswith("cased/entities/shards/")}:
            tally.faults.append(f"round {turn}: other bytes: {sorted(other)[:5]}")
        if left := leftovers(made.folder):
            tally.faults.append(f"round {turn}: left: {left[:3]}")
    return tally


def main_of_table(rounds: int, verbs: list[str], snakemake_rounds: int) -> int:
    """Print the table; return 1 if anything was lost or left over."""
    tallies: dict[str, Tally] = {}
    os.environ["OMP_NUM_THREADS"] = "1"
    print("| step | rounds | killed at work | faults |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if verbs:
            for name in WARM:
                import_module(name)
            (home / "verbs").mkdir()
            log = home / "log"
            assert wait(in_child(partial(make, home / "verbs", verbs), log)) == 0, log.read_text()
        for verb in [*verbs, *(["snakemake"] if snakemake_rounds else [])]:
            if verb == "snakemake":
                found = kill_snakemake(home / verb, snakemake_rounds)
            else:
                found = kill_verb(home / "verbs", verb, rounds)
            tallies[verb] = found
            print(f"| {verb} | {found.rounds} | {found.killed} | {len(found.faults)} |", flush=True)
            for fault in found.faults:
                print(f"{verb}: {fault}", file=sys.stderr)
    outcomes = Counter(bool(tally.faults) for tally in tallies.values())
    print(f"{outcomes[False]} of {len(tallies)} steps without a fault")
    return 1 if outcomes[True] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="kills per verb")
    parser.add_argument("--verbs", nargs="*", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--snakemake", type=int, default=0, help="kills of Snakemake itself")
    given = parser.parse_args()
    sys.exit(main_of_table(given.rounds, given.verbs, given.snakemake))
