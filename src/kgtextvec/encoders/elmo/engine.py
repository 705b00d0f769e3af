"""ELMo over a list of texts: words once, shared beginnings and endings once.

Texts are sorted and cut into blocks that fit in memory. In a block the character CNN runs once
per distinct word, the forward LSTMs once per distinct beginning, the backward LSTMs once per
distinct ending (`elmo.trie`). Every node keeps the running sum of its words' vectors, so that a
text's mean is known when its last node is done. The vectors are those of each text alone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.encoders import DEFAULT_SETTINGS, Encoded, EncoderSettings, ResumeContext
from kgtextvec.encoders.elmo.cell import FastAffine, FastCell
from kgtextvec.encoders.elmo.model import ElmoModel, State
from kgtextvec.encoders.elmo.trie import StepPlan, build_trie, plan_steps
from kgtextvec.encoders.elmo.words import audit_vocabulary, read_word_list, splitter
from kgtextvec.encoders.pretrained import load_with_report
from kgtextvec.encoders.transformer.loading import TORCH_DTYPES
from kgtextvec.errors import InputError
from kgtextvec.progress import say

ELMO_RECIPE = 1
ELMO_PRECISIONS = ("float32", "bfloat16")
# A CPU's matrix product is at its peak from some 64 rows on, a GPU's from some thousands.
WIDTHS = {"cpu": (32, 256), "cuda": (1024, 8192)}
BLOCK_WORDS = {"cpu": 250_000, "cuda": 4_000_000}
CNN_WORDS = {"cpu": 256, "mps": 1024, "cuda": 16384}  # through the character CNN at once
WINDOWS = {"cpu": 256, "cuda": 8192}
TABLE_BYTES = {"cpu": 1 << 29, "cuda": 1 << 32}
KEPT_WORDS = 1 << 17
LONG_TEXT = 4096  # characters; longer texts share blocks, to run side by side


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
    ) -> None:
        check_settings(settings)
        self.folder, self.device = folder, torch.device(settings.device)
        self.dtype = TORCH_DTYPES[settings.precision]
        self.split = splitter(settings.tokens)
        model = load_elmo(folder).to(self.device)
        config = model.config
        self.skips = config.skip_connections
        self.picks = picked_layers(settings.layers, config.num_hidden_layers)
        self.n_layers = int(self.picks.nonzero()[:, 1].max())
        self.dims = 2 * config.projection_size * len(self.picks)
        vocabulary = folder / "vocabulary.txt"
        self.vocabulary = read_word_list(vocabulary) if vocabulary.is_file() else None
        kind = self.device.type if self.device.type in WIDTHS else "cuda"
        self.widths, self.cnn_words, self.window = WIDTHS[kind], CNN_WORDS[kind], WINDOWS[kind]
        self.table_bytes = TABLE_BYTES[kind]
        self.block_words = block_words or BLOCK_WORDS[kind]
        self.nodes = self.words = 0
        self.known: dict[str, int] = {}
        with torch.inference_mode():
            self.prepare(model, model.state_for(settings.initial_state, 1))
            self.vectors = torch.empty(0, config.projection_size, device=self.device)

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
        model.cells = torch.nn.ModuleList()
        highways: Any = model.highways
        for highway in highways:
            highway.carry = FastAffine(highway.carry, self.dtype)
            highway.transform = FastAffine(highway.transform, self.dtype)
        if model.projection is not None:
            words: Any = FastAffine(model.projection, self.dtype)
            model.projection = words
        self.model = model

    @property
    def sharing(self) -> float:
        """Words per step that was run so far: 1 means that no two texts shared anything."""
        return 2 * self.words / max(self.nodes, 1)

    def encode(
        self, texts: Sequence[str], resume: ResumeContext | None = None
    ) -> Iterator[Encoded]:
        """Yield every text exactly once, a block at a time; a text without words is all zero."""
        counts: Counter[str] = Counter()
        for rows in self.blocks(texts):
            words = [self.split(texts[row]) for row in rows]
            lengths = np.array([len(one) for one in words], dtype=np.int32)
            unknown = np.zeros(len(rows), dtype=np.int32)
            if self.vocabulary is not None:
                counts.update(word for one in words for word in one)
                unknown[:] = [sum(word not in self.vocabulary for word in one) for one in words]
            yield Encoded(
                rows=np.array(rows, dtype=np.int64),
                vectors=self.embed_words(words),
                n_tokens=lengths,
                truncated=np.zeros(len(rows), dtype=np.bool_),
                n_unknown=unknown,
            )
        if self.vocabulary is not None:
            say(f"{self.folder.name}: {audit_vocabulary(counts, self.vocabulary).summary_line()}")

    def blocks(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Cut the sorted texts into blocks of at most about `block_words` words."""
        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]) > LONG_TEXT, texts[i]))
        block: list[int] = []
        size = 0
        for row in order:
            words = texts[row].count(" ") * 5 // 4 + 1
            if block and (size + words > self.block_words):
                yield block
                block, size = [], 0
            block.append(row)
            size += words
        if block:
            yield block

    @torch.inference_mode()
    def embed_words(self, texts: list[list[str]]) -> NDArray[np.float32]:
        """Return the vectors (n, dims) of texts given as lists of words."""
        lengths = np.array([len(one) for one in texts], dtype=np.int64)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        ids = np.fromiter(self.numbers(texts), dtype=np.int64, count=int(offsets[-1]))
        self.words += len(ids)
        halves = []
        for direction in range(2):
            trie = build_trie(ids, offsets, backward=direction == 1)
            depth = len(trie.levels) - 1
            narrow, wide = self.widths
            width = int(np.clip(len(trie.word) // (16 * max(depth, 1)) * 16 + 16, narrow, wide))
            self.nodes += len(trie.word)
            halves.append(self.run(plan_steps(trie, width), direction, len(texts)))
        sums = torch.stack(halves, 2).cpu().numpy()  # (n, picks, 2, P)
        vectors: NDArray[np.float32] = (
            sums.reshape(len(texts), -1) / np.maximum(lengths, 1)[:, None]
        ).astype(np.float32)
        return vectors

    def numbers(self, texts: list[list[str]]) -> list[int]:
        """Return the rows of all words in `vectors`; new words go through the character CNN."""
        new = list(dict.fromkeys(word for one in texts for word in one if word not in self.known))
        if len(self.known) + len(new) > KEPT_WORDS:
            self.known, self.vectors = {}, self.vectors[:0]
            new = list(dict.fromkeys(word for one in texts for word in one))
        # Words of about one length go together, as short ones need fewer positions.
        new.sort(key=len)
        parts = [self.vectors]
        for start in range(0, len(new), self.cnn_words):
            parts.append(self.model.embed_words(new[start : start + self.cnn_words]))
        self.vectors = torch.cat(parts)
        self.known.update(zip(new, range(len(self.known), len(self.known) + len(new)), strict=True))
        return [self.known[word] for one in texts for word in one]

    def run(self, plan: StepPlan, direction: int, n_texts: int) -> Tensor:
        """Run one direction's plan; give the sums over words, (n_texts, picks, P) float64.

        Steps go through the layers in windows of about `window` nodes: what a layer needs of its
        input is computed for all of the window, then its steps follow one another.
        """
        device, picks = self.device, self.picks.to(self.device)
        dims = self.vectors.shape[1]
        result = torch.zeros(n_texts, len(picks), dims, dtype=torch.float64, device=device)
        sums = result.new_zeros(plan.slots, len(picks), dims)
        states = []
        for h, c in self.roots[direction]:
            states.append((h.new_zeros(plan.slots, dims), c.new_zeros(plan.slots, c.shape[1])))
            states[-1][0][0], states[-1][1][0] = h[0], c[0]
        cells = self.cells[direction]
        table = InputTable(cells[0], self.vectors, plan.word, self.table_bytes) if cells else None
        word, source, target, text, place = (
            torch.from_numpy(part).to(device)
            for part in (plan.word, plan.source, plan.target, plan.text, plan.place)
        )
        for first, last in plan.windows(self.window):
            begin, end = int(plan.starts[first]), int(plan.starts[last])
            steps = [
                (int(plan.starts[s]) - begin, int(plan.starts[s + 1]) - begin, int(plan.kept[s]))
                for s in range(first, last)
            ]
            origin, goal = source[begin:end], target[begin:end]
            x = self.vectors[word[begin:end]]  # (n, P)
            total = picks[:, 0, None] * x[:, None]  # (n, picks, P)
            for k, cell in enumerate(cells):
                if k == 0 and table is not None:
                    given = table.rows(begin, end, x)  # (n, 4H)
                else:
                    given = cell.inputs(x)
                hs, cs = states[k]
                y = torch.empty_like(x)
                for start, stop, kept in steps:
                    here = origin[start:stop]
                    h, c = cell(given[start:stop], hs[here], cs[here])
                    y[start:stop] = h
                    hs[goal[start : start + kept]] = h[:kept]
                    cs[goal[start : start + kept]] = c[:kept]
                x = x + y if k and self.skips else y
                total += picks[:, k + 1, None] * x[:, None]
            for start, stop, kept in steps:
                total[start:stop] += sums[origin[start:stop]]
                sums[goal[start : start + kept]] = total[start : start + kept]
            done = slice(int(plan.ready[first]), int(plan.ready[last]))
            result[text[done]] = total[place[done] - begin]
        return result


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


def picked_layers(layers: str | int, n_layers: int) -> Tensor:
    """Return the weights of all layers in each part of the vector, (parts, layers + 1) float64."""
    one = torch.eye(n_layers + 1, dtype=torch.float64)
    if layers == "average":
        return one.mean(0, keepdim=True)
    if layers == "concat":
        return one
    number = {"top": n_layers, "token": 0}.get(str(layers), layers)
    if str(number).isdigit() and int(number) <= n_layers:
        return one[int(number)][None]
    raise InputError(
        f"config, layers: {layers!r} is none of average, top, token, concat, 0 to {n_layers}."
    )


def choose_layers(
    vectors: NDArray[np.float32], layers: str | int, n_layers: int
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
