"""download-model: sources in order, the lock file, the cache, files placed by hand."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from fault_server import PAGE, FaultServer

from kgtextvec.errors import InputError
from kgtextvec.models import download_model
from kgtextvec.models.sources import read_entry

ROOT = Path(__file__).resolve().parents[1]
DATA = np.random.default_rng(2).bytes(200_000)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
IDENT = "1CHRd5YQrt3ys64WfJkJR1KX72"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_sha(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@pytest.fixture
def server(monkeypatch):
    for name in ("HF_HUB_OFFLINE", "KGTEXTVEC_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KGTEXTVEC_PATIENCE", "stall=2,first_wait=0.01,longest_wait=0.05,tries=3")
    with FaultServer() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.base)
        monkeypatch.setenv("KGTEXTVEC_GDRIVE", running.base)
        yield running


def run(folder: Path, source, model="m", offline=False, **entry) -> dict:
    out = folder / f"{model}.json"
    download_model(
        model=model,
        entry=json.dumps({"source": source, **entry}),
        lock=folder / "models.lock.yaml",
        downloads=folder / "downloads",
        out=out,
        offline=offline,
    )
    return json.loads(out.read_text())


def content(record: dict) -> dict[str, bytes]:
    found = {file["name"]: Path(file["path"]).read_bytes() for file in record["files"]}
    for file in record["files"]:
        assert (file["sha256"], file["bytes"]) == (
            sha(found[file["name"]]),
            len(found[file["name"]]),
        )
    return found


def locked(folder: Path) -> dict:
    return yaml.safe_load((folder / "models.lock.yaml").read_text())


def add_hub(server, files: dict[str, bytes], digests=True, commit=COMMIT, faults=()) -> str:
    siblings = []
    for name, data in files.items():
        about: dict = {"rfilename": name}
        if digests:
            about |= {"size": len(data), "blobId": git_sha(data)}
        if digests and name.endswith((".bin", ".safetensors")):
            about |= {"blobId": "0" * 40, "lfs": {"sha256": sha(data), "size": len(data)}}
        siblings.append(about)
        server.add(f"/some/model/resolve/{COMMIT}/{name}", data, faults)
    listing = json.dumps({"sha": commit, "siblings": siblings}).encode()
    server.add(f"/api/models/some/model/revision/{COMMIT}", listing)
    return f"hub:some/model@{COMMIT}"


HUB = {
    "config.json": b'{"model_type": "bert"}',
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "pytorch_model.bin": DATA,
    "README.md": b"hello",
    "onnx/model.onnx": b"x",
    "flax_model.msgpack": b"y",
}


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


@pytest.mark.parametrize("digests", [True, False], ids=["listing with digests", "names only"])
def test_a_hub_model_is_its_known_files_at_the_pinned_commit(server, tmp_path, digests):
    record = run(tmp_path, add_hub(server, HUB, digests, faults=["503=0"]))
    assert set(content(record)) == {"config.json", "vocab.txt", "pytorch_model.bin"}
    assert record["revision"] == COMMIT
    assert not server.asked("/some/model/resolve/" + COMMIT + "/README.md")


def test_safe_weights_are_preferred_to_pickled_ones(server, tmp_path):
    record = run(tmp_path, add_hub(server, {**HUB, "model.safetensors": DATA[:100]}))
    assert "model.safetensors" in content(record)
    assert "pytorch_model.bin" not in content(record)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "vocab.txt"])
def test_a_hub_file_of_the_right_size_and_wrong_bytes_is_refused(server, tmp_path, name):
    source = add_hub(server, HUB)
    server.entries[f"/some/model/resolve/{COMMIT}/{name}"].always = "flip"
    with pytest.raises(InputError, match="checksum mismatch"):
        run(tmp_path, source)
    assert not (tmp_path / "m.json").exists()
    assert not (tmp_path / "models.lock.yaml").exists()


def test_a_hub_that_answers_for_another_commit_is_refused(server, tmp_path):
    with pytest.raises(InputError, match="answers for commit ffff"):
        run(tmp_path, add_hub(server, HUB, commit="f" * 40))


def test_a_token_goes_to_the_hub_and_nowhere_else(server, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    source = add_hub(server, HUB)
    with FaultServer() as other:
        place = other.add("/blob", DATA).replace("127.0.0.1", "localhost")
        server.entries[
            f"/some/model/resolve/{COMMIT}/pytorch_model.bin"
        ].always = f"redirect={place}"
        run(tmp_path, source)
        assert "Authorization" not in other.requests[0].headers
    assert all(asked.headers["Authorization"] == "Bearer hf_secret" for asked in server.requests)


@pytest.mark.parametrize("revision", ["", "@main", "@0123abc", "@" + "g" * 40, "@" + COMMIT + "0"])
def test_a_hub_source_needs_a_full_commit(tmp_path, revision):
    with pytest.raises(InputError, match=r"hub:some/model.*40 hex"):
        run(tmp_path, f"hub:some/model{revision}")


def test_drive_files_come_under_their_names(server, tmp_path):
    for ident, data in ((IDENT, DATA), (IDENT + "x", b"{}")):
        server.add(f"/download?id={ident}&export=download&confirm=t", data, ["500", "cut"])
    source = {"weights.hdf5": f"gdrive:{IDENT}", "options.json": f"gdrive:{IDENT}x"}
    record = run(tmp_path, [source], kind="elmo")
    assert content(record) == {"weights.hdf5": DATA, "options.json": b"{}"}


def page(body: str, title: str = "Google Drive - Virus scan warning") -> bytes:
    return PAGE.format(title=title, body=body).encode()


CONFIRM = (
    '<p>Too large to scan.</p><form id="download-form" action="/real" method="get">'
    '<input type="submit" value="Download anyway"/><input type="hidden" name="id" value="a b"/>\n'
    '<input type="hidden" name="uuid" value="u-1"/></form>'
)


def test_the_confirm_page_of_drive_leads_to_the_file(server, tmp_path):
    server.add("/download", page(CONFIRM))
    server.add("/real", DATA, ["cut"])
    record = run(tmp_path, {"weights.hdf5": f"gdrive:{IDENT}"}, kind="elmo")
    assert content(record) == {"weights.hdf5": DATA}
    assert server.asked("/real")[0].query == "id=a+b&uuid=u-1"
    assert server.sent["/real"] == len(DATA), "the second try resumes behind the page"


def test_an_older_page_of_drive_is_understood(server, tmp_path):
    server.add("/real", DATA)
    address = f"{server.base}/real?x\\u003d1"
    server.add("/download", page(f'<script>{{"downloadUrl":"{address}"}}</script>'))
    run(tmp_path, {"weights.hdf5": f"gdrive:{IDENT}"}, kind="elmo")
    assert server.asked("/real")[0].query == "x=1"


DRIVE_PAGES = {
    "quota": (
        page("Too many users have viewed", "Google Drive - Quota exceeded"),
        "Quota exceeded",
    ),
    "sign in": (page("", "Sign in - Google Accounts"), "needs a sign-in"),
    "leads away": (
        page(CONFIRM.replace("/real", "http://127.0.0.2/evil")),
        "leads to 127.0.0.2, which is not Drive",
    ),
    "unknown": (page("Something new", "Google Drive"), "web page .*titled 'Google Drive'"),
    "confirm for ever": (page(CONFIRM.replace("/real", "/download")), "one web page leads"),
}


@pytest.mark.parametrize(("body", "message"), DRIVE_PAGES.values(), ids=list(DRIVE_PAGES))
def test_other_pages_of_drive_are_told(server, tmp_path, body, message):
    server.add("/download", body)
    with pytest.raises(InputError, match=message) as caught:
        run(tmp_path, {"weights.hdf5": f"gdrive:{IDENT}"}, kind="elmo")
    assert "put weights.hdf5 into" in str(caught.value)


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


def test_offline_after_download_works_and_before_it_says_so(server, tmp_path, monkeypatch):
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


BAD_SOURCES = {
    "missing": (None, "source: missing"),
    "unknown scheme": ("ftp://x/y.tar.gz", "is not one of: hub:"),
    "no scheme": ("dmis-lab/biobert", "is not one of: hub:"),
    "drive link": ("gdrive:https://drive.google.com/file/d/x/view", "the id alone"),
    "bad member": ({"../x": f"gdrive:{IDENT}"}, "not a plain file name"),
    "bad address": ({"x": "path:/x"}, "not https, gdrive or file"),
    "no name": ("https://host/", "does not end in a plain file name"),
    "number": (3, "is not one of: hub:"),
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
        read_entry("m", json.dumps({"source": "path:x", key: value}))


@pytest.mark.parametrize("name", ["texts", "exports", "../x", "a b", "", "-rf", "a/b"])
def test_a_model_has_a_name_that_can_be_a_folder(name):
    with pytest.raises(InputError, match="a model's name is a folder's"):
        read_entry(name, '{"source": "path:x"}')


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
    assert sum("another process is at it" in text for text in told) == 2
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
