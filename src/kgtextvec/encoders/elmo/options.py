"""bilm-tf's options.json, read strictly, and written from a config."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kgtextvec.encoders.elmo.bilm_folder import check_kind
from kgtextvec.errors import InputError
from kgtextvec.files import parse_json

if TYPE_CHECKING:
    from kgtextvec.encoders.elmo.model import ElmoConfig

MAX_SIZE = 1 << 20  # no layer of a real model is near this
TRAINING_CHARACTERS, INFERENCE_CHARACTERS = 261, 262  # as bilm-tf and AllenNLP want them
LSTM_KEYS = ("dim", "projection_dim", "n_layers", "cell_clip", "proj_clip", "use_skip_connections")
CHAR_KEYS = (
    "embedding",
    "filters",
    "n_highway",
    "n_characters",
    "max_characters_per_token",
    "activation",
)


class Options:
    """One mapping of options.json, whose values are taken out with their type checked."""

    def __init__(self, path: Path, above: str, values: Any, known: tuple[str, ...] | None) -> None:
        self.path, self.above, self.values = path, above, values
        if not isinstance(values, dict):
            self.refuse(above.strip("."), values, "a mapping")
        for key in values if known is not None else ():
            if key not in (known or ()):
                raise InputError(
                    f"{path}: {above}{key} is not an option of an ELMo ({', '.join(known or ())}"
                    " are known). Give the options.json of the weights."
                )

    def refuse(self, key: str, value: Any, wanted: str) -> NoReturn:
        """Raise InputError: the value of `key` is not what is wanted."""
        found = json.dumps(value)[:80] if value is not None else "missing"
        raise InputError(
            f"{self.path}: {key} is {found}, must be {wanted}. Give the options.json of the"
            " weights."
        )

    def size(self, key: str, least: int = 1, default: int | None = None) -> int:
        """Take an integer."""
        value = self.values.get(key)
        value = default if value is None else value
        if type(value) is not int or not least <= value <= MAX_SIZE:
            self.refuse(self.above + key, value, f"a whole number from {least} to {MAX_SIZE}")
        return value

    def clip(self, key: str) -> float | int | None:
        """Take a positive number, or None where there is no clipping."""
        value = self.values.get(key)
        if value is None:
            return None
        if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
            self.refuse(self.above + key, value, "a positive number")
        number: float | int = value
        return number

    def filters(self) -> list[list[int]]:
        """Take the list of [width, number] pairs."""
        value = self.values.get("filters")
        pairs: list[Any] = value if isinstance(value, list) and 0 < len(value) <= 64 else [None]
        for pair in pairs:
            good = isinstance(pair, list) and len(pair) == 2
            if not good or not all(type(n) is int and 0 < n <= MAX_SIZE for n in pair):
                self.refuse(self.above + "filters", value, "a list of [width, number] pairs")
        return pairs


def read_options(path: Path) -> "ElmoConfig":
    """Read an options.json as a config. Raises InputError: what is wrong with which option."""
    from kgtextvec.encoders.elmo.model import ACTIVATIONS, ElmoConfig

    try:
        values = parse_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such options file. Check its path.") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}). Get the file again.") from None
    top = Options(path, "", values, None)
    check_kind(path, values)
    lstm = Options(path, "lstm.", values.get("lstm"), LSTM_KEYS)
    chars = Options(path, "char_cnn.", values.get("char_cnn"), CHAR_KEYS)
    embedding = Options(path, "char_cnn.embedding.", chars.values.get("embedding"), ("dim",))
    if values.get("bidirectional", True) is not True:
        top.refuse("bidirectional", values["bidirectional"], "true")
    if chars.values.get("n_characters") not in (TRAINING_CHARACTERS, INFERENCE_CHARACTERS):
        chars.refuse("char_cnn.n_characters", chars.values.get("n_characters"), "261 or 262")
    if chars.values.get("activation") not in ACTIVATIONS:
        chars.refuse("char_cnn.activation", chars.values.get("activation"), "relu or tanh")
    skips = lstm.values.get("use_skip_connections", False)
    if type(skips) is not bool:
        lstm.refuse("lstm.use_skip_connections", skips, "true or false")
    try:
        return ElmoConfig(
            char_dim=embedding.size("dim"),
            filters=chars.filters(),
            activation=chars.values["activation"],
            num_highways=chars.size("n_highway", least=0, default=0),
            max_characters=chars.size("max_characters_per_token", least=3),
            cell_size=lstm.size("dim"),
            projection_size=lstm.size("projection_dim"),
            num_hidden_layers=lstm.size("n_layers", default=1),
            cell_clip=lstm.clip("cell_clip"),
            projection_clip=lstm.clip("proj_clip"),
            skip_connections=skips,
            bilm_options=values,
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}. Give the options.json of the weights.") from None


def bilm_options(config: "ElmoConfig") -> dict[str, Any]:
    """Write a config as bilm-tf's options for inference."""
    return {
        "lstm": {
            "dim": config.cell_size,
            "projection_dim": config.projection_size,
            "n_layers": config.num_hidden_layers,
            "cell_clip": config.cell_clip,
            "proj_clip": config.projection_clip,
            "use_skip_connections": config.skip_connections,
        },
        "char_cnn": {
            "embedding": {"dim": config.char_dim},
            "filters": config.filters,
            "n_highway": config.num_highways,
            "n_characters": INFERENCE_CHARACTERS,
            "max_characters_per_token": config.max_characters,
            "activation": config.activation,
        },
    }
