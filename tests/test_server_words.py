"""What a server says reaches terminal and log without its control characters."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError, without_escapes
from kgtextvec.models.fetch import fetch
from kgtextvec.models.sources import hub
from kgtextvec.models.transfer import Request
from kgtextvec.retry import RetryPolicy

ESCAPES = "\x1b[2J\x1b[31m\x9b5m\x07"


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that gives every request the same bytes; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/m.bin"
        server.shutdown(socket.SHUT_RDWR)


ANSWERS = {
    "reason": f"HTTP/1.1 404 {ESCAPES}gone\r\n\r\n",
    "temporary": f"HTTP/1.1 503 {ESCAPES}busy\r\n\r\n",
    "long": f"HTTP/1.1 404 {'long ' * 10_000}\r\n\r\n",
    "encoding": f"HTTP/1.1 200 OK\r\nContent-Encoding: {ESCAPES}\r\n\r\nx",
    "page": f"HTTP/1.1 200 OK\r\n\r\n<html><title>{ESCAPES}quota</title></html>",
    "version": f"{ESCAPES}HTTP/9 what\r\n\r\n",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_no_control_character_of_an_answer_reaches_a_message(tmp_path, capsys, name):
    policy = RetryPolicy(tries=1, first_wait=0.01)
    with answering(ANSWERS[name].encode("latin-1")) as url, pytest.raises(InputError) as caught:
        fetch(Request(url, tmp_path / "m.bin"), policy)
    told = capsys.readouterr().err
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert all(line.isprintable() for line in told.splitlines())


def test_a_commit_that_is_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "ask_hub", lambda *_: {"sha": f"../{ESCAPES}"})
    with pytest.raises(InputError, match="the answer has no commit"):
        hub.newest_commit("owner/name", tmp_path)


def test_an_error_is_printed_as_one_line_whatever_a_name_holds(tmp_path, capsys):
    path = tmp_path / f"a{ESCAPES}\nb"
    assert main(["unpack-model", str(path), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert told.strip().isprintable()


def test_plain_words_stay_as_they_are():
    assert without_escapes("Ménière's, 中文: 5 %") == "Ménière's, 中文: 5 %"


def test_a_body_without_length_has_a_limit(tmp_path):
    body = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000
    with answering(body) as url, pytest.raises(InputError, match="sends more than 1000 bytes"):
        fetch(Request(url, tmp_path / "m.bin", most=1000), RetryPolicy(tries=1, first_wait=0.01))
    assert not (tmp_path / "m.bin").exists()
