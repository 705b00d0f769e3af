"""Jobs that are forked from a server behave as those that start by themselves."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from kgtextvec.fast_imports import FAMILIES
from kgtextvec.job_client import NAME_BYTES, NUMBER, SOCKET_VARIABLE
from kgtextvec.job_server import SERVERS, start_server
from kgtextvec.start_snakemake import FINISHED_JOBS, is_first_run

ROOT = Path(__file__).resolve().parents[1]
TABLE = "id\tname\tlabel\tdescription\nX:1\tone\tGene\ta kinase\nX:2\ttwo\tGene\ta receptor\n"


@pytest.fixture(scope="module")
def server():
    """The environment of a job that finds a server."""
    before = os.environ.pop(SOCKET_VARIABLE, None)
    start_server()
    environment = dict(os.environ)
    del os.environ[SOCKET_VARIABLE]
    if before is not None:
        os.environ[SOCKET_VARIABLE] = before
    yield environment
    server = SERVERS.pop()
    server.stdin.close()
    assert server.wait(30) == 0
    assert not Path(environment[SOCKET_VARIABLE]).parent.exists()


def command(*words: object) -> list[str]:
    return [sys.executable, "-P", "-m", "kgtextvec", *map(str, words)]


def start(folder: Path, environment: dict[str, str], *words: object) -> subprocess.Popen:
    environment = environment | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command(*words), cwd=folder, env=environment, text=True, **streams)


def outcome(folder: Path, environment: dict[str, str], *words: object) -> tuple[int, str, str]:
    job = start(folder, environment, *words)
    out, err = job.communicate(timeout=60)
    return job.returncode, out, err


def children_of(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def forks() -> int:
    """How many jobs the server's families have."""
    return sum(len(children_of(one)) for one in children_of(SERVERS[0].pid))


@contextmanager
def waiting_job(folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A job that reads a table of which nothing comes."""
    table = folder / "table.tsv"
    table.unlink(missing_ok=True)
    os.mkfifo(table)
    job = start(folder, environment, *READ, "out")
    end: list[int] = []

    def has_reader() -> bool:
        with suppress(OSError):
            end.append(os.open(table, os.O_WRONLY | os.O_NONBLOCK))
        return bool(end)

    assert wait_until(has_reader)
    # It has opened the table. Python answers no signal that comes between its last look for signals
    # and a read that waits, some microseconds later.
    time.sleep(0.2)
    try:
        yield job
    finally:
        os.close(end[0])


READ = ("read-texts", "table.tsv", "--table", "x", "--kind", "entities", "--out-dir")


def test_a_forked_job_does_what_one_that_starts_by_itself_does(server, tmp_path):
    (tmp_path / "table.tsv").write_text(TABLE)
    alone = outcome(tmp_path, {**server, SOCKET_VARIABLE: ""}, *READ, "alone")
    forked = outcome(tmp_path, server, *READ, "forked")
    assert children_of(SERVERS[0].pid)  # its family is there
    assert alone[0] == forked[0] == 0
    assert alone[1:] == forked[1:]
    for path in sorted((tmp_path / "alone").rglob("*.parquet")):
        there = tmp_path / "forked" / path.relative_to(tmp_path / "alone")
        assert path.read_bytes() == there.read_bytes()
        assert path.stat().st_mode == there.stat().st_mode


def test_a_basis_has_the_same_bytes_from_a_forked_job(server, tmp_path):
    """Its kernels are chosen before numpy is imported, in the family as in a job by itself."""
    rows = np.random.default_rng(0).standard_normal((300, 40)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    words = ("fit-pca", "rows.npy", "--space", "pca30", "--threads", "1", "--out")
    kernels = {"OPENBLAS_VERBOSE": "2"}  # OpenBLAS names them when it is loaded
    alone = outcome(tmp_path, {**server, SOCKET_VARIABLE: "", **kernels}, *words, "alone.npz")
    # Reads a table first, so that the server has numpy.
    (tmp_path / "table.tsv").write_text(TABLE)
    assert outcome(tmp_path, server, *READ, "read")[0] == 0
    forked = outcome(tmp_path, {**server, **kernels}, *words, "forked.npz")
    assert (alone[0], forked[0]) == (0, 0)
    assert "Core: " in alone[2]
    assert "Core: " not in forked[2]  # it was loaded before
    assert (tmp_path / "alone.npz").read_bytes() == (tmp_path / "forked.npz").read_bytes()
    # The family dies: no other is forked from a server that has numpy, with other kernels.
    os.kill(children_of(SERVERS[0].pid)[0], signal.SIGKILL)
    for name in ("first.npz", "second.npz"):
        again = outcome(tmp_path, {**server, **kernels}, *words, name)
        assert again[0] == 0 and "Core: " in again[2]
        assert (tmp_path / name).read_bytes() == (tmp_path / "alone.npz").read_bytes()


def test_a_family_can_import_before_its_first_job(monkeypatch):
    """The server that is started here has no client at all."""
    monkeypatch.setattr("kgtextvec.job_server.SERVERS", started := [])
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    start_server(["read-texts"])
    (server,) = started
    try:
        # First the family of fit-pca, before the server imports numpy, then that of tables.
        assert wait_until(lambda: len(children_of(server.pid)) == 2)
        assert wait_until(lambda: has_loaded(children_of(server.pid)[1], "pyarrow"))
        assert not has_loaded(children_of(server.pid)[0], "numpy")
    finally:
        monkeypatch.delenv(SOCKET_VARIABLE)
        server.stdin.close()
        assert server.wait(30) == 0


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("--cores 2", True),
        ("-c2 -q all --configfile=my.yaml results/a.txt", True),
        ("--workflow-profile profiles/default --cores all", True),
        ("--workflow-profile=profiles/slurm", False),
        ("--cores 2 --executor slurm", False),
        ("--cores 2 --sdm apptainer", False),
        ("-n", False),
        ("-nc2", False),
        ("--unlock", False),
        ("--cores 2 --directory used", False),
        ("--cores 2 -dused", False),
        ("--cores 2 -d other", True),
    ],
)  # fmt: skip
def test_a_first_run_on_this_machine_is_told_from_its_words(tmp_path, monkeypatch, words, first):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)
    (tmp_path / "used" / FINISHED_JOBS).mkdir(parents=True)
    (tmp_path / "used" / FINISHED_JOBS / "cmVzdWx0cw==").touch()
    assert is_first_run(words.split()) is first


def test_a_first_run_has_a_server_from_its_start_which_goes_with_it(tmp_path):
    (tmp_path / "Snakefile").write_text(
        "import os\n"
        f"open('socket', 'w').write(os.environ.get({SOCKET_VARIABLE!r}, 'none'))\n"
        "rule all:\n    output: 'made'\n    shell: 'touch {output}'\n"
    )
    found = []
    for _ in range(2):
        words = [sys.executable, "-m", "kgtextvec.start_snakemake", "--cores", "1"]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        del environment[SOCKET_VARIABLE]
        subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True)
        found.append((tmp_path / "socket").read_text())
    assert found[1] == "none", "a job has finished here before"
    folder = Path(found[0]).parent
    assert folder.name.startswith("kgtextvec-")
    # It was importing PyTorch, which nobody waits for.
    assert wait_until(lambda: not folder.exists())


def has_loaded(pid: int, library: str) -> bool:
    return f"/{library}/" in Path(f"/proc/{pid}/maps").read_text()


def test_a_forked_job_ends_with_the_message_and_the_code_of_the_verb(server, tmp_path):
    for words in (READ, (*READ, "out", "--text", "nonsense"), ("read-texts", "--help")):
        alone = outcome(tmp_path, {**server, SOCKET_VARIABLE: ""}, *words)
        assert outcome(tmp_path, server, *words) == alone


def test_a_wish_to_stop_reaches_the_job(server, tmp_path):
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with waiting_job(tmp_path, server) as job:
            job.send_signal(number)
            _, err = job.communicate(timeout=60)
        assert job.returncode == code
        assert err.startswith("stopped:")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_wish_to_stop_while_the_server_imports_is_one_line(tmp_path, number, code):
    """The server here never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "jobs"))
        listener.listen()
        environment = os.environ | {SOCKET_VARIABLE: str(tmp_path / "jobs")}
        job = subprocess.Popen(
            command(*READ, "out"), env=environment, stderr=subprocess.PIPE, text=True
        )
        with listener.accept()[0] as asked:
            asked.recv(1)
            job.send_signal(number)
            job.wait(60)
        _, err = job.communicate(timeout=60)  # its standard error was on its way to the server
    assert (job.returncode, err) == (code, "stopped: run the same command again to resume\n")


def test_a_wish_to_stop_that_comes_when_the_wait_begins_reaches_the_job(tmp_path):
    """The server here says at once that the job runs; the job is a process that sleeps.

    Where the client's wait isn't ended by a signal that came just before, one in 25 is lost.
    """
    lost = 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "jobs"))
        listener.listen()
        environment = os.environ | {SOCKET_VARIABLE: str(tmp_path / "jobs")}
        for number in range(100):
            job = subprocess.Popen(["sleep", "600"])
            client = subprocess.Popen(
                command(*READ, "out"), env=environment, stderr=subprocess.DEVNULL
            )
            with listener.accept()[0] as asked:
                asked.recv(NAME_BYTES, socket.MSG_WAITALL)
                head, files, _, _ = socket.recv_fds(asked, NUMBER.size, 3)
                asked.recv(NUMBER.unpack(head)[0], socket.MSG_WAITALL)
                for file in files:
                    os.close(file)
                asked.sendall(NUMBER.pack(job.pid))
                until = time.perf_counter() + number * 6e-7
                while time.perf_counter() < until:
                    pass
                client.send_signal(signal.SIGTERM)  # ends it, or is passed on and ends the job
                lost += not wait_until(lambda: job.poll() or client.poll(), 10)  # noqa: B023
            for process in (job, client):
                process.kill()
                process.wait()
    assert lost == 0


def test_a_job_whose_client_was_killed_is_killed(server, tmp_path):
    with waiting_job(tmp_path, server) as job:
        assert forks() == 1
        job.kill()
        job.communicate(timeout=60)
        assert wait_until(lambda: not forks())


def test_a_job_killed_by_a_signal_kills_its_client_likewise(server, tmp_path):
    with waiting_job(tmp_path, server) as job:
        (child,) = (job for one in children_of(SERVERS[0].pid) for job in children_of(one))
        os.kill(child, signal.SIGKILL)
        job.communicate(timeout=60)
    assert job.returncode == -signal.SIGKILL


def test_a_server_of_other_code_is_not_used(server, tmp_path):
    """A checkout that another one's server would run starts its jobs by itself."""
    copy = tmp_path / "src/kgtextvec"
    copy.mkdir(parents=True)
    (copy / "__init__.py").write_text("")
    (copy / "job_client.py").write_text((ROOT / "src/kgtextvec/job_client.py").read_text())
    (copy / "__main__.py").write_text(
        "import sys\nfrom kgtextvec.job_client import run_at_server\n"
        "run_at_server('kgtextvec', sys.argv[1:])\nprint('by itself')\n"
    )
    shown = subprocess.run(
        command("read-texts", "--help"),
        env=server | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "by itself\n"


def test_without_its_server_a_job_starts_by_itself(server, tmp_path):
    gone = server | {SOCKET_VARIABLE: str(tmp_path / "nobody")}
    code, out, _ = outcome(tmp_path, gone, "read-texts", "--help")
    assert code == 0
    assert out.startswith("usage: kgtextvec read-texts")


def test_every_name_with_a_family_is_a_verb_or_a_module():
    from kgtextvec.__main__ import VERBS

    assert set(FAMILIES) - set(VERBS) == {"ipykernel_launcher"}


def wait_until(true, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
