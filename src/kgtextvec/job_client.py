"""Gives a job to the server of jobs (job_server), which has the job's libraries imported.

Runs before anything else is imported, so it takes a few small modules only, larger ones where they
are needed. As a script it starts any module as `python -m` does:
`python job_client.py ipykernel_launcher -f connection.json`.
"""

import os
import signal
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

RESUME = "run the same command again to resume"  # what a request to stop says
SOCKET_VARIABLE = "KGTEXTVEC_JOB_SERVER"  # the path of the server's socket; empty: no server
SOURCE_FOLDER = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (no pathlib yet)
NAME_BYTES = 64
NUMBER = struct.Struct("=i")
PASSED_ON = (signal.SIGTERM, signal.SIGINT)


def run_at_server(module: str, words: list[str]) -> None:
    """Let the server run `python -m module words…`, and exit as that does.

    Returns if no server takes the job: there is none, or it runs other code than this. The job is a
    process of its own with this one's arguments, environment, folder and open files. SIGTERM and
    SIGINT are passed on, and if this process is killed, so is the job.
    """
    path = os.environ.get(SOCKET_VARIABLE)
    if not path:
        return
    import json
    import socket

    mask = os.umask(0)
    os.umask(mask)
    folder = os.getcwd()  # noqa: PTH109
    body = json.dumps([SOURCE_FOLDER, module, words, folder, mask, dict(os.environ)]).encode()
    # What the server may import for the job: a module's name, or a verb of ours.
    name = (words[0] if module == "kgtextvec" and words else module).encode()[:NAME_BYTES]
    server = socket.socket(socket.AF_UNIX)
    stop_in_one_line()
    try:
        server.connect(path)
        server.sendall(name.ljust(NAME_BYTES, b"\0"))
        socket.send_fds(server, [NUMBER.pack(len(body))], [0, 1, 2])
        server.sendall(body)
        pid = read_number(server)
    except OSError:
        pid = None
    if pid is not None:
        end_as(wait_for(server, pid))
    server.close()


def stop_in_one_line() -> None:
    """Let SIGTERM and Ctrl-C end this process in one line: before its work, and after it.

    A signal that came while both were blocked is answered now.
    """
    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in a shell's background
            signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)


def stop(number: int, frame: object) -> None:
    """End at once; a job that the server imports libraries for, or has started, ends too."""
    os.write(2, f"stopped: {RESUME}\n".encode())
    os._exit(128 + number)


def read_number(server: "socket.socket") -> int | None:
    """Read a number that the server sends; None when it has gone away.

    Python answers a signal before or after a call that waits. One that came between its last look
    for signals and `recv` would be answered once the server has sent something, which it does at
    the job's end. So it is waited for in a way that any signal ends, also one that came before.
    """
    import select
    from socket import MSG_WAITALL

    signals, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    waiting = select.poll()
    waiting.register(server, select.POLLIN)
    waiting.register(signals, select.POLLIN)
    try:
        while server.fileno() not in dict(waiting.poll()):
            os.read(signals, 1)
        data = server.recv(NUMBER.size, MSG_WAITALL)
    finally:
        signal.set_wakeup_fd(-1)
        os.close(signals)
        os.close(wake)
    return NUMBER.unpack(data)[0] if len(data) == NUMBER.size else None


def wait_for(server: "socket.socket", pid: int) -> int:
    """Pass signals on to the job until it ends; return its exit code, negative for a signal."""

    def pass_on(number: int, frame: object) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:  # it has just ended
            return

    for number in PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    try:
        code = read_number(server)
    except OSError:
        code = None
    if code is None:
        os.write(2, b"ERROR: the server of jobs has died, and this job with it. Run it again.\n")
        return 1
    return code


def end_as(code: int) -> None:
    """End this process as the job ended: with its exit code, or by the same signal."""
    if -code in PASSED_ON:  # before the job could answer
        stop(-code, None)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    stop_in_one_line()
    run_at_server(sys.argv[1], sys.argv[2:])
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])  # noqa: S606
