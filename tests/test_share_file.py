"""share_file: users' files for jobs that can't read them where they are."""

import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kgtextvec.errors import InputError
from kgtextvec.models.share import share_file


@pytest.fixture
def web(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_path_is_copied_and_a_url_fetched(web, tmp_path):
    folder, address = web
    (folder / "a b.tsv").write_bytes(b"id\tname\n" * 1000)
    share_file(str(folder / "a b.tsv"), out=tmp_path / "one/copy.tsv")
    share_file(f"{address}/a%20b.tsv", out=tmp_path / "two/copy.tsv")
    for name in ("one", "two"):
        assert (tmp_path / name / "copy.tsv").read_bytes() == (folder / "a b.tsv").read_bytes()
        assert [path.name for path in (tmp_path / name).iterdir()] == ["copy.tsv"]


def test_what_is_not_there_is_said_in_one_line(web, tmp_path):
    with pytest.raises(Exception, match=r"nothing\.tsv") as caught:
        share_file(f"{web[1]}/nothing.tsv", out=tmp_path / "copy.tsv")
    assert "404" in str(caught.value)
    with pytest.raises(InputError, match=r"nothing\.tsv: No such file"):
        share_file(str(tmp_path / "nothing.tsv"), out=tmp_path / "copy.tsv")
    assert not (tmp_path / "copy.tsv").exists()
