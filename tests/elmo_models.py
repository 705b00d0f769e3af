"""Small random ELMos for the tests, written as bilm-tf writes its own."""

import json
from pathlib import Path

import elmo_oracle
import h5py
import torch

from kgtextvec.encoders.elmo.convert import convert_bilm

WORDS = [
    "IL",
    "-",
    "2",
    "binds",
    "α-synuclein",
    "",
    "x" * 70,
    "</S>",
    "日本語" * 6,
    "\ud800a",
    "the",
]


def options_of(
    dim=12, projection=6, layers=2, skips=True, highways=1, activation="relu", clip=0.6, **more
):
    clips = {"cell_clip": clip, "proj_clip": clip / 2} if clip else {}
    chars = {"n_highway": highways} if highways is not None else {}
    return {
        "lstm": {
            "dim": dim,
            "projection_dim": projection,
            "n_layers": layers,
            "use_skip_connections": skips,
            **clips,
        },
        "char_cnn": {
            "embedding": {"dim": 3},
            "filters": [[1, 4], [3, 5], [2, 3]],
            "n_characters": 262,
            "max_characters_per_token": 16,
            "activation": activation,
            **chars,
            **more,
        },
    }


KINDS = {
    "plain": options_of(),
    "no skips": options_of(skips=False, activation="tanh"),
    "no state projection": options_of(dim=6, clip=0.3),
    "no word projection": options_of(projection=12, dim=15, highways=2),
    "no highway key": options_of(highways=None, layers=1),
    "three layers, no clips": options_of(layers=3, clip=None, highways=0),
    "training options": options_of(n_characters=261),
}


def write(folder: Path, options: dict, weights: dict) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / "weights.hdf5", "w") as file:
        for name, value in weights.items():
            file.create_dataset(name, data=value)
    (folder / "options.json").write_text(json.dumps(options))
    return folder / "weights.hdf5", folder / "options.json"


def make(folder: Path, options: dict, seed: int = 0, vocabulary: Path | None = None):
    """Write a model, convert it; give its folder and the weights."""
    weights = elmo_oracle.random_weights(options, seed)
    convert_bilm(*write(folder / "bilm", options, weights), vocabulary, folder / "model")
    return folder / "model", weights


def texts_of_words(n: int, longest: int = 9, seed: int = 0) -> list[list[str]]:
    generator = torch.Generator().manual_seed(seed)

    def draw(top: int) -> int:
        return int(torch.randint(top, (1,), generator=generator))

    return [[WORDS[draw(len(WORDS))] for _ in range(draw(longest + 1))] for _ in range(n)]
