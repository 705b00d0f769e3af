"""The engine's share of the best matrix product that oneDNN, MKL or OpenBLAS reaches on a machine.

    python -m benchmarks products --full [--avx2]

The shapes are all-MiniLM-L6-v2, with its weights, and bert-base, which BioBERT has, with random
weights and a quarter of the texts. float32, one thread, CPU seconds. The products are those of the
model's linear layers, with 1,024 rows; of the three libraries, each layer takes the fastest on this
machine. They are timed before and after every run of the engine. The engine's work are its products
and its attention, nothing padded; all that it does besides, tokenization included, is time without
work.
"""

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.bench_embed import Ours, model_folder, some_texts, timed
from benchmarks.bench_lengths import sample_column
from benchmarks.instructions import processor
from kgtextvec.encoders.onednn import PackedLinear

TARGETS = {"names": 0.92, "descriptions": 0.88}
SHAPES = ("all-MiniLM-L6-v2", "bert-base")
FEWER = {"bert-base": 4}  # whose texts take eight times as long
ROWS = 1024
TIMES = 15


def bench(
    n_texts: int = 2_000,
    repeats: int = 3,
    shapes: Sequence[str] = SHAPES,
    table: Path | None = None,
) -> Iterator[dict[str, Any]]:
    """Measure names and descriptions with each shape; yield the rows."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch, threadpool_limits(1):
        for shape in shapes:
            own = max(n_texts // FEWER.get(shape, 1), 1)
            engine = Ours(model_folder(shape, Path(scratch)), "float32")
            yield measure(engine, shape, "names", (sample_column("name") * own)[:own], repeats)
            yield measure(engine, shape, "descriptions", some_texts(own, table), repeats)


def measure(engine: Ours, shape: str, kind: str, texts: list[str], repeats: int) -> dict[str, Any]:
    """Return the row of one shape and kind of texts."""
    engine(texts[:64])
    shares, rates = [], []
    for _ in range(repeats):
        before, _ = best_product(engine.shape)
        _, taken = timed(engine, texts)
        after, fastest = best_product(engine.shape)
        rates.append(engine.work(texts) / taken)
        shares.append(rates[-1] * 2 / (before + after))
    rate, share = float(np.median(rates)), float(np.median(shares))
    return {
        "name": f"products {shape} float32, {len(texts)} {kind}: share of the best product"
        " of oneDNN, MKL and OpenBLAS (GFLOP/s)",
        "ours": round(rate / 1e9, 1),
        "theirs": round(rate / share / 1e9, 1),
        "ratio": round(share, 3),
        "target": TARGETS[kind],
        "processor": processor(),
        "rounds": repeats,
        "fastest": fastest,
    }


def best_product(shape: tuple[int, int]) -> tuple[float, dict[str, str]]:
    """Return FLOP/s of a model's linear layers by the best library for each, and which that is."""
    size, inner = shape
    work, taken, fastest = 0.0, 0.0, {}
    # Of a layer: queries, keys, values and the output; then the feed-forward network.
    for number, (n_in, n_out) in ((4, (size, size)), (1, (size, inner)), (1, (inner, size))):
        seconds = seconds_of_products(n_in, n_out)
        name = min(seconds, key=lambda library: seconds[library])
        fastest[f"{n_in} x {n_out}"] = name
        taken += number * seconds[name]
        work += number * 2 * ROWS * n_in * n_out
    return work / taken, fastest


def without_onednn() -> AbstractContextManager[Any]:
    """Return a block in which torch's own linear layers take MKL."""
    # Here torch speaks of Intel's GPUs, whatever is asked for.
    warnings.filterwarnings("ignore", "TF32 acceleration on top of oneDNN")
    flags: AbstractContextManager[Any] = torch.backends.mkldnn.flags(enabled=False)
    return flags


def seconds_of_products(n_in: int, n_out: int) -> dict[str, float]:
    """Return the CPU seconds of x @ weight + bias for each library; all are timed in turn."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, n_in, generator=generator)
    plain = torch.nn.Linear(n_in, n_out)
    packed = PackedLinear(plain.weight, plain.bias)
    weight, bias = plain.weight.detach().numpy().T, plain.bias.detach().numpy()
    numbers, result = x.numpy(), np.empty((ROWS, n_out), np.float32)

    def by_numpy() -> torch.Tensor:
        np.matmul(numbers, weight, out=result)
        np.add(result, bias, out=result)
        return torch.from_numpy(result)

    libraries: dict[str, Callable[[], torch.Tensor]] = {
        "oneDNN": lambda: packed(x),
        "OpenBLAS": by_numpy,
    }
    if torch.backends.mkl.is_available():
        libraries["MKL"] = lambda: plain(x)
    found: dict[str, list[float]] = {name: [] for name in libraries}
    with torch.inference_mode(), warnings.catch_warnings(), without_onednn():
        exact = x.double() @ plain.weight.double().T + plain.bias.double()
        for name, product in libraries.items():
            assert torch.allclose(product().double(), exact, rtol=1e-4, atol=1e-4), name
        for _ in range(TIMES):
            for name, product in libraries.items():
                began = time.process_time()
                product()
                found[name].append(time.process_time() - began)
    return {name: float(np.median(every)) for name, every in found.items()}
