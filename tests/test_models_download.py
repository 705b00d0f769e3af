"""download-model: sources in order, the lock file, the cache, files placed by hand."""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml
from downloads import DATA, HUB, IDENT, content, locked, run, server, sha

from kgtextvec.errors import InputError
from kgtextvec.models.entry import locations_of, read_entry
from kgtextvec.models.sources import all_sources, watched_files
from kgtextvec.registry import SOURCES
from kgtextvec.settings.models import Model

__all__ = ["server"]
ROOT = Path(__file__).resolve().parents[1]


def test_an_archive_over_http_is_recorded_and_locked(server, tmp_path):
    url = server.add("/biolm/m-hf.tar.gz", DATA, ["503=0", "cut"])
    record = run(tmp_path, url)
    assert content(record) == {"m-hf.tar.gz": DATA}
    assert record["source"] == url and record["revision"] is None
    assert locked(tmp_path)["m"]["m-hf.tar.gz"] == {
        "sha256": sha(DATA),
        "source": url,
        "revision": None,
    }


def test_sources_are_tried_in_order_until_one_works(server, tmp_path):
    bad = server.add("/bad.tar.gz", b"", always="404")
    gone = f"path:{tmp_path}/gone"
    good = server.add("/good.tar.gz", DATA)
    record = run(tmp_path, [bad, gone, good])
    assert record["source"] == good
    server.requests.clear()
    assert run(tmp_path, [bad, gone, good]) == record
    assert not server.requests, "what is here and right is not asked for again"


def test_when_no_source_works_all_are_told_and_where_to_put_the_file(server, tmp_path):
    one, two = (server.add(f"/{name}.tar.gz", b"", always="404") for name in "ab")
    with pytest.raises(InputError) as caught:
        run(tmp_path, [one, two, "package:no_such_package/model"])
    told = str(caught.value)
    assert one in told and two in told and "no_such_package is not installed" in told
    assert f"put a.tar.gz into {tmp_path}/downloads/m" in told
    assert "\n" not in told


def test_a_file_placed_by_hand_is_taken_without_a_request(server, tmp_path):
    url = server.add("/m.tar.gz", b"", always="404")
    (tmp_path / "downloads/m").mkdir(parents=True)
    (tmp_path / "downloads/m/m.tar.gz").write_bytes(DATA)
    assert content(run(tmp_path, url)) == {"m.tar.gz": DATA}
    assert not server.requests


def test_a_wrong_file_placed_by_hand_is_refused(server, tmp_path):
    (tmp_path / "downloads/m").mkdir(parents=True)
    (tmp_path / "downloads/m/m.tar.gz").write_bytes(DATA[:-1])
    with pytest.raises(InputError, match=r"checksum mismatch: expected sha256 .*catalogue"):
        run(tmp_path, "https://127.0.0.1:1/m.tar.gz", sha256={"m.tar.gz": sha(DATA)})


def test_src_offline_works_after_a_download_and_says_so_before(server, tmp_path, monkeypatch):
    url = server.add("/m.tar.gz", DATA)
    with pytest.raises(InputError, match="the run is offline"):
        run(tmp_path, url, offline=True)
    for name in ("HF_HUB_OFFLINE", "KGTEXTVEC_OFFLINE"):
        monkeypatch.setenv(name, "1")
        with pytest.raises(InputError, match="the run is offline"):
            run(tmp_path, url)
        monkeypatch.setenv(name, "0")
    assert not server.requests
    run(tmp_path, url)
    server.requests.clear()
    assert content(run(tmp_path, url, offline=True)) == {"m.tar.gz": DATA}
    assert not server.requests


def test_a_download_that_differs_from_the_lock_is_an_error(server, tmp_path):
    url = server.add("/m.tar.gz", DATA)
    run(tmp_path, url)
    before = (tmp_path / "models.lock.yaml").read_bytes()
    server.add("/m.tar.gz", DATA[::-1])
    (other := tmp_path / "other").mkdir()
    (other / "models.lock.yaml").write_bytes(before)
    with pytest.raises(InputError, match=f"expected sha256 {sha(DATA)}, got {sha(DATA[::-1])}"):
        run(other, url)
    assert (other / "models.lock.yaml").read_bytes() == before
    server.add("/m.tar.gz", DATA)
    run(other, url)


def test_a_new_source_with_other_content_needs_the_users_word(server, tmp_path):
    run(tmp_path, server.add("/old/m.tar.gz", DATA))
    new = server.add("/new/m.tar.gz", DATA[::-1])
    with pytest.raises(InputError, match="checksum mismatch"):
        run(tmp_path, new)
    mirror = server.add("/mirror/m.tar.gz", DATA)
    assert content(run(tmp_path, mirror)) == {"m.tar.gz": DATA}
    (tmp_path / "models.lock.yaml").unlink()
    assert content(run(tmp_path, new)) == {"m.tar.gz": DATA[::-1]}


def test_a_damaged_cache_is_told(server, tmp_path):
    record = run(tmp_path, server.add("/m.tar.gz", DATA))
    path = Path(record["files"][0]["path"])
    path.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 4]))
    with pytest.raises(InputError, match=r"checksum mismatch.*Delete this file and run again"):
        run(tmp_path, record["source"])
    path.unlink()
    assert content(run(tmp_path, record["source"])) == {"m.tar.gz": DATA}


@pytest.mark.parametrize("text", ["[1", "m: 3", "m: {f: 3}", "m: {f: {}}", "\x00"])
def test_a_damaged_lock_file_is_told(tmp_path, text):
    (tmp_path / "models.lock.yaml").write_text(text)
    with pytest.raises(InputError, match=r"models\.lock\.yaml: cannot be read"):
        run(tmp_path, f"path:{tmp_path}")


def make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, data in HUB.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_of_the_user_is_used_where_it_lies(tmp_path):
    folder = make_folder(tmp_path / "my models" / "bért 'x' -1")
    record = run(tmp_path, f"path:{folder}")
    assert set(content(record)) == {"config.json", "vocab.txt", "pytorch_model.bin"}
    assert all(Path(file["path"]).parent == folder for file in record["files"])


def test_a_changed_or_lost_file_of_a_folder_is_told(tmp_path):
    folder = make_folder(tmp_path / "bert")
    run(tmp_path, f"path:{folder}")
    (folder / "vocab.txt").write_bytes(b"other")
    with pytest.raises(InputError, match=r"vocab\.txt: checksum mismatch.*delete m from"):
        run(tmp_path, f"path:{folder}")
    (folder / "vocab.txt").unlink()
    with pytest.raises(InputError, match=r"vocab\.txt: was there at first use and is gone"):
        run(tmp_path, f"path:{folder}")


def test_a_file_of_the_user_is_used_where_it_lies(tmp_path):
    (tmp_path / "m.tar.gz").write_bytes(DATA)
    for source in (f"file:{tmp_path}/m.tar.gz", f"file://{tmp_path}/m.tar.gz"):
        assert content(run(tmp_path, source, model=f"m{len(source)}")) == {"m.tar.gz": DATA}


def test_a_package_is_found_without_importing_it(tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "site" / "pack_of_model" / "model").parent
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    record = run(tmp_path, "package:pack_of_model/model")
    assert set(content(record)) == {"config.json", "vocab.txt", "pytorch_model.bin"}


def test_files_of_this_machine_are_watched_and_no_others(tmp_path):
    folder = make_folder(tmp_path / "bert")
    archive = tmp_path / "m.tar.gz"
    archive.write_bytes(DATA)
    sources = [{"m.tar.gz": f"file://{archive}", "x": f"gdrive:{IDENT}"}, f"path:{folder}"]
    inside = sorted(path for path in folder.iterdir() if path.is_file())
    assert watched_files(sources) == [archive, *inside]
    assert watched_files([f"path:{tmp_path}/none", "package:yaml/x", "finetune:m", "no"]) == []


def test_every_source_is_documented():
    page = (ROOT / "docs/models.md").read_text("utf-8")
    table = page.split("## Sources")[1].split("\n\n")[1]
    for source in all_sources():
        assert f"`{source.form.split('<')[0].split('…')[0]}" in table, source.form


def test_a_source_is_one_module_that_can_come_from_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "toy_source.py").write_text(
        """
from pathlib import Path
from kgtextvec.models.sources import FolderSource

class ToySource(FolderSource):
    schemes, form = ("toy",), "toy:<folder>"

    def check(self, address):
        pass

    def get_files(self, address, to):
        return {path.name: path for path in Path(address.partition(":")[2]).glob("*.*")}

SOURCE = ToySource()
"""
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = EntryPoint("toy", "toy_source", SOURCES.package)
    monkeypatch.setattr(SOURCES, "plugins", {"toy": plugin})
    record = run(tmp_path, f"toy:{make_folder(tmp_path / 'bert')}")
    assert "config.json" in content(record)
    with pytest.raises(InputError, match=r"is not one of: .*toy:<folder>"):
        run(tmp_path, "ftp://x")


BAD_SOURCES = {
    "missing": (None, "source: missing"),
    "unknown scheme": ("ftp://x/y.tar.gz", "is not one of: file:"),
    "no scheme": ("dmis-lab/biobert", "Write hub:dmis-lab/biobert for a model of the hub, path:"),
    "drive link": ("gdrive:https://drive.google.com/file/d/x/view", "the id alone"),
    "bad member": ({"../x": f"gdrive:{IDENT}"}, "not a plain file name"),
    "bad address": ({"x": "path:/x"}, "not one of file, gdrive, https"),
    "no name": ("https://host/", "does not end in a plain file name"),
    "number": (3, "Expected `str | object | array`"),
    "no folder": ("path:/no/such/folder", "no such folder"),
    "no file": ("file:/no/such.tar.gz", "no such file"),
    "outside": ("package:yaml/../x", "must be <package>"),
}


@pytest.mark.parametrize(("source", "message"), BAD_SOURCES.values(), ids=list(BAD_SOURCES))
def test_a_source_that_is_not_one_is_told(tmp_path, source, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path, source)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "word2vec"),
        ("pooling", "pooler"),
        ("max_tokens", "512"),
        ("dims", 0),
        ("do_lower_case", "no"),
        ("sha256", {"x": "123"}),
        ("subdir", "../x"),
    ],
)
def test_a_wrong_value_names_its_key(key, value):
    with pytest.raises(InputError, match=f"catalogue, m.{key}: "):
        locations_of("m", read_entry("m", json.dumps({"source": "path:x", key: value}), Model))


@pytest.mark.parametrize("name", ["texts", "exports", "../x", "a b", "", "-rf", "a/b"])
def test_a_model_has_a_name_that_can_be_a_folder(name):
    with pytest.raises(InputError, match="a model's name is a folder's"):
        read_entry(name, '{"source": "path:x"}', Model)


def test_two_processes_at_once_download_once(server, tmp_path):
    url = server.add("/m.tar.gz", DATA, ["trickle"])
    words = [sys.executable, "-m", "kgtextvec", "download-model", "m"]
    words += ["--entry", json.dumps({"source": url}), "--lock", str(tmp_path / "lock.yaml")]
    words += ["--downloads", str(tmp_path / "d")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "KGTEXTVEC_PATIENCE": "stall=1"}
    jobs = [
        subprocess.Popen(
            [*words, "--out", str(tmp_path / f"{i}.json")], env=environment, stderr=subprocess.PIPE
        )
        for i in range(3)
    ]
    told = [job.communicate(timeout=60)[1].decode() for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], told
    assert server.sent["/m.tar.gz"] <= len(DATA) + 2000, "the trickle's bytes, then the rest"
    assert sum("another process holds the lock" in text for text in told) == 2
    assert len({(tmp_path / f"{i}.json").read_text() for i in range(3)}) == 1


def test_models_locked_at_once_are_all_in_the_file(server, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    jobs = []
    for i in range(6):
        url = server.add(f"/m{i}.tar.gz", DATA[i:])
        words = [sys.executable, "-m", "kgtextvec", "download-model", f"m{i}"]
        words += ["--entry", json.dumps({"source": url}), "--lock", str(tmp_path / "lock.yaml")]
        words += ["--downloads", str(tmp_path / "d"), "--out", str(tmp_path / f"{i}.json")]
        jobs.append(subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL))
    assert [job.wait(60) for job in jobs] == [0] * 6
    known = yaml.safe_load((tmp_path / "lock.yaml").read_text())
    assert {f"m{i}": sha(DATA[i:]) for i in range(6)} == {
        model: files[f"{model}.tar.gz"]["sha256"] for model, files in known.items()
    }


def test_errors_on_the_command_line_are_one_line(tmp_path):
    words = [sys.executable, "-m", "kgtextvec", "download-model", "m", "--entry", "{}"]
    words += ["--lock", "l", "--downloads", "d", "--out", str(tmp_path / "o.json")]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "LC_ALL": "C"}
    run = subprocess.run(words, env=environment, capture_output=True, cwd=tmp_path)
    assert run.returncode == 2
    assert run.stderr.startswith(b"ERROR: catalogue, m.source: missing")
    assert run.stderr.count(b"\n") == 1
