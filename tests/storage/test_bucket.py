"""The vector store in a bucket: the same parts, and one line for whatever a bucket does."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from hashlib import sha256

import numpy as np
import pytest
from conftest import SECRET, SLOW_DOWN, FaultyProxy, free_port
from safetensors.numpy import load

from kgtextvec.embed.bucket import BucketStore
from kgtextvec.embed.store import Part, Store, open_store
from kgtextvec.embed.store_admin import store as store_verb
from kgtextvec.errors import InputError

boto3 = pytest.importorskip("boto3", reason="make storage")
pytestmark = pytest.mark.storage
ABOUT = {"kind": "transformer", "weights_sha256": "0" * 64, "pooling": "mean"}


def part_of(texts: list[str], dims: int = 8) -> Part:
    keys = np.array([list(sha256(text.encode()).digest()) for text in texts], np.uint8)
    n = len(texts)
    rng = np.random.default_rng(len(texts))
    return Part(
        keys=keys.reshape(-1, 32),
        vectors=rng.normal(size=(n, dims)).astype(np.float32),
        n_tokens=np.arange(n, dtype=np.int32),
        truncated=np.zeros(n, np.bool_),
        n_unknown=np.zeros(n, np.int32),
    )


def found_in(store: Store, part: Part) -> np.ndarray:
    """The stored vectors of a part's texts, in the part's order; NaN where there is none."""
    order = np.argsort(part.keys.view("S32").reshape(-1), kind="stable")
    found = np.full_like(part.vectors, np.nan)
    for rows, held in store.find(part.keys[order]):
        found[order[rows]] = held.vectors
    return found


def objects(bucket: str) -> dict[str, bytes]:
    client = boto3.client("s3", region_name="us-east-1")
    listed = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {
        one["Key"]: client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        for one in listed
    }


def test_a_bucket_holds_the_parts_of_a_folder_byte_for_byte(bucket, tmp_path):
    part = part_of([f"text {i}" for i in range(50)])
    folder, there = Store(tmp_path, ABOUT), open_store(f"s3://{bucket}/vectors/", ABOUT)
    path, name = folder.write(part), there.write(part)
    assert isinstance(there, BucketStore)
    assert objects(bucket) == {
        f"vectors/{there.name}/about.json": (folder.folder / "about.json").read_bytes(),
        f"vectors/{there.name}/{name}": path.read_bytes(),
    }
    assert np.array_equal(found_in(there, part), part.vectors)


def test_what_is_missing_is_missing_and_the_rest_comes_once(bucket):
    store = open_store(f"s3://{bucket}/v", ABOUT)
    for start in range(0, 60, 3):
        store.write(part_of([f"text {i}" for i in range(start, start + 4)]))
    asked = part_of([f"text {i}" for i in range(70)])
    order = np.argsort(asked.keys.view("S32").reshape(-1))
    rows = np.concatenate([rows for rows, _ in store.find(asked.keys[order])])
    assert sorted(order[rows].tolist()) == list(range(61))


def test_two_writers_of_one_part_agree(bucket):
    part = part_of(["a", "b"])
    one, two = (open_store(f"s3://{bucket}/v", ABOUT) for _ in range(2))
    assert one.write(part) == two.write(part)
    assert len(objects(bucket)) == 2


def test_a_damaged_part_is_set_aside(bucket, capsys):
    store = open_store(f"s3://{bucket}/v", ABOUT)
    part = part_of(["a", "b", "c"])
    key = f"v/{store.name}/{store.write(part)}"
    data = bytearray(objects(bucket)[key])
    data[200] ^= 1
    boto3.client("s3", region_name="us-east-1").put_object(Bucket=bucket, Key=key, Body=bytes(data))
    assert np.isnan(found_in(store, part)).all()
    assert f"set aside to s3://{bucket}/v/{store.name}/damaged/" in capsys.readouterr().err
    store.write(part)
    assert np.array_equal(found_in(store, part), part.vectors)


def test_stats_and_verify_work_on_a_bucket(bucket, capsys):
    store = open_store(f"s3://{bucket}/v", ABOUT)
    store.write(part_of(["a", "b", "c"]))
    store_verb("stats", f"s3://{bucket}/v")
    assert "3 texts in 1 part," in capsys.readouterr().err
    store_verb("verify", f"s3://{bucket}/v")
    assert "1 part, all intact" in capsys.readouterr().err
    with pytest.raises(InputError, match="prune works on folders alone"):
        store_verb("prune", f"s3://{bucket}/v")


def refused(url: str) -> str:
    with pytest.raises(InputError) as caught:
        open_store(url, ABOUT)
    message = str(caught.value)
    assert message.startswith(url) and "\n" not in message and SECRET not in message
    return message


def test_a_bucket_that_is_not_there_is_named(bucket):
    assert "there is no such bucket" in refused(f"s3://{bucket}x/v")


def test_without_credentials_nothing_is_tried(bucket, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "no credentials for S3. Set AWS_ACCESS_KEY_ID" in refused(f"s3://{bucket}/v")


def test_a_wrong_address_is_found_in_seconds(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert "the server cannot be reached; check AWS_ENDPOINT_URL" in refused(f"s3://{bucket}/v")


def test_another_scheme_is_refused():
    with pytest.raises(InputError, match=r"ftp://x/y/.*: a store is a folder, or a bucket"):
        open_store("ftp://x/y", ABOUT)


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("AccessDenied", 403, "access is denied; these credentials must be allowed to list"),
        ("SignatureDoesNotMatch", 403, "the credentials are not valid there"),
        ("ExpiredToken", 400, "the credentials are not valid there"),
        ("RequestTimeTooSkewed", 403, "this machine's clock is wrong"),
    ],
)
def test_what_the_server_refuses_is_said_in_one_line(proxy, bucket, code, status, message):
    body = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()
    proxy.fault = lambda method, path, n: (status, body)
    assert message in refused(f"s3://{bucket}/v")


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "NoSuchBucket", "there is no such bucket"),
        (500, "InternalError", "the server is overloaded or failing"),
    ],
)
def test_numbers_in_an_answer_are_not_taken_for_its_status(proxy, bucket, status, code, message):
    """As ports, request ids and milliseconds may hold them; the second is not a refusal."""
    body = f"<Error><Code>{code}</Code><RequestId>503 401 403.5ms</RequestId></Error>".encode()
    proxy.fault = lambda method, path, n: (status, body)
    assert message in refused(f"s3://{bucket}/v")


def test_a_server_that_asks_for_patience_gets_it(proxy: FaultyProxy, bucket):
    store = open_store(f"s3://{bucket}/v", ABOUT)
    part, until = part_of(["a", "b"]), time.monotonic() + 5
    proxy.fault = lambda method, path, n: SLOW_DOWN if time.monotonic() < until else None
    store.write(part)
    assert np.array_equal(found_in(store, part), part.vectors)


def test_a_put_that_is_cut_in_the_middle_is_sent_again(proxy: FaultyProxy, bucket):
    store = open_store(f"s3://{bucket}/v", ABOUT)
    part, cuts = part_of([f"text {i}" for i in range(2000)]), []

    def cut_first(method: str, path: str, n: int) -> str | None:
        if method == "PUT" and path.endswith(".safetensors") and not cuts:
            cuts.append(path)
            return "cut"
        return None

    proxy.fault = cut_first
    name = store.write(part)
    assert len(cuts) == 1
    data = objects(bucket)[f"v/{store.name}/{name}"]
    assert sha256(data).hexdigest() == name.stem
    assert len(load(data)["keys"]) == 2000


def test_an_object_that_goes_between_list_and_get_is_missing(proxy: FaultyProxy, bucket):
    store = open_store(f"s3://{bucket}/v", ABOUT)
    part = part_of(["a", "b"])
    store.write(part)
    gone = b"<Error><Code>NoSuchKey</Code></Error>"
    proxy.fault = lambda method, path, n: (404, gone) if path.endswith(".safetensors") else None
    assert np.isnan(found_in(store, part)).all()


def test_an_object_that_changes_between_list_and_get_is_set_aside(
    proxy: FaultyProxy, bucket, capsys
):
    """Other vectors under the name of a part whose keys have been read."""
    store = open_store(f"s3://{bucket}/v", ABOUT)
    part, other = part_of(["a", "b"]), part_of(["a", "b", "c"])
    key, theirs = (f"v/{store.name}/{store.write(one)}" for one in (part, other))
    data = objects(bucket)[theirs]
    client = boto3.client("s3", region_name="us-east-1")
    client.delete_object(Bucket=bucket, Key=theirs)
    gets: list[str] = []

    def change_it(method: str, path: str, n: int) -> None:
        if method == "GET" and path.endswith(".safetensors"):
            gets.append(path)
            if len(gets) == 4:  # size of the header, header, keys, and now all of it
                client.put_object(Bucket=bucket, Key=key, Body=data)

    proxy.fault = change_it
    assert np.isnan(found_in(store, part)).all()
    assert len(gets) == 4
    assert "set aside to s3://" in capsys.readouterr().err


def test_a_writer_killed_at_any_moment_leaves_whole_parts(bucket, tmp_path):
    code = textwrap.dedent(f"""
        from test_bucket import ABOUT, open_store, part_of
        store = open_store("s3://{bucket}/v", ABOUT)
        print("ready", flush=True)
        for n in range(1000):
            store.write(part_of([f"text {{n}} {{i}}" for i in range(200)], 64))
    """)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
    ) as running:
        assert running.stdout.readline() == b"ready\n"
        time.sleep(1.5)
        running.send_signal(signal.SIGKILL)
    parts = {key: data for key, data in objects(bucket).items() if "safetensors" in key}
    assert parts
    assert all(sha256(data).hexdigest() in key for key, data in parts.items())
