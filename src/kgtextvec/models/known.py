"""Which files belong to a model; all others are ignored."""

import re
from collections.abc import Iterable

CONFIG = {"config.json"}
TOKENIZER = {
    "added_tokens.json",
    "bpe.codes",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "spm.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
}
SAFE = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
PICKLED = re.compile(r"pytorch_model(-\d{5}-of-\d{5})?\.bin(\.index\.json)?")
ELMO = re.compile(
    r"options\.json|weights\.hdf5|[\w.+-]+\.hdf5|[\w.+-]*options\.json|[\w.+-]+\.txt|checkpoint"
    r"|[\w.+-]+\.(index|meta|data-\d{5}-of-\d{5})"
)
# A name that is only a name, on every file system and in every message.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")


def is_known(name: str, kind: str = "transformer") -> bool:
    """Return whether a file of this name (no folders) belongs to a model of the kind."""
    if kind == "elmo":
        return bool(ELMO.fullmatch(name))
    return name in CONFIG | TOKENIZER or bool(SAFE.fullmatch(name) or PICKLED.fullmatch(name))


def wanted(names: Iterable[str], kind: str = "transformer") -> list[str]:
    """Return the names a model needs, sorted: pickled weights only where there are no safe ones."""
    known = sorted(name for name in names if is_known(name, kind))
    if kind == "transformer" and any(SAFE.fullmatch(name) for name in known):
        known = [name for name in known if not PICKLED.fullmatch(name)]
    return known
