"""How fast is the ELMo engine, next to a loop as AllenNLP ran it? One run, one process, CPU time.

`python -m benchmarks.bench_elmo [table.tsv] [--columns C …] [--texts N] [--batches N]` draws a
model of BioELMo's size with random weights and embeds the texts of a table.
The engine embeds all of them. The loop is what AllenNLP 2 did per batch of 64: the character CNN
on every padded word, then per direction and layer one cell call per step on the texts that are
still running; in the order of the file, and of the texts' lengths. It is timed on a few batches
(`--batches`), as all of them would take an hour. Vectors of both are compared on the timed texts.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.bench_embed import peak
from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.elmo.engine import ElmoEncoder
from kgtextvec.encoders.elmo.model import ElmoConfig, ElmoModel
from kgtextvec.encoders.elmo.tokenizer import ElmoTokenizer, character_ids
from kgtextvec.encoders.elmo.words import split_words

BATCH = 64
WORDS = 1024  # in one call of the loop's character CNN, so that it needs less than 1 GB
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TARGETS = {
    ("in file order", "float32"): 15,
    ("in file order", "bfloat16"): 30,
    ("sorted", "float32"): 6,
    ("sorted", "bfloat16"): 12,
}
SAMPLE = Path(__file__).resolve().parents[1] / "resources/sample/entities.tsv"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "entities_2k.tsv"


class Loop:
    """The way it was done: plain matrices, a batch at a time, a step at a time, from zeros."""

    def __init__(self, model: ElmoModel) -> None:
        self.model = model
        config = model.config
        self.inputs, self.cell = config.projection_size, config.cell_size
        self.parts = [
            [
                (
                    layer.kernel[: self.inputs].t().contiguous(),  # of the input, (4H, P)
                    layer.kernel[self.inputs :].t().contiguous(),  # of the state, (4H, P)
                    layer.bias,
                    layer.projection.t().contiguous(),  # (P, H)
                )
                for layer in direction
            ]
            for direction in model.cells
        ]

    def embed(self, ids: Tensor) -> Tensor:
        """Run the character CNN on (n, 50) characters, none cut."""
        table = F.pad(self.model.char_embed, (0, 0, 1, 0))
        x = table[ids].transpose(1, 2)
        x = torch.cat([torch.relu(part(x)) for part in self.model.filters], 1)
        for highway in self.model.highways:
            x = highway(x)
        return self.model.projection(x)

    def direction(self, x: Tensor, lengths: list[int], number: int) -> list[Tensor]:
        """Run one direction; x is (B, S, P), the texts by falling length."""
        layers = []
        for k, (w_in, w_state, bias, w_out) in enumerate(self.parts[number]):
            outputs = torch.zeros(*x.shape[:2], self.inputs)
            h = torch.zeros(len(x), self.inputs)
            c = torch.zeros(len(x), self.cell)
            running = len(x)
            size = self.cell
            for t in range(x.shape[1]):
                while lengths[running - 1] <= t:
                    running -= 1
                a = F.linear(x[:running, t], w_in)
                b = F.linear(h[:running], w_state, bias)
                i = torch.sigmoid(a[:, :size] + b[:, :size])
                j = torch.tanh(a[:, size : 2 * size] + b[:, size : 2 * size])
                f = torch.sigmoid(a[:, 2 * size : 3 * size] + b[:, 2 * size : 3 * size] + 1.0)
                o = torch.sigmoid(a[:, 3 * size :] + b[:, 3 * size :])
                new = torch.clamp(i * j + f * c[:running], -3, 3)
                out = torch.clamp(F.linear(o * torch.tanh(new), w_out), -3, 3)
                c, h = c.clone(), h.clone()
                c[:running], h[:running] = new, out
                outputs[:running, t] = out
            x = outputs + x if k else outputs
            layers.append(x)
        return layers

    def vectors(self, texts: list[list[str]]) -> Tensor:
        """Embed a batch of word lists: the mean over words of the mean over layers, (B, 2P)."""
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        lengths = [len(texts[i]) + 2 for i in order]
        longest = lengths[0]
        ids = torch.zeros(len(texts), longest, 50, dtype=torch.long)
        for row, i in enumerate(order):
            words = ["<S>", *texts[i], "</S>"]
            ids[row, : len(words)] = torch.from_numpy(character_ids(words))
        parts = [self.embed(part) for part in ids.view(-1, 50).split(WORDS)]
        x = torch.cat(parts).view(len(texts), longest, -1)
        there = torch.tensor(lengths)[:, None]
        steps = torch.arange(longest)[None]
        flip = torch.where(steps < there, there - 1 - steps, steps)
        rows = torch.arange(len(texts))[:, None]
        forward = self.direction(x, lengths, 0)
        backward = [layer[rows, flip] for layer in self.direction(x[rows, flip], lengths, 1)]
        mean = (x + sum(forward)) / 3, (x + sum(backward)) / 3
        both = torch.cat(mean, 2)
        both = both * ((steps > 0) & (steps < there - 1))[:, :, None]
        result = torch.empty(len(texts), both.shape[2])
        result[torch.tensor(order)] = both.sum(1) / (there - 2)
        return result


def read_texts(path: Path, columns: tuple[str, ...] = ("description", "name")) -> list[str]:
    """Read a table's texts, the first column that is filled; in file order, each once."""
    header, *lines = path.read_text("utf-8").split("\n")
    at = [header.split("\t").index(column) for column in columns]
    rows = [line.split("\t") for line in lines if line]
    texts = (next((row[i] for i in at if row[i]), "") for row in rows)
    return list(dict.fromkeys(text.strip('"') for text in texts))


def random_model() -> ElmoModel:
    """Draw a model of BioELMo's size whose numbers stay in the range that trained ones have."""
    torch.manual_seed(0)
    model = ElmoModel(ElmoConfig())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                fan = weight[0].shape[0] * weight.shape[1] if weight.dim() == 4 else weight.shape[0]
                weight.normal_(0, 1.0 if name == "char_embed" else fan**-0.5)
            else:
                weight.normal_(0, 0.1)
    return model.eval()


def time_loop(
    loop: Loop, texts: list[str], words: list[list[str]], batches: int
) -> tuple[float, dict[str, Tensor]]:
    """Return words per CPU second, estimated from `batches` batches, and their vectors.

    A batch stands for an equal share of all words: those at the middles of the shares are timed,
    and the mean of their seconds per word is taken.
    """
    starts = range(0, len(texts), BATCH)
    ends = np.cumsum([sum(map(len, words[start : start + BATCH])) for start in starts])
    middles = (np.arange(batches) + 0.5) / batches * ends[-1]
    per_word, vectors = [], {}
    for number in np.searchsorted(ends, middles):
        start = starts[int(number)]
        batch = words[start : start + BATCH]
        begin = time.process_time()
        result = loop.vectors(batch)
        per_word.append((time.process_time() - begin) / sum(map(len, batch)))
        vectors.update(zip(texts[start : start + BATCH], result, strict=False))
    return 1 / float(np.mean(per_word)), vectors


def main() -> None:
    """Run it and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, nargs="?", default=DATA)
    parser.add_argument("--columns", nargs="+", default=["description", "name"])
    parser.add_argument("--texts", type=int, default=None, help="only so many texts")
    parser.add_argument("--batches", type=int, default=3, help="batches to time the loop on")
    args = parser.parse_args()
    for row in bench(args.table, tuple(args.columns), args.texts, args.batches):
        print(json.dumps(row))


def bench(
    table: Path = DATA,
    columns: tuple[str, ...] = ("description", "name"),
    n_texts: int | None = None,
    batches: int = 3,
) -> list[dict[str, object]]:
    """Compare on a table's texts; rows {name, ours, theirs, ratio, target}, words per CPU second.

    The last rows are the share of the matrix product's peak that the LSTMs' products would need if
    no text shared anything: what is above it is sharing, what is below is all that isn't products.
    """
    torch.set_num_threads(1)
    table = table if table.exists() else SAMPLE
    texts = read_texts(table, columns)[:n_texts]
    words = [split_words(text) for text in texts]
    total = sum(map(len, words))
    about = f"{len(texts):,} texts of {columns[0]}, {total:,} words"
    model = random_model()
    speeds, limits, found, sharing = {}, {}, {}, 0.0
    with torch.inference_mode(), tempfile.TemporaryDirectory() as home:
        loop = Loop(model)
        speeds["in file order"], reference = time_loop(loop, texts, words, batches)
        order = sorted(range(len(texts)), key=lambda i: len(words[i]))
        by_length = [texts[i] for i in order], [words[i] for i in order]
        speeds["sorted"], more = time_loop(loop, *by_length, batches)
        reference.update(more)
        del loop
        model.save_pretrained(home)
        ElmoTokenizer().save_pretrained(home)
        per_word = work_of_a_word(model.config)
        del model
        for precision in PRECISIONS:
            encoder = ElmoEncoder(
                Path(home), EncoderSettings(precision=precision, initial_state="zeros")
            )
            limits[precision] = peak((512, 16384), PRECISIONS[precision]) / per_word
            begin = time.process_time()
            found[precision] = np.empty((len(texts), encoder.dims), dtype=np.float32)
            for part in encoder.encode(texts):
                found[precision][part.rows] = part.vectors
            speeds[precision] = total / (time.process_time() - begin)
            sharing = encoder.sharing
            del encoder
    rows = [texts.index(text) for text in reference]
    theirs = torch.stack(list(reference.values()))
    result: list[dict[str, object]] = []
    for precision in PRECISIONS:
        ours = torch.from_numpy(found[precision][rows])
        off = float((1 - F.cosine_similarity(ours.double(), theirs.double())).max())
        if off > 1e-4:
            raise SystemExit(f"{precision} vectors differ: 1 - cos {off:.1e}: no speed to tell")
        for way in ("in file order", "sorted"):
            result.append(
                {
                    "name": f"elmo {precision}, {about} ({sharing:.2f} words a step), against the"
                    f" loop {way} (1 - cos {off:.1e})",
                    "ours": round(speeds[precision], 1),
                    "theirs": round(speeds[way], 1),
                    "ratio": round(speeds[precision] / speeds[way], 2),
                    "target": TARGETS[way, precision],
                }
            )
        result.append(
            {
                "name": f"elmo {precision}, {about}: against products at the peak, nothing shared",
                "ours": round(speeds[precision], 1),
                "theirs": round(limits[precision], 1),
                "ratio": round(speeds[precision] / limits[precision], 2),
                "target": None,
            }
        )
    return result


def work_of_a_word(config: ElmoConfig) -> int:
    """Floating-point operations of a word's matrix products in the LSTMs of both directions."""
    size, inner = config.projection_size, config.cell_size
    return 2 * config.num_hidden_layers * 2 * (2 * size * 4 * inner + inner * size)


if __name__ == "__main__":
    main()
