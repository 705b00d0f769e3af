"""What all tests share: no way out to the open net."""

import gc
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from kgtextvec.job_client import SOCKET_VARIABLE

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Jobs of a workflow start from warm_python here, which serves all runs of the session.
os.environ.setdefault(SOCKET_VARIABLE, "")
# In a shell's background SIGINT is ignored, which the processes that tests stop would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes depends on what else the machine does.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Start what jobs are forked from once for all workers; each would import the same."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        from warm_python import SHARED_PYTHON, interpreter

        os.environ[SHARED_PYTHON] = interpreter()


# What is imported stays, so there is no garbage to find meanwhile, nor in it later.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def is_local(address: object) -> bool:
    if not isinstance(address, tuple):  # a Unix socket's path
        return True
    host = str(address[0])
    if host in {"localhost", ""}:
        return True
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Refuse every connection that would leave this machine, unless the test is marked so."""
    if request.node.get_closest_marker("network"):
        return
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def refuse(address: object) -> None:
        if not is_local(address):
            raise AssertionError(f"a test tried to connect to {address}")

    def guarded(self: socket.socket, address: object) -> None:
        refuse(address)
        return connect(self, address)

    def guarded_ex(self: socket.socket, address: object) -> int:
        refuse(address)
        return connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_ex)


@pytest.fixture(scope="session")
def npm_packages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Install the npm packages of a folder of tests at its locked versions; returns where."""

    def install(name: str) -> Path:
        if not shutil.which("npm"):
            assert os.environ.get("CI") != "true", "npm is needed"
            pytest.skip("needs node and npm")
        folder = tmp_path_factory.mktemp(name) / "node"
        shutil.copytree(Path(__file__).parent / name, folder)
        words = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        if done.returncode and os.environ.get("CI") != "true":
            pytest.skip(f"npm ci: {done.stderr[-200:]}")
        assert not done.returncode, done.stderr
        return folder

    return install


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first, so that two workers end at about the same time."""
    long = (
        *("test_workflow", "test_finetune_model", "test_kills", "test_terminal", "test_notebook"),
        *("test_models", "test_demo", "test_consumers", "test_embed", "test_elmo_engine"),
        *("test_image", "test_store_verbs"),
    )
    place = {name: i for i, name in enumerate(long)}
    items.sort(
        key=lambda item: min(
            (place[name] for name in long if item.path.name.startswith(name)), default=len(long)
        )
    )


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A headless Chromium without a net; skips where there is none."""
    from map_browser import launched

    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def mapped_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small space with hostile names, and its map."""
    from map_space import write_space

    from kgtextvec.report.map import draw_map

    folder = write_space(tmp_path_factory.mktemp("space"))
    draw_map(folder, texts=folder / "shards")
    return folder
