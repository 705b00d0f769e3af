"""Made-up corpora for probes, whose right answers are known."""

import json
from itertools import permutations
from pathlib import Path

import elmo_models
import numpy as np

from kgtextvec.encoders.folder import file_digests

WORDS = ["gene", "binds", "the", "IL"]
ORDERED = [*WORDS, "cell", "of", "kinase"]


def write_ner(path: Path, n_sentences: int, seed: int) -> Path:
    """Write sentences in which the word after `binds` is an entity, whatever it is."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(n_sentences):
        words = [WORDS[i] for i in rng.integers(0, len(WORDS), rng.integers(4, 10))]
        for before, word in zip([None, *words], words, strict=False):
            lines.append(f"{word}\t{'B-X' if before == 'binds' else 'O'}")
        lines.append("")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def write_nli(path: Path, rows: slice, seed: int = 0) -> Path:
    """Write premises of the same seven words in different orders, as many of each label.

    `binds` follows `gene` at once in those labelled entailment, not in the neutral ones. What
    looks at words without their neighbours sees the same in all.
    """
    rng = np.random.default_rng(seed)
    orders = [list(order) for order in permutations(ORDERED)]
    orders = [orders[i] for i in rng.permutation(len(orders))]
    follows = [order.index("binds") - order.index("gene") == 1 for order in orders]
    lines = []
    for wanted, label in ((True, "entailment"), (False, "neutral")):
        some = [order for order, found in zip(orders, follows, strict=True) if found == wanted]
        lines += [
            {"premise": " ".join(order), "hypothesis": "binds", "label": label}
            for order in some[rows]
        ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def elmo(folder: Path, layers: int = 2) -> Path:
    """Make a converted ELMo of random weights, with the record that convert-model writes."""
    options = elmo_models.options_of(dim=48, projection=24, clip=None, layers=layers)
    model, _ = elmo_models.make(folder, options)
    about = {"model": "tiny-elmo", "kind": "elmo", "files": file_digests(model)}
    (model / "kgtextvec.json").write_text(json.dumps(about), "utf-8")
    return model
