"""Locks between processes, on file systems that have locks and on those that have none."""

import errno
import os
import re
import subprocess
import sys
import threading
from functools import partial

import filelock
import pytest

from kgtextvec import locks
from kgtextvec.embed.shard_lock import lock_shard
from kgtextvec.locks import hold_lock, is_unlocked, open_to_lock, run_without_lock


def test_a_waiting_job_is_reminded_until_the_lock_is_free(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(locks, "REMIND_SECONDS", 0.2)
    opened = partial(open_to_lock, tmp_path / "a.lock")
    with hold_lock([opened], lambda: "not seen") as first:
        assert (first.which, first.waited) == (0, False)
        assert not is_unlocked(tmp_path / "a.lock")
        held = os.dup(first.handle)  # keeps the lock when the block ends
    threading.Timer(0.7, os.close, [held]).start()
    with hold_lock([opened], lambda: "still waiting", poll_seconds=0.05) as second:
        assert second.waited
    assert 3 <= capsys.readouterr().err.count("still waiting\n") <= 4
    assert is_unlocked(tmp_path / "a.lock")


def test_the_first_free_file_is_locked(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    opened = [partial(open_to_lock, path) for path in paths]
    with (
        hold_lock(opened[:1], str),
        hold_lock(opened, str) as second,
        hold_lock(opened, str) as third,
    ):
        assert [second.which, third.which] == [1, 2]
        assert not any(map(is_unlocked, paths))
    assert all(map(is_unlocked, paths))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_without_locks_a_shard_is_embedded_all_the_same(tmp_path, monkeypatch, capsys, number):
    def refuse(handle: int, *, blocking: bool) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(filelock, "lock_descriptor", refuse)
    with lock_shard(tmp_path, "shard") as waited:
        assert not waited
    assert capsys.readouterr().err == ""
    path = tmp_path / "models.lock"
    with hold_lock([partial(open_to_lock, path)], str, partial(run_without_lock, path)) as lock:
        assert lock.handle is None
    assert "cannot be locked" in capsys.readouterr().err
    with (
        pytest.raises(OSError, match=re.escape(os.strerror(number))),
        hold_lock([partial(open_to_lock, path)], str),
    ):
        pass


def test_another_error_of_a_shards_lock_is_raised(tmp_path, monkeypatch):
    def refuse(handle: int, *, blocking: bool) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(filelock, "lock_descriptor", refuse)
    with (
        pytest.raises(OSError, match=re.escape(os.strerror(errno.EIO))),
        lock_shard(tmp_path, "shard"),
    ):
        pass


def test_nobody_pays_for_the_lock_library_at_start():
    code = "import sys, kgtextvec.locks; print('filelock' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
