"""The vector store in a bucket against a folder: writing all parts, then finding every vector.

`.venv/storage/bin/python -m benchmarks.bench_bucket --rows 200000 --dims 1024 FOLDER` (make storage
installs it) writes the same parts to FOLDER and to a bucket of moto's server on loopback, reads
them back by `find` in a shuffled order of keys, compares every vector, and prints seconds and MB/s.
moto is a test server in Python: the figures of the bucket say what our side costs at most, not what
a cloud gives. With `--url s3://bucket/prefix` another server is measured (AWS_ENDPOINT_URL).
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np

from kgtextvec.embed.store import Part, Store, open_store

ABOUT = {"kind": "transformer", "weights_sha256": "0" * 64, "pooling": "mean"}
PART_BYTES = 32_000_000  # as embed-shard writes them
SERVER_STARTS = 60


@contextmanager
def served() -> Iterator[str]:
    """Start moto's server with a bucket; yield a URL in it. The environment names the server."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(SERVER_STARTS * 10):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        import boto3

        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="bench")
        yield "s3://bench/store"
    finally:
        running.kill()
        running.wait()


def parts_of(rows: int, dims: int) -> Iterator[Part]:
    """Yield parts of random vectors, each of at most PART_BYTES."""
    random = np.random.default_rng(0)
    size = max(1, PART_BYTES // (4 * dims))
    for start in range(0, rows, size):
        n = min(size, rows - start)
        keys = b"".join(sha256(str(start + row).encode()).digest() for row in range(n))
        yield Part(
            keys=np.frombuffer(keys, np.uint8).reshape(n, 32),
            vectors=random.standard_normal((n, dims), np.float32),
            n_tokens=np.full(n, 8, np.int32),
            truncated=np.zeros(n, np.bool_),
            n_unknown=np.zeros(n, np.int32),
        )


def measured(store: Store, parts: list[Part]) -> dict[str, float]:
    """Write all parts and find every vector; return the seconds, wall and our own CPU's."""
    found = {}
    start, cpu = time.perf_counter(), time.process_time()
    for part in parts:
        store.write(part)
    found["write_s"] = time.perf_counter() - start
    found["write_cpu_s"] = time.process_time() - cpu
    keys = np.concatenate([part.keys for part in parts])
    vectors = np.concatenate([part.vectors for part in parts])
    order = np.argsort(keys.view("S32").reshape(-1), kind="stable")
    start, cpu = time.perf_counter(), time.process_time()
    n_equal = sum(
        int((held.vectors == vectors[order[rows]]).all(axis=1).sum())
        for rows, held in store.find(keys[order])
    )
    found["find_s"] = time.perf_counter() - start
    found["find_cpu_s"] = time.process_time() - cpu
    assert n_equal == len(keys), f"{n_equal} of {len(keys)} vectors came back"
    return found


def main() -> None:
    """Print a table, and the sizes as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dims", type=int, default=1024)
    parser.add_argument("--url", help="a bucket of yours, in place of moto's server")
    given = parser.parse_args()
    parts = list(parts_of(given.rows, given.dims))
    megabytes = given.rows * given.dims * 4 / 1e6
    rows = {"folder": measured(Store(given.folder, ABOUT), parts)}
    if given.url:
        rows["bucket"] = measured(open_store(given.url, ABOUT), parts)
    else:
        with served() as url:
            rows["bucket"] = measured(open_store(url, ABOUT), parts)
    print("| store | write s (CPU) | MB/s | find s (CPU) | MB/s |\n|---|---|---|---|---|")
    for name, row in rows.items():
        cells = (
            f"{row[f'{what}_s']:.2f} ({row[f'{what}_cpu_s']:.2f}) |"
            f" {megabytes / row[f'{what}_s']:.0f}"
            for what in ("write", "find")
        )
        print(f"| {name} | {' | '.join(cells)} |")
    print(json.dumps({"rows": given.rows, "dims": given.dims, "parts": len(parts)}))


if __name__ == "__main__":
    main()
