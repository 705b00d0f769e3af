"""The workflow on a real Slurm: as a whole, and through all that happens to jobs there."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from cluster import die_with_parent, say
from safetensors.numpy import load_file
from test_terminal import in_terminal, plain
from tiny_models import tiny_bert
from workflow_run import ROOT, Project, entities

from kgtextvec.files import sha256_of

pytestmark = pytest.mark.slurm
ONE_THREAD = ["embed_shard=1", "fit_pca=1", "apply_pca=1", "export_table=1"]
WORDS = ["gene", "protein", "kinase", "receptor", "disease", "cell", "binding", "acute"]


def config(shards: int) -> dict:
    return {
        "tables": {"entities": {"file": "entities.tsv", "kind": "entities", "shards": shards}},
        "models": ["cased"],
        "spaces": ["full"],
        "exports": ["npy"],
        "catalogue": {"cased": {"source": "path:raw/cased"}},
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
    }


def on_slurm(project: Project, polls: int, *words: str) -> list[str]:
    """The command that a user would type, with one thread a job and quicker polling.

    Snakemake asks after that many seconds, and ten more each time that nothing has ended.
    """
    command = project.command("--workflow-profile", str(ROOT / "profiles/slurm"), *words)
    at = command.index("--cores")
    del command[at : at + 2]
    command += ["--slurm-init-seconds-before-status-checks", str(polls)]
    return [*command, "--set-threads", *ONE_THREAD]


def start(project: Project, polls: int, *words: str) -> subprocess.Popen:
    with (project.folder / "snakemake.log").open("a") as log:
        return subprocess.Popen(
            on_slurm(project, polls, *words),
            cwd=project.folder,
            env=project.env(),
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def finish(project: Project, snakemake: subprocess.Popen, seconds: float = 240) -> None:
    code = snakemake.wait(seconds)
    logs = "".join(path.read_text() for path in sorted(project.folder.rglob("logs/**/*.log")))
    assert code == 0, (project.folder / "snakemake.log").read_text()[-4000:] + logs[-2000:]


@contextmanager
def running(project: Project, polls: int, *words: str) -> Iterator[subprocess.Popen]:
    """Snakemake on Slurm; ended with all of its jobs if the test ends before it."""
    snakemake = start(project, polls, *words)
    try:
        yield snakemake
    finally:
        if snakemake.poll() is None:
            os.killpg(snakemake.pid, signal.SIGKILL)
            snakemake.wait()
        say("scancel", "--user=root")
        until = time.monotonic() + 30
        while say("squeue", "-h").strip() and time.monotonic() < until:
            time.sleep(0.2)


def wait_until(condition: Callable[[], object], seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)


def embedding(project: Project) -> dict[str, tuple[psutil.Process, dict[str, str]]]:
    """The embed-shard processes of the project: {shard: (process, its environment)}."""
    found = {}
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if "embed-shard" in words and "kgtextvec" in words and "--out" in words:
                environment = process.environ()
                if process.cwd() == str(project.folder):
                    shard = Path(words[words.index("--out") + 1]).stem
                    found[shard] = process, environment
        except psutil.Error:  # gone meanwhile
            continue
    return found


def parts(project: Project) -> list[Path]:
    return list((project.folder / ".kgtextvec/store").rglob("*.safetensors"))


def half_of(path: Path) -> str:
    """The shard that a part belongs to, of two: a shard is a range of digests."""
    return f"00{int(load_file(path)['keys'][0, 0] >= 128)}-of-002"


def embedded_again(project: Project) -> int:
    """Texts whose vectors lie in more than one part: computed more than once."""
    keys = [key.tobytes() for path in parts(project) for key in load_file(path)["keys"]]
    return len(keys) - len(set(keys))


def digests(project: Project, *names: str) -> dict[str, str]:
    return {name: sha256_of(project.folder / "results" / name) for name in names}


FULL = [f"cased/entities/full/{name}" for name in ("embeddings.npy", "index.parquet")]


# --- the whole ---------------------------------------------------------------------------------


def test_the_whole_workflow_gives_the_local_runs_bits(cluster, tmp_path):
    """Eight shards, several to a job: each job has one GPU, and its shards run in turn."""
    projects = {}
    for name in ("here", "there"):
        project = projects[name] = Project(tmp_path / name, config(8))
        project.config |= {"spaces": ["full", "pca8"], "exports": ["npy", "tsv"]}
        tiny_bert(project.folder / "raw/cased")
        project.write_entities(entities(400))
    projects["here"].run("--set-threads", *ONE_THREAD)
    project = projects["there"]
    before = highest_job()
    seen = set()
    with running(project, 9, "--group-components", "shards=4") as snakemake:
        while snakemake.poll() is None:
            for shard, (_, environment) in embedding(project).items():
                seen.add((environment["CUDA_VISIBLE_DEVICES"], environment["SLURM_JOB_ID"], shard))
            time.sleep(0.1)
        finish(project, snakemake)
    names = [
        f"cased/entities/{space}/{name}"
        for space in ("full", "pca8")
        for name in ("embeddings.npy", "embeddings.tsv", "index.parquet")
    ]
    assert digests(project, "cased/pca8.npz", *names) == digests(
        projects["here"], "cased/pca8.npz", *names
    )
    jobs = [job for job in slurm_jobs() if int(job["JobId"]) > before]
    on_gpu = [job for job in jobs if job["Partition"] == "gpu"]
    # Snakemake joins groups once more when its plan changes on the way: two jobs, or one of eight
    assert len(on_gpu) in (1, 2)
    assert sum(hours(job["TimeLimit"]) for job in on_gpu) == 8 * 4, "shards' times add up"
    for job in on_gpu:
        assert job["TresPerJob"] == "gres:gpu:1", "one GPU a job"
        assert "mem=4000M" in job["TRES"], "shards in turn share the memory"
    on_cpu = [job for job in jobs if job["Partition"] == "cpu"]
    assert len(on_cpu) == len(jobs) - len(on_gpu) == 7
    assert not any("TresPerJob" in job for job in on_cpu)
    assert {shard for _, _, shard in seen} <= set(shards_of(8))
    assert seen
    assert {device for device, _, _ in seen} <= set("0123")
    assert {job for _, job, _ in seen} <= {job["JobId"] for job in on_gpu}


def hours(limit: str) -> int:
    """Read [days-]hours:00:00."""
    days, _, clock = limit.rpartition("-")
    return 24 * int(days or 0) + int(clock.split(":")[0])


def shards_of(n: int) -> list[str]:
    return [f"{i:03}-of-{n:03}" for i in range(n)]


def slurm_jobs() -> list[dict[str, str]]:
    """What Slurm knows of its jobs, finished ones included."""
    lines = say("scontrol", "--oneliner", "show", "jobs").splitlines()
    return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if "JobId=" in line]


def highest_job() -> int:
    return max((int(job["JobId"]) for job in slurm_jobs()), default=0)


def test_a_failed_job_ends_with_its_message_and_its_log(cluster, tmp_path):
    project = Project(tmp_path / "project", config(1))
    (project.folder / "raw/cased").mkdir(parents=True)
    project.write_entities([{"id": "X:1", "label": "Gene"}])
    words = on_slurm(project, 3, "--retries", "0")
    target = "results/texts/entities/manifest.json"
    code, shown = in_terminal([*words, "--", target], project.folder)
    assert code == 1
    assert re.search(r"^Job \d+: read_texts: table entities$", plain(shown), re.MULTILINE)
    number, title, error, log = plain(shown).splitlines()[-4:]
    assert (number, title) == ("1 job failed:", "  read_texts: table entities")
    assert error.startswith("    ERROR: entities.tsv: line 2 (X:1) has no text")
    assert log == "    log: logs/texts/entities/read_texts.log"
    assert "Traceback" not in shown


# --- faults ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Texts and model made ready here, then embedded here in two shards, without any trouble."""
    root = tmp_path_factory.mktemp("faults")
    ready = Project(root / "ready", config(2) | {"embed": {"part_seconds": 0.3}})
    tiny_bert(ready.folder / "raw/cased", hidden=192, layers=6, scale=0.06)
    rows = entities(3600)
    for i, row in enumerate(rows):
        row["description"] = f"{WORDS[i % 8]} {WORDS[i // 8 % 8]} " * (20 + i % 90) + str(i)
    ready.write_entities(rows)
    ready.run("--", "results/texts/entities/manifest.json", "resources/models/cased")
    local = Project(shutil.copytree(ready.folder, root / "local"), ready.config)
    local.run("--set-threads", *ONE_THREAD)
    return ready, digests(local, *FULL)


@pytest.fixture
def project(cluster, undisturbed, tmp_path):
    ready, _ = undisturbed
    return Project(Path(shutil.copytree(ready.folder, tmp_path / "project")), ready.config)


def test_a_cancelled_and_a_killed_shard_are_tried_again(project, undisturbed):
    """scancel asks (SIGTERM) and costs nothing; kill -9 costs what was not stored yet."""
    shards = {"000-of-002", "001-of-002"}
    with running(project, 5) as snakemake:
        wait_until(lambda: {half_of(path) for path in parts(project)} == shards)
        jobs = embedding(project)
        assert set(jobs) == shards
        cancelled = jobs["000-of-002"][1]["SLURM_JOB_ID"]
        say("scancel", cancelled)
        jobs["001-of-002"][0].kill()
        killed = time.time()
        mine = [path for path in parts(project) if half_of(path) == "001-of-002"]
        in_hand = killed - max(path.stat().st_mtime for path in mine)
        wait_until(lambda: "resume by rerunning" in log_of(project, "000-of-002"), 20)
        finish(project, snakemake)
    assert digests(project, *FULL) == undisturbed[1]
    assert embedded_again(project) == 0
    assert in_hand < 5, "a part is stored every 0.3 s, after the batch then running"
    state = {job["JobId"]: job["JobState"] for job in slurm_jobs()}
    assert state[cancelled] == "CANCELLED"
    asked = [job["TRES"] for job in slurm_jobs() if int(job["JobId"]) > int(cancelled)]
    assert any("mem=8000M" in tres for tres in asked), "the second attempt asks for more"


def log_of(project: Project, shard: str) -> str:
    path = project.folder / f"logs/cased/entities/embed_shard/{shard}.log"
    return path.read_text() if path.exists() else ""


def test_preempted_shards_are_queued_again_and_resume(project, undisturbed):
    """Jobs of a partition that others may push aside: a job for all GPUs does so."""
    to_scavenge = ["--set-resources", "embed_shard:slurm_partition=scavenge"]
    with running(project, 5, *to_scavenge) as snakemake:
        wait_until(lambda: len(parts(project)) >= 4)
        stored = len(parts(project))
        jobs = {environment["SLURM_JOB_ID"] for _, environment in embedding(project).values()}
        say("sbatch", "-p", "gpu", "--gpus=4", "--output=/dev/null", "--wrap", "sleep 1")
        wait_until(lambda: requeued() >= jobs, 60)
        wait_until(lambda: not held_back(jobs))
        finish(project, snakemake)
    assert digests(project, *FULL) == undisturbed[1]
    assert embedded_again(project) == 0
    assert len(parts(project)) > stored


def held_back(jobs: set[str]) -> list[str]:
    """Let requeued jobs start now, not after two minutes; those that Slurm still holds back."""
    held = [
        job["JobId"]
        for job in slurm_jobs()
        if job["JobId"] in jobs
        and (job["JobState"] == "COMPLETING" or job["Reason"] == "BeginTime")
    ]
    for job in held:
        say("scontrol", "update", f"JobId={job}", "StartTime=now")
    return held


def requeued() -> set[str]:
    return {job["JobId"] for job in slurm_jobs() if job.get("Restarts", "0") != "0"}


def test_after_snakemake_is_killed_the_rerun_meets_its_jobs(project, undisturbed):
    """Its Slurm jobs go on. The rerun submits the same shards again; those wait, then take all."""
    with running(project, 5) as snakemake:
        wait_until(lambda: len(parts(project)) >= 4)
        os.killpg(snakemake.pid, signal.SIGKILL)
        snakemake.wait()
        unlocked = project.run("--unlock")
        assert unlocked.code == 0
        assert embedding(project), "the jobs know nothing of it"
        with running(project, 5) as again:
            finish(project, again)
    waited = [shard for shard in shards_of(2) if "waiting for its end" in log_of(project, shard)]
    print(f"{len(waited)} of 2 new jobs met an old one at work")
    assert digests(project, *FULL) == undisturbed[1]
    assert embedded_again(project) == 0
