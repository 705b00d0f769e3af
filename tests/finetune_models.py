"""Small language models in the form of a TensorFlow checkpoint, and an oracle of what they cost.

The oracle is float64 numpy and shares no code with the package; of `elmo_oracle` it takes the
words and the LSTM steps.
"""

import json
from collections import deque
from pathlib import Path

import elmo_oracle
import numpy as np
from elmo_models import options_of
from tf_checkpoints import checkpoint_name, write_checkpoint

WORDS = [
    "<S>",
    "</S>",
    "<UNK>",
    "the",
    "of",
    "gene",
    "protein",
    "a",
    "in",
    "binds",
    "cell",
    "kinase",
    "acute",
]
WORDS += ["disease", "-", "."]
SENTENCES = [
    "the gene binds the protein .",
    "a kinase of the cell",
    "acute disease in α-synuclein cells .",
    "the",
    "protein binds protein binds protein in the gene of a cell .",
    "kinase kinase kinase",
    "the acute disease of the cell binds a gene .",
]


def training_options(**more) -> dict:
    options = options_of(highways=1, clip=0.6)
    training = {"batch_size": 2, "unroll_steps": 4, "all_clip_norm_val": 1.0, "dropout": 0.0}
    return {**options, "bidirectional": True, **training, **more}


def weights_of(options: dict, seed: int = 0, words: int = len(WORDS)) -> dict[str, np.ndarray]:
    """Random weights by their names in HDF5, the softmax's beside them."""
    rng = np.random.default_rng([seed, 7])
    softmax = {
        "softmax/W": rng.normal(0, 0.5, (words, options["lstm"]["projection_dim"])),
        "softmax/b": rng.normal(0, 0.5, words),
    }
    found = elmo_oracle.random_weights(options, seed) | softmax
    return {name: value.astype(np.float32) for name, value in found.items()}


def slots_of(weights: dict[str, np.ndarray], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([seed, 8])
    return {name: rng.uniform(1, 2, v.shape).astype(np.float32) for name, v in weights.items()}


def write_model(folder: Path, options: dict, weights: dict, slots: dict | None, words=WORDS):
    """Write checkpoint, options and vocabulary as the catalogue's source gives them."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {checkpoint_name(name): value for name, value in weights.items()}
    if slots:
        arrays |= {checkpoint_name(name) + "/Adagrad": value for name, value in slots.items()}
    arrays |= {"global_step": np.array(3, np.float32)}
    write_checkpoint(folder / "model.ckpt-3", arrays)
    (folder / "options.json").write_text(json.dumps(options))
    (folder / "vocabulary.txt").write_text("\n".join(words) + "\n", "utf-8")
    return folder


def tiny_checkpoint(folder: Path, seed: int = 0, **training) -> Path:
    options = training_options(**training)
    weights = weights_of(options, seed)
    return write_model(folder, options, weights, slots_of(weights, seed))


# The oracle.


def costs(sentences, options, weights, rows, steps=None, words=WORDS):
    """Cost of each word, [direction][step][row], bilm-tf's way: rows take sentences in turn."""
    known = {word: number for number, word in enumerate(words)}
    vectors: dict[str, np.ndarray] = {}
    found = []
    for direction in range(2):
        texts = []
        for sentence in sentences:
            inner = sentence.split()
            texts.append(["</S>", *inner[::-1], "<S>"] if direction else ["<S>", *inner, "</S>"])
        waiting = deque(texts)
        left: list[deque] = [deque() for _ in range(rows)]
        states = [elmo_oracle.zero_state(options) for _ in range(rows)]
        of_direction = []
        while steps is None or len(of_direction) < steps:
            for row in left:
                if len(row) < 2 and waiting:
                    row.clear()
                    row.extend(waiting.popleft())
            if any(len(row) < 2 for row in left):
                break
            at_step = []
            for row, state in zip(left, states, strict=True):
                word, target = row.popleft(), row[0]
                if word not in vectors:
                    vectors[word] = elmo_oracle.embed_word(word, options, weights)
                y = vectors[word]
                for k in range(options["lstm"]["n_layers"]):
                    h, c = elmo_oracle.step(y, *state[direction, k], options, weights, direction, k)
                    state[direction, k] = h, c
                    skips = k and options["lstm"]["use_skip_connections"]
                    y = h + y if skips else h
                logits = weights["softmax/W"].astype(np.float64) @ y + weights["softmax/b"]
                top = logits.max()
                total = top + np.log(np.exp(logits - top).sum())
                at_step.append(total - logits[known.get(target, known["<UNK>"])])
            of_direction.append(at_step)
        found.append(np.array(of_direction))
    return found
