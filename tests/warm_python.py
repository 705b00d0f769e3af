"""A Python that starts at once: its children are forked from a server that imported the libraries.

`python -m kgtextvec` spends six CPU seconds on importing torch and transformers before it embeds
ten texts, and a test of the workflow starts dozens of them. `interpreter()` returns an executable
that takes `-m snakemake` and `-m kgtextvec` as Python does. Each call is a process of its own, with
its own arguments, environment, folder, open files, signals and exit code; only libraries are
imported beforehand, kgtextvec never. Tests of starting, killing and environments use
`sys.executable` instead.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import selectors
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
TABLES = ["numpy", "pyarrow.pandas_compat", "pyarrow.parquet", "xxhash"]
SNAKEMAKE = [
    "snakemake.cli",
    *("snakemake.executors.local", "snakemake.profiles", "snakemake.storage"),
    "snakemake.report.html_reporter",
    *("msgspec.json", "pandas", "requests", "smart_open", "yte"),
]
TORCH = [*TABLES, "torch", "safetensors.numpy", "safetensors.torch"]
TRANSFORMERS = [
    *TORCH,
    "tokenizers",
    *("transformers.models.auto.tokenization_auto", "transformers.models.bert.tokenization_bert"),
    *(f"transformers.models.{name}" for name in ("auto", "bert.modeling_bert")),
    *(f"transformers.models.{name}.modeling_{name}" for name in ("electra", "roberta")),
]
LAYOUT = ["matplotlib.figure", "openTSNE", "pandas", "plotly.io", "sklearn.decomposition", "umap"]
# What is imported before the first child of a kind is forked: a module, or a verb of kgtextvec.
LIBRARIES = {
    "snakemake": SNAKEMAKE,
    "convert-model": TRANSFORMERS,
    "embed-shard": TRANSFORMERS,
    "cache-tokens": TRANSFORMERS,
    "entities": TRANSFORMERS,
    "relation-types": TRANSFORMERS,
    "finetune-model": TORCH,
    "perplexity": TORCH,
    "probe-model": TORCH,
    "predict-links": TORCH,
    "export-table": [*TABLES, "numba"],
    "evaluate-space": [*TABLES, "pandas", "scipy.sparse", "sklearn.linear_model"],
    "draw-map": LAYOUT,
    "render-notebook": ["nbclient", "nbconvert", "nbformat"],
    "compare-spaces": ["nbclient", "nbconvert", "nbformat", "pandas"],
}
# Environment variables that libraries read when they are imported: another value, another start.
READ_AT_IMPORT = ("HF_", "TRANSFORMERS_", "NUMBA_", "TORCH", "KMP_")
CLIENT = """
import os, sys
words = [word for word in sys.argv[1:] if word != "-P"]
path = os.environ.get("PYTHONPATH")
usual = (
    words[:2] == ["-m", "snakemake"] and path in (None, "", {source!r})
    or words[:2] == ["-m", "kgtextvec"] and path == {source!r}
)
settings = {{name: value for name, value in os.environ.items() if name.startswith({names!r})}}
if not usual or settings != {settings!r}:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
import json, signal, socket, struct
with socket.socket(socket.AF_UNIX) as server:
    server.connect({at!r})
    body = json.dumps([words[1:], os.getcwd(), os.umask(0), dict(os.environ)]).encode()
    socket.send_fds(server, [struct.pack("=I", len(body))], [0, 1, 2])
    server.sendall(body)
    pid = struct.unpack("=i", server.recv(4, socket.MSG_WAITALL))[0]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    code = struct.unpack("=i", server.recv(4, socket.MSG_WAITALL))[0]
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@functools.cache
def interpreter() -> str:
    """Start the server, once for this process; return the path of the executable."""
    if not hasattr(os, "pidfd_open"):
        return sys.executable
    folder = Path(tempfile.mkdtemp(prefix="warm-python-"))
    at, client = folder / "socket", folder / "python"
    source = str(ROOT / "src")
    settings = {
        name: value for name, value in os.environ.items() if name.startswith(READ_AT_IMPORT)
    }
    code = client.with_suffix(".py")
    client.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS {code} "$@"\n')
    client.chmod(0o755)
    code.write_text(
        CLIENT.format(
            python=sys.executable,
            at=str(at),
            source=source,
            names=READ_AT_IMPORT,
            settings=settings,
        )
    )
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, str(at), str(client)],
        stdin=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        cwd="/",
    )
    atexit.register(stop, server, folder)
    while not at.exists():
        assert server.poll() is None, "the server of warm_python did not start"
        time.sleep(0.02)
    return str(client)


def stop(server: subprocess.Popen, folder: Path) -> None:
    server.stdin.close()
    server.wait(30)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


class Server:
    """Forks a child for each client until standard input ends."""

    def __init__(self, at: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f"{at}.new")
        self.listener.listen(64)
        self.events = selectors.DefaultSelector()
        self.events.register(self.listener, selectors.EVENT_READ)
        self.events.register(sys.stdin, selectors.EVENT_READ)
        Path(f"{at}.new").rename(at)

    def run(self) -> list[str]:
        """Serve; return in a child, which is to run a module: its name and its arguments."""
        while True:
            for key, _ in self.events.select():
                if key.fileobj is sys.stdin:
                    os._exit(0)
                elif key.data:
                    self.finish(*key.data)
                else:
                    words = self.start(self.listener.accept()[0])
                    if words:
                        return words

    def start(self, connection: socket.socket) -> list[str] | None:
        head, files, _, _ = socket.recv_fds(connection, 4, 3)
        if not head:  # the client has been killed
            connection.close()
            return None
        length = struct.unpack("=I", head)[0]
        body = json.loads(connection.recv(length, socket.MSG_WAITALL))
        module, *arguments = body[0]
        import_libraries(module if module == "snakemake" else "".join(arguments[:1]))
        pid = os.fork()
        if not pid:
            self.close()
            connection.close()
            return become(files, *body)
        for file in files:
            os.close(file)
        with contextlib.suppress(OSError):
            connection.sendall(struct.pack("=i", pid))
        process = os.pidfd_open(pid)
        self.events.register(process, selectors.EVENT_READ, (process, pid, connection))
        return None

    def finish(self, process: int, pid: int, connection: socket.socket) -> None:
        self.events.unregister(process)
        os.close(process)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with connection, contextlib.suppress(OSError):  # the client may have been killed
            connection.sendall(struct.pack("=i", code))

    def close(self) -> None:
        for key in list(self.events.get_map().values()):
            if key.data:
                os.close(key.data[0])
                key.data[2].close()
        self.events.close()
        self.listener.close()


@functools.cache
def import_libraries(kind: str) -> None:
    """Import, once, what jobs of a kind import."""
    for name in LIBRARIES.get(kind, TABLES):
        importlib.import_module(name)
    if LIBRARIES.get(kind) is TRANSFORMERS:
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("bert")  # compiles a thousand patterns, once
    gc.collect()
    gc.freeze()


def become(files: list[int], words: list[str], folder: str, mask: int, environment: dict) -> list:
    """Turn this child into the process that the client was to be."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.umask(mask)
    os.environ.clear()
    os.environ.update(environment)
    if environment.get("PYTHONPATH") != str(ROOT / "src"):
        sys.path.remove(str(ROOT / "src"))
    if "OMP_NUM_THREADS" in environment:  # Snakemake sets it to the job's threads
        threads = int(environment["OMP_NUM_THREADS"])
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        threadpool_limits(threads)
    np.random.seed()  # noqa: NPY002 (children must not share the global generator's state)
    return words


if __name__ == "__main__":
    at, client = sys.argv[1:]
    module, *arguments = Server(at).run()
    if module == "snakemake":
        sys.path.insert(0, str(Path.cwd()))
        sys.executable = client
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
