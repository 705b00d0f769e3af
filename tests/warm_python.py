"""A Python that starts at once: its children are forked from processes that imported everything.

`python -m kgtextvec` spends six CPU seconds on importing torch and transformers before it embeds
ten texts, and a test of the workflow starts dozens of them. `interpreter()` returns an executable
that takes `-m snakemake` and `-m kgtextvec` as Python does. Each call is a process of its own, with
its own arguments, environment, folder, open files, signals and exit code; only modules are imported
beforehand. As in job_server, each family of jobs has a process that is forked for them: the less it
has in memory, the faster. Tests of starting, killing and environments use `sys.executable` instead.

    server ──┬── family "snakemake" ── snakemake
             ├── family "tables" ────┬── read-texts
             │                       └── export-table
             └── family "models" ────── embed-shard
"""

import atexit
import contextlib
import functools
import gc
import importlib
import marshal
import os
import runpy
import selectors
import shlex
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED_PYTHON = "KGTEXTVEC_TESTS_PYTHON"  # in the environment: another process' executable
TABLES = [
    *("numpy", "pandas", "pyarrow.compute", "pyarrow.pandas_compat", "pyarrow.parquet"),
    *("jinja2", "threadpoolctl", "xxhash", "kgtextvec.space"),
]
SNAKEMAKE = [
    "snakemake.cli",
    *("snakemake.executors.local", "snakemake.profiles", "snakemake.storage"),
    "snakemake.report.html_reporter",
    *("msgspec.json", "pandas", "requests", "smart_open", "yte"),
]
TORCH = ["torch", "safetensors.numpy", "safetensors.torch"]
TRANSFORMERS = [
    *TORCH,
    "tokenizers",
    *("transformers.models.auto.tokenization_auto", "transformers.models.bert.tokenization_bert"),
    *(f"transformers.models.{name}" for name in ("auto", "bert.modeling_bert")),
    *(f"transformers.models.{name}.modeling_{name}" for name in ("electra", "roberta")),
    "kgtextvec.encoders.transformer.encoder",
    "kgtextvec.models.transformer",
]
SCORES = ["scipy.sparse", "scipy.special", "sklearn.decomposition", "sklearn.linear_model"]
LAYOUT = ["matplotlib.figure", "openTSNE", "plotly.io", "sklearn.decomposition", "umap"]
NOTEBOOKS = ["jupyter_client.manager", "nbclient", "nbconvert", "nbformat", "plotly.io"]
# Verbs with a family of their own, and what is imported there before the first of their jobs; all
# others are "tables".
FAMILIES = {
    "snakemake": ("snakemake", SNAKEMAKE),
    "convert-model": ("models", TRANSFORMERS),
    "embed-shard": ("models", TRANSFORMERS),
    "cache-tokens": ("models", TRANSFORMERS),
    "finetune-model": ("models", TORCH),
    "perplexity": ("models", TORCH),
    "probe-model": ("models", TORCH),
    "predict-links": ("models", TORCH),
    "evaluate-space": ("scores", SCORES),
    "draw-map": ("pages", LAYOUT),
    "render-notebook": ("pages", NOTEBOOKS),
    "compare-spaces": ("pages", NOTEBOOKS),
}
# Environment variables that libraries read when they are imported: another value, another start.
READ_AT_IMPORT = ("HF_", "TRANSFORMERS_", "NUMBA_", "TORCH", "KMP_")
# But for those that torch and scikit-learn set themselves, sooner or later.
SET_BY_LIBRARIES = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "TORCHINDUCTOR_CACHE_DIR")
# Imports next to nothing, as each job starts one.
CLIENT = """
import os, sys
words = [word for word in sys.argv[1:] if word != "-P"]
path = os.environ.get("PYTHONPATH")
usual = (
    words[:2] == ["-m", "snakemake"] and path in (None, "", {source!r})
    or words[:2] == ["-m", "kgtextvec"] and path == {source!r}
)
settings = {{
    name: value for name, value in os.environ.items()
    if name.startswith({names!r}) and name not in {ignored!r}
}}
if not usual or settings != {settings!r}:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
import _signal, _socket, _struct, marshal
verb = "snakemake" if words[1] == "snakemake" else "".join(words[2:3])
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
server.connect({at!r} + "." + {families!r}.get(verb, "tables"))
body = marshal.dumps([words[1:], os.getcwd(), os.umask(0), dict(os.environ)])
streams = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _struct.pack("3i", 0, 1, 2))]
server.sendmsg([_struct.pack("=I", len(body))], streams)
server.sendall(body)
pid = _struct.unpack("=i", server.recv(4, _socket.MSG_WAITALL))[0]
for number in (_signal.SIGTERM, _signal.SIGINT):
    _signal.signal(number, lambda number, frame: os.kill(pid, number))
code = _struct.unpack("=i", server.recv(4, _socket.MSG_WAITALL))[0]
if code < 0:
    _signal.signal(-code, _signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@functools.cache
def interpreter() -> str:
    """Start the server, once for this process; return the path of the executable.

    Where pytest has several workers, they share one (conftest.py).
    """
    if SHARED_PYTHON in os.environ:
        return os.environ[SHARED_PYTHON]
    if not hasattr(os, "pidfd_open"):
        return sys.executable
    folder = Path(tempfile.mkdtemp(prefix="warm-python-"))
    at, client = folder / "socket", folder / "python"
    source = str(ROOT / "src")
    settings = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(READ_AT_IMPORT) and name not in SET_BY_LIBRARIES
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
            ignored=SET_BY_LIBRARIES,
            settings=settings,
            families={verb: family for verb, (family, _) in FAMILIES.items()},
        )
    )
    server = subprocess.Popen(
        [sys.executable, "-P", __file__, str(at), str(client)],
        stdin=subprocess.PIPE,
        # Threads that wait for each other at tiny products don't take the processor meanwhile.
        env=os.environ
        | {"PYTHONPATH": source, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
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
    """Waits until standard input ends, and for connections: the first of a family makes it."""

    def __init__(self, at: str) -> None:
        self.events = selectors.DefaultSelector()
        self.events.register(sys.stdin, selectors.EVENT_READ, self.end)
        for family in {"tables", *(family for family, _ in FAMILIES.values())}:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{at}.{family}")
            listener.listen(64)
            self.events.register(listener, selectors.EVENT_READ, self.make_family)
        Path(at).touch()

    def run(self) -> list[str]:
        """Serve; return in a child of a family what it is to run: a module and its arguments."""
        while True:
            events = self.events
            for key, _ in events.select():
                words = key.data(key.fileobj)
                if words:
                    return words
                if self.events is not events:  # this is a family now
                    break

    def end(self, stdin: object) -> None:
        os._exit(0)

    def make_family(self, listener: socket.socket) -> None:
        """Fork the process of a family, which serves its listener from now on."""
        if not listener.getsockname().endswith(".snakemake"):
            import_all(*TABLES)
        self.events.unregister(listener)
        if os.fork():
            listener.close()
            return
        self.close()
        self.events = selectors.DefaultSelector()
        self.events.register(sys.stdin, selectors.EVENT_READ, self.end)
        self.events.register(listener, selectors.EVENT_READ, self.start)

    def start(self, listener: socket.socket) -> list[str] | None:
        """Fork the process that a client is to be."""
        connection = listener.accept()[0]
        head, files, _, _ = socket.recv_fds(connection, 4, 3)
        if not head:  # the client has been killed
            connection.close()
            return None
        length = struct.unpack("=I", head)[0]
        body = marshal.loads(connection.recv(length, socket.MSG_WAITALL))  # noqa: S302 (our own)
        import_for(*body[0][:2])
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
        finish = functools.partial(self.finish, pid, connection)
        self.events.register(process, selectors.EVENT_READ, finish)
        return None

    def finish(self, pid: int, connection: socket.socket, process: int) -> None:
        """Send a client how its process ended."""
        self.events.unregister(process)
        os.close(process)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with connection, contextlib.suppress(OSError):  # the client may have been killed
            connection.sendall(struct.pack("=i", code))

    def close(self) -> None:
        """Close what only the parent waits for."""
        for key in list(self.events.get_map().values()):
            if isinstance(key.fileobj, int):
                os.close(key.fileobj)
                key.data.args[1].close()
            elif key.fileobj is not sys.stdin:
                key.fileobj.close()
        self.events.close()


def import_for(module: str, verb: str = "") -> None:
    """Import what a job imports: the verb's own module too."""
    if module == "snakemake":
        return import_all(*SNAKEMAKE)
    program = importlib.import_module("kgtextvec.__main__")
    own = [f"kgtextvec.{program.VERBS[verb][0]}"] if verb in program.VERBS else []
    libraries = FAMILIES.get(verb, ("", []))[1]
    import_all(*libraries, *own)
    if libraries is TRANSFORMERS:
        compile_patterns()
    return None


@functools.cache
def import_all(*names: str) -> None:
    for name in names:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


@functools.cache
def compile_patterns() -> None:
    """Let transformers compile its thousand patterns of weights' names, once for all jobs."""
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    get_checkpoint_conversion_mapping("bert")
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
        if "threadpoolctl" in sys.modules:
            sys.modules["threadpoolctl"].threadpool_limits(threads)
    if "numpy" in sys.modules:  # children must not share the global generator's state
        sys.modules["numpy"].random.seed()
    return words


def leave(code: object) -> None:
    """End as Python does, but without taking down, for half a second, what was imported."""
    if code is not None and not isinstance(code, int):
        return
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit((code or 0) & 0xFF)


if __name__ == "__main__":
    at, client = sys.argv[1:]
    module, *arguments = Server(at).run()
    if module == "snakemake":
        sys.path.insert(0, str(Path.cwd()))
        sys.executable = client
    sys.argv = [module, *arguments]
    sys.modules.pop("kgtextvec.__main__", None)  # imported for its list of verbs only
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        leave(end.code)
        raise
    leave(0)
