"""What a run shows: each job's model, table and space, progress on a terminal, how it failed."""

import io
import logging
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from test_embed import command, environment
from warm_python import interpreter
from workflow_run import ROOT, Project, entities

sys.path.insert(0, str(ROOT / "workflow"))
from lib.terminal import STOPPED, JobReport, StatusLine, end_message, job_title, last_progress

# Two jobs that log as the engine does, and one that fails.
SNAKEFILE = f"""
import sys
sys.path[:0] = [{str(ROOT / "workflow")!r}, {str(ROOT / "src")!r}]
from snakemake.logging import logger
from lib.terminal import name_jobs, report_jobs

shown_jobs = report_jobs(logger, workflow.output_settings)

rule all:
    input: "biobert/genes/pca2.txt"

rule embed:
    output: "{{model}}/{{table}}/{{space}}.txt"
    log: "{{model}}-{{table}}-{{space}}.log"
    shell:
        "{{{{ echo 'embed: 30/90 texts, 5.0 texts/s, ETA 12s'; sleep 1.2;"
        " echo 'ERROR: a.tsv: line 2 has no id. Fill it in.'; : -m kgtextvec; exit 2; }}}}"
        " > {{log}} 2>&1"

name_jobs(workflow.modifier.rules)
"""
SHOWN = r"embed: model biobert, table genes, space pca2"


def in_terminal(
    words: list[str], folder: Path, interrupt: bytes = b"", after: float = 0
) -> tuple[int, str]:
    """Run a command on a pseudo-terminal of 200 columns.

    Press Ctrl-C some seconds after it has shown what `interrupt` says.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(words[0], words, environment())  # noqa: S606
    termios.tcsetwinsize(terminal, (50, 200))
    shown, until = b"", time.monotonic() + 120
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            got = os.read(terminal, 1 << 16)
        except OSError:  # Linux says so when the last process that had it is gone
            break
        if not got:
            break
        shown += got
        if interrupt and interrupt in shown:
            time.sleep(after)
            os.write(terminal, b"\x03")
            interrupt = b""
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, shown.decode("utf-8", "replace").replace("\r\n", "\n")


def snakemake(folder: Path, python: str = "") -> list[str]:
    (folder / "Snakefile").write_text(SNAKEFILE)
    return [python or interpreter(), "-m", "snakemake", "--cores", "1"]


def test_progress_is_one_line_on_a_terminal_and_a_failure_ends_with_its_message(tmp_path):
    code, shown = in_terminal([*snakemake(tmp_path)], tmp_path)
    assert code == 1
    assert re.search(rf"^Job \d+: {SHOWN}", plain(shown), re.MULTILINE)
    assert f"\r\x1b[K{SHOWN} | embed: 30/90 texts, 5.0 texts/s, ETA 12s\r\x1b[K" in shown
    assert "Traceback" not in shown and "exit 2" not in shown
    assert plain(shown).splitlines()[-4:] == [
        "1 job failed:",
        f"  {SHOWN}",
        "    ERROR: a.tsv: line 2 has no id. Fill it in.",
        "    log: biobert-genes-pca2.log",
    ]


def test_without_a_terminal_there_are_only_plain_lines(tmp_path):
    done = subprocess.run(snakemake(tmp_path), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "\x1b" not in done.stderr and "ETA" not in done.stderr and "exit 2" not in done.stderr
    assert done.stderr.count("ERROR: a.tsv: line 2 has no id. Fill it in.") == 2
    assert done.stderr.splitlines()[-1] == "    log: biobert-genes-pca2.log"


def brief_run(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "Snakefile").write_text(SNAKEFILE + ONE_THAT_GOES_WELL)
    words = [sys.executable, "-m", "kgtextvec.start_snakemake", "--cores", "1", *more]
    return subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True)


ONE_THAT_GOES_WELL = """
rule draw:
    output: "{model}/map.png"
    log: "{model}-draw.log"
    shell: "touch {output} > {log}"

rule two:
    input: "biobert/map.png", "elmo/map.png"

name_jobs(workflow.modifier.rules)

onsuccess:
    shown_jobs.end("biobert")
"""


def test_run_shows_a_line_per_finished_job_and_where_the_results_are(tmp_path):
    done = brief_run(tmp_path, "two")
    assert done.returncode == 0, done.stderr
    lines = [line for line in plain(done.stderr).splitlines() if not line.startswith("Complete")]
    assert [re.sub(r"\d\.\d s", "X s", line) for line in sorted(lines[:2])] in (
        ["[1/3] draw: model biobert (X s)", "[2/3] draw: model elmo (X s)"],
        ["[1/3] draw: model elmo (X s)", "[2/3] draw: model biobert (X s)"],
    )
    assert re.fullmatch(r"3 jobs in \d+s; the results are in biobert", lines[2])
    assert len(lines) == 3
    again = brief_run(tmp_path, "two").stderr
    assert "Nothing to be done" in again


def test_run_shows_a_failure_and_snakemakes_own_words_if_asked_for(tmp_path):
    done = brief_run(tmp_path)
    assert done.returncode == 1
    assert "Select jobs" not in done.stderr and "exit 2" not in done.stderr
    assert done.stderr.count("ERROR: a.tsv: line 2 has no id. Fill it in.") == 2
    assert done.stderr.splitlines()[-1] == "    log: biobert-genes-pca2.log"
    assert "Select jobs" in brief_run(tmp_path, "two", "--verbose").stderr
    assert "draw: model biobert" in brief_run(tmp_path, "two", "--dry-run", "--forceall").stdout


def test_the_shell_command_is_shown_if_asked_for(tmp_path):
    words = [*snakemake(tmp_path), "--printshellcmds"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert "exit 2" in done.stderr


def test_ctrl_c_ends_in_one_line(tmp_path):
    code, shown = in_terminal(snakemake(tmp_path, sys.executable), tmp_path, interrupt=b"ETA")
    assert code == 1
    assert "^C" in shown
    assert "Traceback" not in shown and "STOPPED" not in shown and "FAILED" not in shown
    assert shown.count("stopped: ") == 1
    assert plain(shown).splitlines()[-1] == STOPPED


def test_a_job_that_answers_ctrl_c_before_snakemake_does_is_not_reported(tmp_path):
    said = []
    log = tmp_path / "job.log"
    log.write_text(f"{STOPPED}\n")
    logger = logging.Logger("jobs")
    logger.error = said.append
    fields = {"event": LogEvent.JOB_ERROR, "jobid": 1, "rule_name": "embed", "log": [str(log)]}
    failed = logging.makeLogRecord(fields)
    report = JobReport(logger)
    threading.Timer(0.1, setattr, (report, "interrupted", True)).start()
    report.emit(failed)
    assert said == []
    alone = JobReport(logger)  # a job that somebody stops alone
    alone.emit(failed)
    assert said == [f"STOPPED: embed\n    {STOPPED}\n    log: {log}"]


# A signal that meets Python's own start is answered when the package can answer.
RUN = """
import runpy, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
print("begun", flush=True)
runpy.run_module("kgtextvec", run_name="__main__", alter_sys=True)
"""


def test_ctrl_c_at_any_moment_of_kgtextvec_run_is_one_line(tmp_path):
    """While it imports itself and Snakemake, while it plans, and while its first job starts."""
    tables = {"entities": {"file": "entities.tsv", "kind": "entities"}}
    config = {"tables": tables, "models": ["all-MiniLM-L6-v2"], "spaces": ["full"]}
    project = Project(tmp_path / "project", config)
    project.command()
    project.write_entities(entities(20))
    words = [sys.executable, "-c", RUN, "run", "--config", "mine.yaml", "--cores", "1"]
    words += ["--", "results/texts/entities/manifest.json"]
    for seconds in (0, 0.2, 0.5, 0.8, 1.2, 1.7, 2.3):
        code, shown = in_terminal(words, project.folder, interrupt=b"begun", after=seconds)
        assert "Traceback" not in shown and "Exception ignored" not in shown
        finished = "Nothing to be done" in shown or "; the results are in" in shown
        if code and not finished:  # Python's own end takes no handler
            assert plain(shown).splitlines()[-1].endswith(STOPPED)
            assert shown.count("stopped: ") == 1
    again = subprocess.run(words, cwd=project.folder, env=environment(), capture_output=True)
    assert again.returncode == 0, again.stderr.decode()


def plain(shown: str) -> str:
    """Without colours and rewritten lines."""
    return re.sub(r"\x1b\[\d*m", "", re.sub(r"\r\x1b\[K[^\n]*?(?=\r|\x1b\[\d)", "", shown))


def test_make_demo_and_the_profiles_leave_errors_on_the_terminal():
    """`--quiet rules` would hide that a job failed, and which jobs run."""
    for path in [ROOT / "Makefile", ROOT / ".ci/run", *ROOT.glob("profiles/*/*.yaml")]:
        runs = [line for line in path.read_text().splitlines() if "--dry-run" not in line]
        assert not [line for line in runs if re.search(r"quiet.* (rules|all)", line)], path


def test_every_job_is_announced_with_its_model_table_and_space(tmp_path):
    project = Project(
        tmp_path / "project",
        {
            "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
            "models": ["cased"],
            "spaces": ["full", "pca4"],
            "exports": ["npy", "tsv", "dglke"],
            "catalogue": {"cased": {"source": "path:raw"}},
        },
    )
    (project.folder / "raw").mkdir()
    project.write_entities(entities(3))
    shown = project.run("--dry-run").text
    for job in (
        "read_texts: table entities",
        "download_model: model cased",
        "embed_shard: model cased, table entities, shard 000-of-001",
        "draw_map: model cased, table entities, space pca4",
        "fit_pca: model cased, space pca4",
        "export_bundle: model cased, space full, form dglke",
        "collect_scores",
    ):
        assert re.search(rf"^Job \d+: {job}$", shown, re.MULTILINE), job
    assert not re.search(r"^(local)?(rule|checkpoint) \w+:$", shown, re.MULTILINE)


def test_a_failed_job_of_the_workflow_ends_with_its_message_and_log(tmp_path):
    project = Project(
        tmp_path / "project",
        {
            "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
            "models": ["cased"],
            "spaces": ["full"],
            "catalogue": {"cased": {"source": "path:raw"}},
        },
    )
    (project.folder / "raw").mkdir()
    project.write_entities([{"id": "X:1", "label": "Gene"}])
    found = project.run("--", "results/texts/entities/manifest.json", ok=False)
    assert found.code == 1
    title, error, log = found.text.splitlines()[-3:]
    assert title == "  read_texts: table entities"
    assert error.startswith("    ERROR: entities.tsv: line 2 (X:1) has no text")
    assert log == "    log: logs/texts/entities/read_texts.log"
    assert "python" not in found.text.partition("Select jobs")[2], "the command is not shown"


def test_titles_name_model_table_and_space_first():
    title = job_title("export", ["form", "space", "model"])
    assert (
        title == "export: model {wildcards.model}, space {wildcards.space}, form {wildcards.form}"
    )
    assert job_title("collect_scores", []) == "collect_scores"


def test_logs_are_read_from_their_end(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("ERROR: an old one\n" + "x" * 100_000 + "\nembed: 1/2, ETA 3s\nstopped: now\n")
    assert end_message([str(tmp_path / "none"), str(log)]) == "stopped: now"
    assert last_progress([str(log)]) == "embed: 1/2, ETA 3s"
    assert end_message([]) == last_progress([str(tmp_path)]) == ""


def test_the_status_line_never_cuts_what_is_printed():
    stream = io.StringIO()
    status = StatusLine(stream)
    status.show("a" * 200)
    assert stream.getvalue() == "\r\x1b[K" + "a" * 79
    status.write("half")
    status.show("not yet")
    status.write(" a line\n")
    status.show("now")
    assert stream.getvalue().endswith("\r\x1b[Khalf a line\n\r\x1b[Know")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_job_that_is_asked_to_stop_before_its_model_is_loaded_says_so(tmp_path, number, code):
    """While torch is being imported."""
    words = command("convert-model", tmp_path, "--model", "m", "--entry", "{}", "--out", tmp_path)
    for name in ("config.json", "vocab.txt", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(b"{}")
    job = subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, text=True)
    maps = Path(f"/proc/{job.pid}/maps")
    while job.poll() is None and "numpy" not in maps.read_text():
        time.sleep(0.005)
    job.send_signal(number)
    assert job.communicate()[1].splitlines() == ["stopped: run the same command again to resume"]
    assert job.returncode == code


@pytest.mark.parametrize(
    ("block", "number", "code"),
    [("stoppable", "SIGTERM", 143), ("stoppable", "SIGINT", 130), ("asked_to_stop", "SIGINT", 130)],
)
def test_a_library_that_is_being_imported_cannot_swallow_a_stop(tmp_path, block, number, code):
    """Nor end the process by SIGABRT, as C++ does with what Python raises."""
    ask = f"    os.kill(os.getpid(), signal.{number})\n"  # the second one stops a job at once
    (tmp_path / "swallows.py").write_text(
        f"import os, signal\ntry:\n{ask}{ask}except BaseException:\n    pass\n"
    )
    program = f"from kgtextvec.signals import {block}\nwith {block}():\n    import swallows"
    env = environment() | {"PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.returncode == code
    assert done.stderr.splitlines() == ["stopped: run the same command again to resume"]
