"""One file over http: whole and right, or a clear error, whatever the server does."""

import gzip
import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fault_server import FaultServer

from kgtextvec.errors import InputError
from kgtextvec.models.fetch import fetch
from kgtextvec.models.fetch_errors import FetchError
from kgtextvec.models.transfer import Request
from kgtextvec.retry import RetryPolicy, retry_after

DATA = np.random.default_rng(1).bytes(300_000)
SHA = hashlib.sha256(DATA).hexdigest()
QUICK = RetryPolicy(connect=5, stall=0.6, first_wait=0.01, longest_wait=0.05, tries=6)
SRC = Path(__file__).resolve().parents[1] / "src"


@pytest.fixture
def server():
    with FaultServer() as running:
        yield running


def get(url: str, folder: Path, sha256: str | None = SHA, **more) -> bytes:
    target = folder / "file.bin"
    digest = fetch(Request(url, target, sha256=sha256, **more), QUICK)
    data = target.read_bytes()
    assert digest == hashlib.sha256(data).hexdigest()
    assert [path.name for path in folder.iterdir()] == ["file.bin"], "something is left behind"
    return data


GOOD = {
    "no fault": [],
    "src_cut": ["cut"],
    "cut four times": ["cut"] * 4,
    "reset": ["reset"],
    "hung up before the answer": ["hangup", "hangup"],
    "src_ignores_range": ["cut", "ignore_range"],
    "src_503_twice": ["503=0", "503=1"],
    "503 without Retry-After": ["503", "503"],
    "429 with Retry-After": ["429=1"],
    "429 with a date": ["429=date"],
    "429 without Retry-After": ["429"],
    "500 then cut": ["500", "cut", "502"],
    "chunked": ["chunked"],
    "chunked and cut": ["chunked_cut"],
    "chunked and cut three times": ["chunked_cut"] * 3,
    "no length": ["no_length"],
    "no length and cut once": ["no_length_cut"],
    "src_stall": ["stall"],
    "trickle": ["trickle"],
    "silent": ["silent"],
    "src_wrong_length": ["announce=1000"] * 9,
    "wrong length, too short, once": ["cut", "announce=-1000"],
    "compressed on the way": ["encode"],
    "labelled gzip": ["label"],
}


@pytest.mark.parametrize("faults", GOOD.values(), ids=list(GOOD))
def test_a_fault_that_passes_still_gives_the_file(server, tmp_path, faults):
    url = server.add("file.bin", DATA, faults)
    assert get(url, tmp_path) == DATA


@pytest.mark.parametrize("faults", [["cut"], ["cut"] * 4, ["reset"], ["chunked_cut"], ["stall"]])
@pytest.mark.parametrize("known", [True, False], ids=["checksum known", "no checksum"])
def test_what_came_is_not_sent_again(server, tmp_path, faults, known):
    url = server.add("file.bin", DATA, faults)
    assert get(url, tmp_path, sha256=SHA if known else None) == DATA
    assert server.sent["/file.bin"] == len(DATA)
    assert all("If-Range" in asked.headers for asked in server.requests[1:])


def test_without_a_validator_bytes_are_joined_only_if_a_checksum_proves_them(server, tmp_path):
    url = server.add("file.bin", DATA, ["cut"], etag=False)
    assert get(url, tmp_path / "known") == DATA
    assert server.sent["/file.bin"] == len(DATA)
    url = server.add("other.bin", DATA, ["cut"], etag=False)
    assert get(url, tmp_path / "unknown", sha256=None) == DATA
    assert not any("Range" in asked.headers for asked in server.asked("other.bin"))


def test_content_changed_between_tries_is_never_mixed(server, tmp_path):
    url = server.add("file.bin", DATA, ["cut", "changed"])
    new = bytes(byte ^ 1 for byte in DATA)
    assert get(url, tmp_path, sha256=None) == new


def test_a_retry_after_is_obeyed(server, tmp_path):
    url = server.add("file.bin", DATA, ["503=1"])
    start = time.monotonic()
    get(url, tmp_path)
    assert time.monotonic() - start >= 1.0


def test_a_retry_after_of_hours_is_a_refusal(server, tmp_path):
    url = server.add("file.bin", DATA, ["503=7200"])
    with pytest.raises(FetchError, match="asks to wait 7200 s"):
        get(url, tmp_path)


BAD = {
    "404": (["404"], "404 Not Found"),
    "403": (["403"], "403 Forbidden .access refused"),
    "401": (["401"], "401 .*sign-in"),
    "src_html": (["page=Google Drive - Quota exceeded"], "web page .*Quota exceeded"),
    "src_wrong_sum": (["flip"], "expected sha256 [0-9a-f]{64}, got [0-9a-f]{64}"),
    "src_no_length_cut": (["no_length_cut"] * 9, "checksum mismatch"),
    "cut short by its own length": (["announce=-1000"], "checksum mismatch"),
    "503 for ever": (["503"] * 30, "gave up after 7 failures in a row, the last: 503"),
    "odd encoding": (["label=br"], "Content-Encoding br"),
    "redirect for ever": (["redirect=/file.bin"] * 50, "redirects"),
    "empty": (None, "checksum mismatch"),
}


@pytest.mark.parametrize(("faults", "message"), BAD.values(), ids=list(BAD))
def test_a_fault_that_stays_is_an_error_and_leaves_no_file(server, tmp_path, faults, message):
    url = server.add("file.bin", b"" if faults is None else DATA, faults or [])
    with pytest.raises(FetchError, match=message) as caught:
        get(url, tmp_path)
    assert "\n" not in str(caught.value)
    assert url in str(caught.value)
    assert not (tmp_path / "file.bin").exists()


def test_a_server_that_always_announces_too_much_is_an_error_without_a_checksum(server, tmp_path):
    server.add("file.bin", DATA, ["announce=1000"] * 9, etag=False)
    with pytest.raises(FetchError, match="announces 301000 bytes and ends after 300000"):
        get(f"{server.base}/file.bin", tmp_path, sha256=None)


def test_a_page_without_its_label_is_recognised(server, tmp_path):
    page = b"\n<html><head><title>Sign in - Google Accounts</title></head></html>"
    url = server.add("file.bin", page, headers={"Content-Type": "application/octet-stream"})
    with pytest.raises(FetchError, match=r"web page .*Sign in - Google Accounts"):
        get(url, tmp_path, sha256=None)


def test_a_file_with_a_page_label_is_kept(server, tmp_path):
    url = server.add("file.bin", DATA, headers={"Content-Type": "text/html"})
    assert get(url, tmp_path) == DATA


def test_bytes_that_do_not_fit_their_encoding_are_refused(server, tmp_path):
    url = server.add("file.bin", DATA, always="label=deflate")
    with pytest.raises(FetchError, match="damaged on the way"):
        get(url, tmp_path, sha256=None)
    assert get(url, tmp_path) == DATA, "the checksum proves that only the label was wrong"


@pytest.mark.parametrize("known", [True, False], ids=["checksum known", "no checksum"])
@pytest.mark.parametrize("fault", ["label", "encode"])
def test_an_archive_keeps_its_own_gzip_whatever_the_label(server, tmp_path, fault, known):
    archive = gzip.compress(DATA, mtime=0)
    url = server.add("m.tar.gz", archive, [fault])
    sha256 = hashlib.sha256(archive).hexdigest() if known else None
    target = tmp_path / "m.tar.gz"
    fetch(Request(url, target, sha256=sha256), QUICK)
    assert target.read_bytes() == archive


def test_a_refused_connection_is_told(tmp_path, server):
    with FaultServer() as other:
        url = other.add("file.bin", DATA)
    with pytest.raises(FetchError, match="connection refused"):
        get(url, tmp_path)


def test_a_later_process_resumes_and_sends_nothing_twice(server, tmp_path):
    url = server.add("file.bin", DATA, ["stall"])
    program = (
        "import sys; from pathlib import Path;"
        "from kgtextvec.models.fetch import fetch;"
        "from kgtextvec.models.transfer import Request;"
        f"fetch(Request(sys.argv[1], Path(sys.argv[2]), sha256={SHA!r}))"
    )
    words = [sys.executable, "-c", program, url, str(tmp_path / "file.bin")]
    environment = {**os.environ, "PYTHONPATH": str(SRC), "KGTEXTVEC_PATIENCE": "stall=60"}
    first = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
    part, until = tmp_path / "file.bin.part", time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < until:
        time.sleep(0.02)
    first.kill()
    first.wait()
    kept = part.stat().st_size
    assert kept > 0
    subprocess.run(words, env=environment, check=True, capture_output=True)
    assert (tmp_path / "file.bin").read_bytes() == DATA
    last = server.requests[-1].headers
    assert last["Range"] == f"bytes={kept}-"


def test_a_part_of_another_address_is_not_used(server, tmp_path):
    one = server.add("one.bin", bytes(300_000), ["cut"] * 50)
    with pytest.raises(FetchError):
        fetch(Request(one, tmp_path / "file.bin"), RetryPolicy(tries=0, first_wait=0))
    assert (tmp_path / "file.bin.part").stat().st_size > 0
    two = server.add("two.bin", DATA)
    assert get(two, tmp_path) == DATA
    assert "Range" not in server.requests[-1].headers


def test_src_disk_full_is_told_before_the_download(server, tmp_path):
    url = server.add("file.bin", DATA, headers={})
    huge = Request(url, tmp_path / "file.bin", size=10**16)
    server.entries["/file.bin"].faults = ["no_length"]
    with pytest.raises(InputError, match=r"not enough disk .* need [0-9]+ bytes"):
        fetch(huge, QUICK)


def test_a_disk_that_fills_up_is_told_and_the_rest_can_come_later(server, tmp_path):
    url = server.add("file.bin", DATA)
    program = (
        "import resource, signal, sys; from pathlib import Path;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "from kgtextvec.models.fetch import fetch;"
        "from kgtextvec.models.transfer import Request;"
        "fetch(Request(sys.argv[1], Path(sys.argv[2])))"
    )
    words = [sys.executable, "-c", program, url, str(tmp_path / "file.bin")]
    run = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(SRC)}, capture_output=True)
    assert re.search(rb"NoSpace: .*not enough disk .* need [0-9]+ bytes", run.stderr)
    assert get(url, tmp_path) == DATA


def test_a_redirect_is_followed(server, tmp_path):
    server.add("there.bin", DATA, ["cut"])
    url = server.add("here.bin", b"", always="redirect=/there.bin")
    assert get(url, tmp_path) == DATA
    assert server.sent["/there.bin"] == len(DATA)


def test_patience_is_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("KGTEXTVEC_PATIENCE", "stall=2.5, tries=3")
    assert RetryPolicy.from_environment() == RetryPolicy(stall=2.5, tries=3)
    monkeypatch.setenv("KGTEXTVEC_PATIENCE", "stal=2")
    with pytest.raises(InputError, match=r"stal=2.*one of connect, stall"):
        RetryPolicy.from_environment()


def test_waits_double_up_to_a_limit():
    policy = RetryPolicy(first_wait=1, longest_wait=10)
    assert [policy.wait(n, None) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert policy.wait(3, 0.0) == 0.0


@pytest.mark.parametrize(("text", "seconds"), [("7", 7), ("-3", 0), ("soon", None), ("", None)])
def test_retry_after_is_read(text, seconds):
    assert retry_after(text) == seconds
