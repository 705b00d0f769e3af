"""Kill each verb, and Snakemake itself, at random moments; a rerun must give the same bytes.

`python tests/kills.py --rounds 20` prints a table. In each round a step is killed once, by kill -9,
SIGTERM and Ctrl-C in turns, at a moment drawn by a fixed seed from the time that it takes, and then
run again: what it wrote must be what an undisturbed run writes, byte for byte, and neither a
temporary file nor a process may be left. Steps run in forked children, so that a kill meets the
work, not the imports.

`--early 5` sends SIGTERM and Ctrl-C to `python -m kgtextvec VERB …` while it imports and begins:
all it may say is one line, "stopped: …".
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
from damage import Words
from kill_commands import COMMANDS, FINDS_FAULTS, IN_PYTHON, NEVER_OVERWRITE, READERS, ROOT, make

from kgtextvec.__main__ import main
from kgtextvec.files import digest_of, sha256_of
from kgtextvec.job_client import stop_in_one_line

WARM = (
    "torch", "transformers.models.bert.modeling_bert", "sklearn.decomposition", "h5py", "numba",
    "openTSNE", "matplotlib.figure", "nbclient",
)  # fmt: skip
# Steps that import no more than the first two of these.
LIGHT = {"read-texts", "embed-shard", "gather-shards", "apply-pca", "export-table tsv"}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STEPS = [*COMMANDS, *IN_PYTHON]
EARLY_SECONDS = 1.0  # imports take longer
LEAVE_SECONDS = 20  # within which a kernel notices that its client is gone
RESUMED = {"work", "store", "downloads", ".snakemake"}
TIMES = {"seconds", "tokens_per_second", "record_digest", "digest", "command", "path",
         "texts_embedded", "texts_from_store", "tokens_embedded"}  # fmt: skip
TIMED_PAGES, SUFFIXES_LEFT = {"finetune.html", "quality.html"}, (".part", ".tmp")


@dataclass
class Tally:
    """What became of the rounds of one step."""

    rounds: int = 0
    killed: int = 0
    faults: list[str] = field(default_factory=list)


def begin(home: Path, out: Path, step: str) -> int:
    """Run a step in a forked child; return its number."""
    if step in IN_PYTHON:
        return in_child(partial(IN_PYTHON[step], home, out), home / "log")
    return in_child(partial(run_as_program, COMMANDS[step](home, out)), home / "log")


def run_as_program(words: Words) -> int:
    """Run a verb as `python -m kgtextvec` does; return its exit code."""
    stop_in_one_line()
    return main([str(word) for word in words])


def in_child(work: Callable[[], int], log: Path) -> int:
    """Do something in a forked child, whose exit code it returns; return the child's number.

    The parent must not have computed anything: threads of torch don't survive a fork.
    """
    log.write_text("")  # a child may be killed before it does so
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        tempfile.tempdir = str(log.parent / "tmp")  # is looked at for leftovers, too
        Path(tempfile.tempdir).mkdir(exist_ok=True)
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
        elif path.suffix == ".yaml":  # says where it is
            found[name] = digest_of(path.read_text().replace(str(out), ""))
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


def ends_in_one_line(said: str) -> bool:
    """Return whether the last line says that the job was stopped, and none is a traceback's."""
    last = said.rstrip("\n").rpartition("\n")[2]
    return last.startswith("stopped: ") and "Traceback" not in said


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of the processes whose working folder is in a folder.

    Those that end by themselves are given time to.
    """
    until = time.monotonic() + LEAVE_SECONDS
    while True:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (process / "cwd").readlink().is_relative_to(folder):
                    found.append((process / "cmdline").read_text().replace("\0", " "))
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.2)


def kill_step(home: Path, step: str, rounds: int) -> Tally:
    """Kill a step in each round, then run it again and compare."""
    tally, moments = Tally(), np.random.default_rng([*step.encode()])
    undisturbed = home / "undisturbed" / step
    undisturbed.mkdir(parents=True)
    began = time.monotonic()
    code = usual = wait(begin(home, undisturbed, step))
    took = time.monotonic() - began
    if code and step not in FINDS_FAULTS:
        tally.faults.append(f"undisturbed: {(home / 'log').read_text()[-300:]}")
        return tally
    right = results_of(undisturbed)
    for turn in range(rounds):
        number = SIGNALS[turn % len(SIGNALS)]
        out = home / "killed" / f"{step}-{turn}"
        out.mkdir(parents=True)
        pid = begin(home, out, step)
        time.sleep(moments.uniform(0, took))
        os.kill(pid, number)
        ended = wait(pid)
        tally.rounds += 1
        tally.killed += ended != usual
        said = (home / "log").read_text()
        unborn = ended == -number and not said  # before it could be asked
        asked = number != signal.SIGKILL and step not in IN_PYTHON
        if asked and ended != usual and not unborn and not ends_in_one_line(said):
            tally.faults.append(f"round {turn}: {number.name} ended in {ended}: {said[-300:]}")
        if left := processes_in(out):
            tally.faults.append(f"round {turn}: still running: {left}")
        made = step in NEVER_OVERWRITE and results_of(out) == right
        code = 0 if made else wait(begin(home, out, step))
        if code and step not in FINDS_FAULTS:
            tally.faults.append(f"round {turn}: rerun: {(home / 'log').read_text()[-300:]}")
        elif results_of(out) != right:
            found = results_of(out)
            other = [name for name in found.keys() | right if found.get(name) != right.get(name)]
            tally.faults.append(f"round {turn}: other bytes: {sorted(other)[:5]}")
        if left := leftovers(home):
            tally.faults.append(f"round {turn}: left: {left[:3]}")
    return tally


def stop_early(home: Path, verb: str, words: list[str], rounds: int) -> Tally:
    """Ask a verb to stop while it imports and begins, in each round at another moment."""
    tally, moments = Tally(), np.random.default_rng([*verb.encode()])
    code = """
import os, runpy, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
os.write(1, b"begun")  # what Python does to a signal before is not ours
try:
    runpy.run_module("kgtextvec", run_name="__main__", alter_sys=True)
finally:
    os.write(1, b"ended")
"""
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    for turn in range(rounds):
        job = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *words], cwd=home, env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert job.stdout
        assert job.stdout.read(5) == b"begun"
        time.sleep(moments.uniform(0, EARLY_SECONDS))
        job.send_signal(SIGNALS[1 + turn % 2])
        output, errors = job.communicate()
        said = errors.decode()
        tally.rounds += 1
        tally.killed += job.returncode in (130, 143)
        ended = output.endswith(b"ended") and "stopped" not in said
        sound = ended or (job.returncode in (130, 143) and ends_in_one_line(said))
        if not sound or "Traceback" in said:
            tally.faults.append(f"round {turn}: ended in {job.returncode}: {said[-600:]}")
    return tally


def kill_snakemake(home: Path, rounds: int, seed: int) -> Tally:
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

    source = {"PYTHONPATH": str(ROOT / "src")}
    tally, moments = Tally(), np.random.default_rng(seed)
    undisturbed = project("undisturbed")
    began = time.monotonic()
    undisturbed.run()
    took = time.monotonic() - began
    right = results_of(undisturbed.folder / "results")
    for turn in range(rounds):
        made = project(f"killed-{turn}")
        words = made.command()
        if turn % 3 == 2:
            words = [sys.executable, "-m", "kgtextvec", "run", "--config", "mine.yaml", "-c2"]
        running = subprocess.Popen(
            words, cwd=made.folder, env=made.env() | source, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        time.sleep(moments.uniform(0, took))
        number = SIGNALS[turn % len(SIGNALS)]
        if turn // 3 % 2 == 0 and number != signal.SIGINT:  # a terminal sends it to all
            running.send_signal(number)
        else:
            os.killpg(running.pid, number)  # its jobs too
        ended = running.wait()
        tally.rounds += 1
        tally.killed += ended != 0
        made.run("--unlock", ok=False)
        if left := processes_in(made.folder):
            tally.faults.append(f"round {turn}: still running: {left}")
        again = made.run(ok=False)
        if again.code:
            tally.faults.append(f"round {turn}: rerun: {again.text[-400:]}")
        found = results_of(made.folder / "results")
        other = {name for name in found.keys() | right if found.get(name) != right.get(name)}
        if other:
            tally.faults.append(f"round {turn}: other bytes: {sorted(other)[:5]}")
        if left := leftovers(made.folder):
            tally.faults.append(f"round {turn}: left: {left[:3]}")
    return tally


def main_of_table(
    rounds: int, steps: list[str], snakemake_rounds: int, early: int, seed: int = 0
) -> int:
    """Print the table; return 1 if anything was lost or left over."""
    tallies: dict[str, Tally] = {}
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    os.environ["OMP_NUM_THREADS"] = "1"
    print("| step | rounds | killed at work | faults |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "steps"
        home.mkdir()
        asked: dict[str, Callable[[], Tally]] = {}
        if steps and rounds:
            for name in WARM if set(steps) - LIGHT else WARM[:2]:
                import_module(name)
        if steps and rounds + early:
            log = Path(folder) / "log"
            assert wait(in_child(partial(make, home, steps), log)) == 0, log.read_text()
        if rounds:
            asked = {step: partial(kill_step, home, step, rounds) for step in steps
                     if step not in READERS}  # fmt: skip
        if early:
            out = home / "early"
            out.mkdir()
            for step in steps:
                verb = step.split()[0]
                if step not in IN_PYTHON and f"{verb}, early" not in asked:
                    words = [str(word) for word in (READERS | COMMANDS)[step](home, out)]
                    asked[f"{verb}, early"] = partial(stop_early, home, verb, words, early)
        if snakemake_rounds:
            asked["snakemake"] = partial(kill_snakemake, Path(folder), snakemake_rounds, seed)
        for step, work in asked.items():
            found = tallies[step] = work()
            print(f"| {step} | {found.rounds} | {found.killed} | {len(found.faults)} |", flush=True)
            for fault in found.faults:
                print(f"{step}: {fault}", file=sys.stderr)
    outcomes = Counter(bool(tally.faults) for tally in tallies.values())
    print(f"{outcomes[False]} of {len(tallies)} steps without a fault")
    return 1 if outcomes[True] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="kills per step")
    parser.add_argument("--early", type=int, default=0, help="requests to stop per verb")
    choices = [*STEPS, *READERS]
    parser.add_argument("--steps", nargs="*", default=choices, choices=choices)
    parser.add_argument("--snakemake", type=int, default=0, help="kills of Snakemake itself")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of these kills")
    given = parser.parse_args()
    sys.exit(main_of_table(given.rounds, given.steps, given.snakemake, given.early, given.seed))
