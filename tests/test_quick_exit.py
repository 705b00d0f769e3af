"""A process that ends without taking down its imports loses nothing, and its code is right."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"
PROGRAM = """
import atexit, sys, threading, time
from kgtextvec.quick_exit import exit_with, prepare_exit
prepare_exit()
{body}
class Late:
    def __del__(self):
        print("taken down", file=sys.__stderr__, flush=True)
late = Late()
exit_with({code})
"""


def ended(body: str, code: object = 3, **streams: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM.format(body=body, code=code)]
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": ""}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.run(command, env=environment, text=True, **streams)


def test_what_was_printed_and_asked_for_at_the_end_is_done_and_nothing_is_taken_down():
    done = ended("atexit.register(lambda: print('asked for'))\nprint('x' * 100_000)")
    assert done.returncode == 3
    assert done.stdout == "x" * 100_000 + "\nasked for\n"
    assert done.stderr == ""


def test_a_thread_is_waited_for():
    done = ended("threading.Thread(target=lambda: (time.sleep(0.3), print('whole'))).start()", 0)
    assert (done.returncode, done.stdout) == (0, "whole\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_output_that_could_not_be_written_is_an_error_as_python_has_it():
    with Path("/dev/full").open("w") as full:
        done = ended("print('lost')", 0, stdout=full)
    assert done.returncode == 120
    assert "No space left on device" in done.stderr


def test_an_error_ends_as_always():
    done = ended("raise ValueError('unexpected')")
    assert done.returncode == 1
    assert "ValueError: unexpected" in done.stderr
