"""download-model from a model hub and from Google Drive, both imitated on loopback."""

import hashlib
import json
import shutil

import pytest
from downloads import DATA, HUB, IDENT, content, locked, run, server, sha
from fault_server import PAGE, FaultServer

from kgtextvec.errors import InputError

__all__ = ["server"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_sha(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def add_hub(server, files: dict[str, bytes], digests=True, commit=COMMIT, faults=()) -> str:
    siblings = []
    for name, data in files.items():
        about: dict = {"rfilename": name}
        if digests:
            about |= {"size": len(data), "blobId": git_sha(data)}
        if digests and name.endswith((".bin", ".safetensors")):
            about |= {"blobId": "0" * 40, "lfs": {"sha256": sha(data), "size": len(data)}}
        siblings.append(about)
        server.add(f"/some/model/resolve/{commit}/{name}", data, faults)
    listing = json.dumps({"sha": commit, "siblings": siblings}).encode()
    server.add(f"/api/models/some/model/revision/{commit}", listing)
    return f"hub:some/model@{commit}"


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
    add_hub(server, HUB, commit="f" * 40)
    listing = server.entries[f"/api/models/some/model/revision/{'f' * 40}"].data
    server.add(f"/api/models/some/model/revision/{COMMIT}", listing)
    with pytest.raises(InputError, match="answers for commit ffff"):
        run(tmp_path, f"hub:some/model@{COMMIT}")


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


@pytest.mark.parametrize(
    ("revision", "asked"),
    [("", ""), ("@main", "/revision/main"), ("@refs/pr/1", "/revision/refs%2Fpr%2F1")],
)
def test_a_branch_is_resolved_once_and_the_lock_file_keeps_its_commit(
    server, tmp_path, revision, asked
):
    add_hub(server, HUB)
    at = f"/api/models/some/model{asked}"
    server.add(at, json.dumps({"sha": COMMIT}).encode(), ["503=0"])
    source = f"hub:some/model{revision}"
    record = run(tmp_path, source)
    assert (record["source"], record["revision"]) == (source, COMMIT)
    assert locked(tmp_path)["m"]["config.json"] == {
        "sha256": sha(HUB["config.json"]),
        "source": source,
        "revision": COMMIT,
    }
    server.add(at, json.dumps({"sha": "f" * 40}).encode())  # the branch has moved on
    server.requests.clear()
    assert run(tmp_path, source, offline=True) == record
    assert not server.requests, "what is here is not asked for again"
    (other := tmp_path / "other").mkdir()
    shutil.copyfile(tmp_path / "models.lock.yaml", other / "models.lock.yaml")
    assert content(run(other, source)) == content(record), "a colleague gets the same commit"
    assert not server.asked(at)


def test_a_branch_that_moved_is_followed_once_its_entry_is_deleted(server, tmp_path):
    add_hub(server, HUB)
    server.add("/api/models/some/model", json.dumps({"sha": COMMIT}).encode())
    run(tmp_path, "hub:some/model")
    (tmp_path / "models.lock.yaml").unlink()
    other = "f" * 40
    add_hub(server, {**HUB, "vocab.txt": b"another"}, commit=other)
    server.add("/api/models/some/model", json.dumps({"sha": other}).encode())
    record = run(tmp_path, "hub:some/model")
    assert (record["revision"], content(record)["vocab.txt"]) == (other, b"another")


def test_a_name_alone_keeps_the_commit_of_the_branch_before(server, tmp_path):
    record = run(tmp_path, add_hub(server, HUB))
    server.requests.clear()
    again = run(tmp_path, "hub:some/model", offline=True)
    assert (again["files"], again["revision"]) == (record["files"], COMMIT)
    assert not server.requests


def test_offline_without_a_lock_nothing_is_asked(server, tmp_path):
    with pytest.raises(InputError, match="hub:some/model@main: not downloaded yet, and the run is"):
        run(tmp_path, "hub:some/model@main", offline=True)
    assert not server.requests


def test_a_repository_that_is_not_there_is_named(server, tmp_path):
    with pytest.raises(InputError, match=r"/api/models/some/modle: .*404"):
        run(tmp_path, "hub:some/modle")
    assert not (tmp_path / "models.lock.yaml").exists()


@pytest.mark.parametrize(
    "address", ["hub:", "hub:a/b@", "hub:a/b/c", "hub:a/b@../x", "hub:a/b@x y"]
)
def test_an_address_that_names_no_repository_is_refused(tmp_path, address):
    with pytest.raises(InputError, match="must be hub:owner/name"):
        run(tmp_path, address)


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
