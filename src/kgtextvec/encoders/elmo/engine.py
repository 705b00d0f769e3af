"""ELMo over a list of texts: words once, shared beginnings and endings once.

Texts are sorted and cut into blocks that fit in memory. In a block the character CNN runs once
per distinct word, the forward LSTMs once per distinct beginning, the backward LSTMs once per
distinct ending (`elmo.trie`). Every node keeps the running sum of its words' vectors, so that a
text's mean is known when its last node is done. The vectors are those of each text alone.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.encoders import (
    DEFAULT_SETTINGS,
    Encoded,
    EncoderSettings,
    Lease,
    ResumeContext,
    keep_device,
)
from kgtextvec.encoders.elmo import cell, fused_cell
from kgtextvec.encoders.elmo.cell import FastAffine, FastCell, Step
from kgtextvec.encoders.elmo.known_words import BYTES_OF_FLOAT, KnownWords
from kgtextvec.encoders.elmo.model import ElmoModel, State
from kgtextvec.encoders.elmo.preparation import Block, Preparation
from kgtextvec.encoders.elmo.splitting import SplitTexts
from kgtextvec.encoders.elmo.trie import StepPlan
from kgtextvec.encoders.elmo.words import audit_vocabulary, check_tokens, read_word_list
from kgtextvec.encoders.memory import (
    BatchRows,
    HalvingRunner,
    OnItsWay,
    model_fits,
    moved,
)
from kgtextvec.encoders.pretrained import load_with_report
from kgtextvec.encoders.transformer.loading import TORCH_DTYPES
from kgtextvec.errors import InputError
from kgtextvec.progress import say

ELMO_RECIPE = 1
ELMO_PRECISIONS = ("float32", "bfloat16")
# A CPU's matrix product is at its peak from some 64 rows on, a GPU's from some thousands.
WIDTHS = {"cpu": (32, 256), "cuda": (1024, 4096)}
BLOCK_WORDS = {"cpu": 250_000, "cuda": 1_000_000}
WINDOWS = {"cpu": 256, "cuda": 4096}
# Together with the states these stay below 1.5 GB for a model of BioELMo's size.
RESULT_BYTES = 1 << 28  # vectors of the texts of a block
TABLE_BYTES = 1 << 29  # of what words give the first layer; a GPU multiplies again as fast
# Blocks under way while the next one is prepared. A CPU's is ready at once, and stored at once.
BLOCKS_AHEAD = {"cpu": 0, "cuda": 1}
# Blocks that threads prepare meanwhile. A CPU's threads have the products to compute.
PREPARED_AHEAD = {"cpu": 0, "cuda": 3}
# Characters; longer texts share blocks, to run side by side. A GPU waits for each step's launch.
LONG_TEXT = {"cpu": 4096, "cuda": 512}


@dataclass
class Started:
    """A block whose vectors are on their way to the host."""

    rows: BatchRows
    vectors: OnItsWay
    n_words: NDArray[np.int32]
    n_unknown: NDArray[np.int32]

    def wait(self) -> Encoded:
        """Return the block once its vectors are there."""
        return Encoded(
            rows=self.rows,
            vectors=self.vectors.wait(),
            n_tokens=self.n_words,
            truncated=np.zeros(len(self.rows), dtype=np.bool_),
            n_unknown=self.n_unknown,
        )


class ElmoEncoder:
    """A converted ELMo folder, ready to embed; see `docs/bioelmo.md` for what the choices mean.

    `precision` is float32 or bfloat16 (of the matrix products; states and sums stay float32 and
    float64). `layers` is average, top, token, concat or a number (0 is the word layer). Raises
    InputError when the folder is damaged or a setting does not suit an ELMo.
    """

    def __init__(
        self,
        folder: Path,
        settings: EncoderSettings = DEFAULT_SETTINGS,
        block_words: int | None = None,
        lease: Lease = keep_device,
    ) -> None:
        check_settings(settings)
        self.folder = folder
        self.dtype = TORCH_DTYPES[settings.precision]
        check_tokens(settings.tokens)
        self.tokens = settings.tokens
        model = load_elmo(folder)
        self.device = torch.device(lease(settings.device))
        with model_fits(folder.name):
            model = model.to(self.device)
        config = model.config
        self.skips = config.skip_connections
        self.picks = picked_layers(settings.layers, config.num_hidden_layers)
        self.n_layers = int(self.picks.nonzero()[:, 1].max())
        self.dims = 2 * config.projection_size * len(self.picks)
        vocabulary = folder / "vocabulary.txt"
        self.vocabulary = read_word_list(vocabulary) if vocabulary.is_file() else None
        kind = self.device.type if self.device.type in WIDTHS else "cuda"
        self.widths, self.window = WIDTHS[kind], WINDOWS[kind]
        self.block_words = block_words or BLOCK_WORDS[kind]
        self.long_text, self.ahead = LONG_TEXT[kind], BLOCKS_AHEAD[kind]
        self.prepared_ahead = PREPARED_AHEAD[kind]
        self.block_texts = max(RESULT_BYTES // (self.dims * BYTES_OF_FLOAT), 1)
        self.nodes = self.words = 0
        with torch.inference_mode():
            self.prepare(model, model.state_for(settings.initial_state, 1))
            self.table = KnownWords(model, self.device)

    def prepare(self, model: ElmoModel, state: State) -> None:
        """Lay the weights out for speed, and run the boundaries: they are the same for all."""
        boundaries = model.boundaries()
        self.cells = []
        self.roots: list[list[tuple[Tensor, Tensor]]] = []
        for direction in range(2):
            cells: Any = model.cells[direction]
            ours, x = [], boundaries[direction : direction + 1]
            roots = []
            for k in range(self.n_layers):
                ours.append(FastCell(cells[k], self.dtype))
                cells[k] = torch.nn.Identity()  # lets the plain weights go
                h, c = state[direction][k]
                h, c = ours[k](ours[k].inputs(x), h, c.clone())
                roots.append((h, c))
                x = h + x if k and self.skips else h
            self.cells.append(ours)
            self.roots.append(roots)
        fused = fused_cell.with_fused_steps(self.cells, self.device)
        self.add_sums = fused_cell.fused_sums if fused else cell.add_sums
        model.cells = torch.nn.ModuleList()
        highways: Any = model.highways
        for highway in highways:
            highway.carry = FastAffine(highway.carry, self.dtype)
            highway.transform = FastAffine(highway.transform, self.dtype)
        if model.projection is not None:
            words: Any = FastAffine(model.projection, self.dtype)
            model.projection = words

    @property
    def sharing(self) -> float:
        """Words per step that was run so far: 1 means that no two texts shared anything."""
        return 2 * self.words / max(self.nodes, 1)

    def encode(
        self, texts: Sequence[str], resume: ResumeContext | None = None
    ) -> Iterator[Encoded]:
        """Yield every text exactly once, a block at a time; a text without words is all zero."""
        counts: Counter[str] = Counter()
        sizes = np.array([text.count(" ") * 5 // 4 + 1 for text in texts], dtype=np.int64)
        stack = self.blocks(texts, sizes)[::-1]
        memory = HalvingRunner(max(self.block_words, int(sizes.max(initial=0))))

        def refuse(rows: BatchRows, words: int) -> InputError:
            return InputError(
                f"{self.folder.name}: one text of {words} words does not fit into memory"
                f" ({texts[rows[0]][:60]!r}…). Use a device with more memory."
            )

        under_way: deque[Started] = deque()
        with Preparation(
            texts, self.tokens, self.table, self.widths, self.prepared_ahead
        ) as coming:
            while stack:
                coming.expect(stack)
                started = memory.run_next(
                    stack,
                    cost=lambda rows: int(sizes[rows].sum()),
                    run=lambda rows: self.start_block(coming.take(rows), counts),
                    refuse=refuse,
                )
                if started is None:
                    coming.start_again()
                else:
                    under_way.append(started)
                while len(under_way) > self.ahead:
                    yield under_way.popleft().wait()
        while under_way:
            yield under_way.popleft().wait()
        if self.vocabulary is not None:
            say(f"{self.folder.name}: {audit_vocabulary(counts, self.vocabulary).summary_line()}")

    def start_block(self, block: Block, counts: Counter[str]) -> Started:
        """Embed a block of texts; `counts` takes its words where there is a vocabulary."""
        vectors = self.embed_block(block)
        split = block.split
        unknown = np.zeros(len(block.rows), dtype=np.int32)
        if self.vocabulary is not None:
            unknown[:] = count_unknown(split, self.vocabulary)
            times = np.bincount(split.numbers, minlength=len(split.distinct)).tolist()
            counts.update(dict(zip(split.distinct, times, strict=True)))
        return Started(block.rows, vectors, split.n_words.astype(np.int32), unknown)

    def blocks(self, texts: Sequence[str], sizes: NDArray[np.int64]) -> list[BatchRows]:
        """Cut the sorted texts into blocks of at most `block_words` words and `block_texts` texts.

        `sizes` (n_texts,): about how many words each text has.
        """
        order = np.array(sorted(range(len(texts)), key=texts.__getitem__), dtype=np.int64)
        is_long = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) > self.long_text
        order = np.concatenate([order[~is_long[order]], order[is_long[order]]])
        before = np.concatenate([[0], np.cumsum(sizes[order])])
        blocks, start = [], 0
        while start < len(order):
            full = np.searchsorted(before, before[start] + self.block_words, side="right") - 1
            end = max(min(int(full), start + self.block_texts), start + 1)
            blocks.append(order[start:end])
            start = end
        return blocks

    @torch.inference_mode()
    def embed_block(self, block: Block) -> OnItsWay:
        """Return the vectors (n_texts, dims) of a block's texts."""
        self.table.compute(block.new)
        n_words = block.split.n_words
        shape = (len(n_words), len(self.picks), 2, self.table.vectors.shape[1])
        result = torch.zeros(shape, device=self.device)
        divisors = torch.from_numpy(np.maximum(n_words, 1)).to(self.device)
        for direction, plan in enumerate(block.plans):
            self.run(plan, direction, divisors, result[:, :, direction])
        self.words += len(block.split.numbers)
        self.nodes += sum(len(plan.word) for plan in block.plans)
        return OnItsWay(result.view(len(n_words), -1))

    def run(self, plan: StepPlan, direction: int, divisors: Tensor, result: Tensor) -> None:
        """Run one direction's plan; put the means over words into `result` (n_texts, picks, P).

        `divisors` (n_texts,): words of each text. Sums are float64.
        Steps go through the layers in windows of about `window` nodes: what a layer needs of its
        input is computed for all of the window, then its steps follow one another.
        """
        picks, vectors = self.picks.to(self.device), self.table.vectors
        sums = picks.new_zeros(plan.slots, len(picks), vectors.shape[1])  # float64
        states = []
        for h, c in self.roots[direction]:
            hs = h.new_zeros(plan.slots, h.shape[1], dtype=self.dtype)
            cs = c.new_zeros(plan.slots, c.shape[1])
            hs[0], cs[0] = h[0], c[0]
            states.append((hs, cs))
        cells = self.cells[direction]
        table = None
        if cells and self.device.type == "cpu":
            table = InputTable(cells[0], vectors, plan.word, TABLE_BYTES)
        word, source, target, text, place = (
            moved(part, self.device)
            for part in (plan.word, plan.source, plan.target, plan.text, plan.place)
        )
        for first, last in plan.windows(self.window):
            begin, end = int(plan.starts[first]), int(plan.starts[last])
            origin, goal = source[begin:end], target[begin:end]
            starts = (plan.starts[first : last + 1] - begin).tolist()
            steps = [
                Step(start, stop, kept, origin, goal)
                for (start, stop), kept in zip(
                    pairwise(starts), plan.kept[first:last].tolist(), strict=True
                )
            ]
            x = vectors[word[begin:end]]  # (n, P)
            total = picks[:, 0, None] * x[:, None]  # (n, picks, P)
            for k, layer in enumerate(cells):
                if k == 0 and table is not None:
                    given = table.rows(begin, end, x)  # (n, 4H)
                else:
                    given = layer.inputs(x)
                y = torch.empty_like(x)
                for step in steps:
                    layer.advance(given, states[k], y, step)
                x = x + y if k and self.skips else y
                total += picks[:, k + 1, None] * x[:, None]
            for step in steps:
                self.add_sums(total, sums, step)
            done = slice(int(plan.ready[first]), int(plan.ready[last]))
            rows = text[done]
            result[rows] = (total[place[done] - begin] / divisors[rows, None, None]).float()


def count_unknown(split: SplitTexts, vocabulary: frozenset[str]) -> NDArray[np.int64]:
    """Return how many words of each text (n_texts,) a vocabulary does not hold."""
    known = np.fromiter(
        map(vocabulary.__contains__, split.distinct), dtype=np.bool_, count=len(split.distinct)
    )
    before = np.concatenate([[0], np.cumsum(~known[split.numbers])])
    ends = np.cumsum(split.n_words)
    unknown: NDArray[np.int64] = before[ends] - before[ends - split.n_words]
    return unknown


class InputTable:
    """What the first layer needs of a word, kept for the words that come more than once."""

    def __init__(self, cell: FastCell, vectors: Tensor, word: NDArray[np.int64], size: int) -> None:
        self.inputs = cell.inputs
        distinct, counts = np.unique(word, return_counts=True)
        common = distinct[np.argsort(-counts, kind="stable")][: int((counts > 1).sum())]
        one = self.inputs(vectors[:1])
        common = common[: size // (one.shape[1] * one.element_size())]
        number = np.full(len(vectors), -1, dtype=np.int64)
        number[common] = np.arange(len(common))
        self.number = number[word]  # of each node's word in the table, or -1
        self.table = one.new_empty(len(common), one.shape[1])
        chosen = torch.from_numpy(common).to(vectors.device)
        for start in range(0, len(common), 256):
            part = chosen[start : start + 256]
            self.table[start : start + 256] = self.inputs(vectors[part])

    def rows(self, begin: int, end: int, x: Tensor) -> Tensor:
        """Return the first layer's inputs (n, 4H) for the nodes from begin to end, of input x."""
        number = self.number[begin:end]
        other = np.flatnonzero(number < 0)
        if len(other) == len(number):
            every: Tensor = self.inputs(x)
            return every
        given: Tensor = self.table[torch.from_numpy(np.maximum(number, 0)).to(x.device)]
        if len(other):
            at = torch.from_numpy(other).to(x.device)
            given[at] = self.inputs(x[at])
        return given


def check_settings(settings: EncoderSettings) -> None:
    """Raise InputError for a setting that does not suit an ELMo in a workflow."""
    if settings.pooling != "mean":
        raise InputError(f"config, pooling: {settings.pooling!r} is not for ELMo. Write mean.")
    if settings.precision not in ELMO_PRECISIONS:
        raise InputError(
            f"config, embed.precision: {settings.precision!r} is not for ELMo. Write float32 or"
            " bfloat16."
        )
    if settings.initial_state not in ("warm", "zeros"):
        raise InputError(
            f"config, initial_state: {settings.initial_state!r} is not for a workflow, whose"
            " vectors must not depend on the order of texts. Write warm or zeros."
        )


def picked_layers(layers: str | int | None, n_layers: int) -> Tensor:
    """Return the weights of all layers in each part of the vector, (parts, layers + 1) float64.

    None is `average`.
    """
    one = torch.eye(n_layers + 1, dtype=torch.float64)
    if layers in (None, "average"):
        return one.mean(0, keepdim=True)
    if layers == "concat":
        return one
    number = {"top": n_layers, "token": 0}.get(str(layers), layers)
    if str(number).isdigit() and int(number) <= n_layers:
        return one[int(number)][None]
    raise InputError(
        f"config, layers: {layers!r} is not one of average, top, token, concat, 0 to {n_layers}."
    )


def choose_layers(
    vectors: NDArray[np.float32], layers: str | int | None, n_layers: int
) -> NDArray[np.float32]:
    """Take from `concat` vectors (n, (layers + 1) * 2P) what `layers` would have given."""
    parts = vectors.reshape(len(vectors), n_layers + 1, -1).astype(np.float64)
    picks = picked_layers(layers, n_layers).numpy()
    chosen: NDArray[np.float64] = np.einsum("nld,pl->npd", parts, picks)
    return chosen.reshape(len(vectors), -1).astype(np.float32)


def load_elmo(folder: Path) -> ElmoModel:
    """Load a converted folder. Raises InputError when a weight is missing or misshapen."""
    try:
        model, report = load_with_report(ElmoModel, folder)
    except (OSError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]
        raise InputError(
            f"{folder}: not a complete ELMo folder ({why}). Convert it again."
        ) from None
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if report.get(key):
            names = ", ".join(sorted(map(str, report[key]))[:3])
            raise InputError(f"{folder}: {key.replace('_', ' ')}: {names}. Convert it again.")
    loaded: ElmoModel = model.eval().requires_grad_(False)
    return loaded
