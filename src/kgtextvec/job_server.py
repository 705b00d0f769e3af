"""Starts the jobs of a run from processes that have imported the libraries already.

Importing takes longer than the work of a small job: torch and transformers 3 s, the libraries of a
map 2.5 s. The first job of a family makes the server import what jobs of its kind need, once; each
job is then forked from there. It is a process of its own, with its own arguments, environment,
folder, open files, signals, threads and exit code, and gives the same bytes. On one machine only:
`start_server` is called where Snakemake runs jobs itself, and the server ends with Snakemake.

    Snakemake ── server ──┬── family "models" ──┬── embed-shard
                          │                     └── embed-shard
                          ├── family "tables" ───── export-table
                          └── family "reduce" ───── fit-pca

A family can be asked for before its first job, so that it imports while other jobs run. What all
families import, the server imports before it forks them; "reduce" is forked before that, since it
chooses kernels before numpy is imported.
"""

import contextlib
import ctypes
import json
import os
import random
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from kgtextvec.fast_imports import FAMILIES, OWN_KERNELS, import_for, import_shared
from kgtextvec.job_client import NAME_BYTES, NUMBER, SOCKET_VARIABLE, SOURCE_FOLDER
from kgtextvec.quick_exit import exit_with, prepare_exit

LONGEST_PATH = 100  # of a Unix socket: 107 bytes
KILL_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def start_server(soon: Iterable[str] = ()) -> None:
    """Start a server for this process' children, which find it by their environment.

    `soon`: verbs of jobs that are to come; what these need is imported at once. Does nothing where
    there is a server already (an empty variable says: no server), or where the system can't do it.
    The server ends once this process and all jobs have ended.
    """
    if SOCKET_VARIABLE in os.environ or not hasattr(os, "pidfd_open"):
        return
    folder = Path(tempfile.mkdtemp(prefix="kgtextvec-"))
    if len(os.fsencode(folder / "jobs")) > LONGEST_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="kgtextvec-", dir="/tmp"))
    path = folder / "jobs"
    source = str(Path(SOURCE_FOLDER).parent)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        words = ["-P", "-m", "kgtextvec.job_server", str(folder), str(listener.fileno()), *soon]
        # A session of its own: a Ctrl-C in the terminal is for the jobs, which pass it on.
        server = subprocess.Popen(  # noqa: S603 (our own command, as a list)
            [sys.executable, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": source, "OPENBLAS_NUM_THREADS": "1"},
            cwd="/",
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    os.environ[SOCKET_VARIABLE] = str(path)
    SERVERS.append(server)


SERVERS: list[subprocess.Popen[bytes]] = []  # kept open: a server ends when its stdin is closed


class Loop:
    """Waits for sockets, and for processes to end."""

    def __init__(self) -> None:
        self.events = selectors.DefaultSelector()
        self.children = 0

    def watch(self, file: Any, call: Any, *about: Any) -> None:
        """Have `call(file, *about)` called when there is something to read."""
        self.events.register(file, selectors.EVENT_READ, (call, about))

    def forget(self, file: Any) -> None:
        """Stop waiting for a file."""
        self.events.unregister(file)

    def turn(self) -> Any:
        """Wait once; return what the first call returned that is not None."""
        for key, _ in self.events.select():
            if self.events.get_map().get(key.fd) is key:  # no call before it has closed the file
                call, about = key.data
                found = call(key.fileobj, *about)
                if found is not None:
                    return found
        return None

    def close(self) -> None:
        """Close everything that is waited for: a forked process has no part in it."""
        for key in list(self.events.get_map().values()):
            close(key.fileobj)
        self.events.close()


def close(file: Any) -> None:
    """Close a file, a socket or a file's number."""
    if isinstance(file, int):
        os.close(file)
    else:
        file.close()


class Server(Loop):
    """Passes each job on to its family, a process that is forked when it is first needed."""

    def __init__(self, listener: socket.socket) -> None:
        super().__init__()
        self.families: dict[str, socket.socket] = {}
        self.idle: dict[str, int] = {}  # the process of each family that had no job yet
        self.open = True
        self.watch(listener, self.accept)
        self.watch(0, self.end)

    def run(self, soon: Iterable[str]) -> "Family | None":
        """Serve until Snakemake is gone; return, in a new process, the family that it is.

        Imports first what the verbs `soon` need.
        """
        for name in soon:
            if made := self.pass_on(name):
                return made
        while self.open:
            family: Family | None = self.turn()
            if family:
                return family
        for pair in self.families.values():
            pair.close()
        for process in self.idle.values():  # it may be importing for seconds
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait()
        return None

    def end(self, stdin: int) -> None:
        """Stop: nobody holds the other end of stdin."""
        self.open = False

    def accept(self, listener: socket.socket) -> "Family | None":
        """Pass a connection on to the family of its job."""
        connection, _ = listener.accept()
        with connection:
            name = connection.recv(NAME_BYTES, socket.MSG_WAITALL).rstrip(b"\0").decode()
            return self.pass_on(name, connection) if name in FAMILIES else None

    def pass_on(self, name: str, connection: socket.socket | None = None) -> "Family | None":
        """Pass a job on to its family, or, without a connection, the wish to import for it."""
        family = FAMILIES[name][0]
        if family not in OWN_KERNELS:
            for own in OWN_KERNELS:
                if made := self.fork(own):
                    return made
            import_shared()
        elif family not in self.families and "numpy" in sys.modules:
            return None  # it died, and it is too late to choose kernels: jobs start by themselves
        if made := self.fork(family):
            return made
        if connection:
            self.idle.pop(family, None)
        try:
            files = [connection.fileno()] if connection else []
            socket.send_fds(self.families[family], [name.encode()], files)
        except OSError:  # it died, of too little memory for instance: the next job makes another
            self.families.pop(family).close()
        return None

    def fork(self, family: str) -> "Family | None":
        """Fork a family that is not there yet; return it in the new process."""
        if family in self.families:
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = fork_with_threads()
        if not process:
            self.close()
            os.open(os.devnull, os.O_RDONLY)  # it becomes 0, the lowest number that is free
            ours.close()
            for one in self.families.values():
                one.close()
            return Family(theirs)
        theirs.close()
        self.families[family] = ours
        self.idle[family] = process
        return None


class Family(Loop):
    """Imports what its jobs need and forks them."""

    def __init__(self, requests: socket.socket) -> None:
        super().__init__()
        self.open = True
        self.watch(requests, self.fork)

    def run(self) -> "Job | None":
        """Serve until no request can come and all jobs have ended; return, in a job, what it is."""
        while self.open or self.children:
            job: Job | None = self.turn()
            if job:
                return job
        return None

    def fork(self, requests: socket.socket) -> "Job | None":
        """Fork a job; return it in the new process."""
        name, files, _, _ = socket.recv_fds(requests, NAME_BYTES, 1)
        if not name:
            self.open = False
            self.forget(requests)
            return None
        if not files:
            import_for(name.decode())
            return None
        connection = socket.socket(fileno=files[0])
        job = Job.read(connection)
        if job is None:
            connection.close()
            return None
        import_for(name.decode())
        pid = fork_with_threads()
        if not pid:
            self.close()
            connection.close()
            return job
        job.close()
        process = os.pidfd_open(pid)
        self.children += 1
        self.watch(process, self.finish, pid, connection)
        self.watch(connection, self.kill, process)
        with contextlib.suppress(OSError):
            connection.sendall(NUMBER.pack(pid))
        return None

    def kill(self, connection: socket.socket, process: int) -> None:
        """Kill the job of a client that was killed: it sends nothing, so it has gone away."""
        self.forget(connection)
        signal.pidfd_send_signal(process, signal.SIGKILL)

    def finish(self, process: int, pid: int, connection: socket.socket) -> None:
        """Send a job's exit code to its client."""
        self.forget(process)
        os.close(process)
        if connection.fileno() in self.events.get_map():
            self.forget(connection)
        self.children -= 1
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with connection, contextlib.suppress(OSError):
            connection.sendall(NUMBER.pack(code))


class Job:
    """What a client asks for: a module to run, and how its process looks."""

    def __init__(self, files: list[int], request: list[Any]) -> None:
        self.files = files
        self.source, self.module, self.words, self.folder, self.umask, self.environment = request

    @classmethod
    def read(cls, connection: socket.socket) -> "Job | None":
        """Read a client's request; None if it has gone away or runs other code than this."""
        head, files, _, _ = socket.recv_fds(connection, NUMBER.size, 3)
        if len(head) < NUMBER.size:
            return None
        body = connection.recv(NUMBER.unpack(head)[0], socket.MSG_WAITALL)
        try:
            job = cls(files, json.loads(body))
        except ValueError:  # it was killed in the middle
            job = cls(files, ["", "", [], "", 0, {}])
        if job.source == SOURCE_FOLDER:
            return job
        job.close()
        return None

    def close(self) -> None:
        """Close the job's files, here where it does not run."""
        for file in self.files:
            os.close(file)

    def run(self) -> int:
        """Turn this process into the job's and run it; return its exit code."""
        ctypes.CDLL(None).prctl(KILL_WITH_PARENT, signal.SIGKILL)
        for number, file in enumerate(self.files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(self.folder)
        os.umask(self.umask)
        os.environ.clear()
        os.environ.update(self.environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        set_library_threads(self.environment.get("OMP_NUM_THREADS", ""))
        random.seed()
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed()  # no two jobs share a state
        if self.module == "kgtextvec":
            program = import_module("kgtextvec.__main__")
            program.stop_in_one_line()
            sys.argv = [str(program.__file__), *self.words]
            code: int = program.main()
            return code
        sys.argv = [self.module, *self.words]
        runpy.run_module(self.module, run_name="__main__", alter_sys=True)
        return 0


def fork_with_threads() -> int:
    """Fork. Libraries may have threads, which wait; none of them holds a lock."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def set_library_threads(threads: str) -> None:
    """Let the libraries that are loaded take as many threads as they would if loaded now."""
    if threads.isdigit():
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(int(threads))
        import_module("threadpoolctl").threadpool_limits(int(threads))


def serve(folder: str, listener: str, *soon: str) -> int:
    """Serve; the processes that are forked return from here as well, each with its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whether there is a GPU is asked without CUDA, which would not survive a fork.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    os.environ["JPY_PARENT_PID"] = "1"  # a kernel's parent is its family, not who asked for it
    family = Server(socket.socket(fileno=int(listener))).run(soon)
    if family is None:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    job = family.run()
    return job.run() if job else 0


if __name__ == "__main__":
    prepare_exit()
    exit_with(serve(*sys.argv[1:]))
