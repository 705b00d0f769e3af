"""Which files belong to a model; all others are ignored."""

import re
from collections.abc import Iterable
from pathlib import Path

CONFIG = {"config.json"}
# How sentence-transformers makes one vector of a text, and an adapter of PEFT's.
RECIPE = re.compile(
    r"modules\.json|config_sentence_transformers\.json|sentence_[\w-]+_config\.json"
)
ADAPTER = re.compile(r"adapter_config\.json|adapter_model\.(safetensors|bin)")
# sentence-transformers keeps the settings of its pooling and layers in such folders.
MODULE = re.compile(r"\d+_[A-Z]\w*")
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
# word2vec's binary or text form, and fastText's and GloVe's text.
WORD_VECTORS = re.compile(r"[\w.+-]+\.(bin|txt|vec)(\.(gz|xz|bz2|zst))?")
# The folder from which training of an ELMo continues, as finetune-model leaves it.
TUNED = "checkpoint"
TUNED_FILES = {f"{TUNED}/state.json", f"{TUNED}/tensors.bin"}
# A name that is only a name, on every file system and in every message.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}")


def is_known(name: str, kind: str = "transformer") -> bool:
    """Return whether a file of this name belongs to a model of the kind.

    A transformer has files in folders such as 1_Pooling, too.
    """
    if kind == "words":
        return bool(WORD_VECTORS.fullmatch(name))
    if kind == "elmo":
        return bool(ELMO.fullmatch(name)) or name in TUNED_FILES
    folder, _, base = name.rpartition("/")
    known = base in CONFIG | TOKENIZER or any(
        form.fullmatch(base) for form in (SAFE, PICKLED, RECIPE, ADAPTER)
    )
    return known and (not folder or bool(MODULE.fullmatch(folder)))


def wanted(names: Iterable[str], kind: str = "transformer") -> list[str]:
    """Return the names a model needs, sorted: pickled weights only where there are no safe ones."""
    known = sorted(name for name in names if is_known(name, kind))
    safe = {parent_name(name) for name in known if SAFE.fullmatch(name.rpartition("/")[2])}
    return [
        name
        for name in known
        if not (parent_name(name) in safe and PICKLED.fullmatch(name.rpartition("/")[2]))
    ]


def parent_name(name: str) -> str:
    """Return the folder part of a file's name in a model or an archive."""
    return name.rpartition("/")[0]


def is_part(folder: str) -> bool:
    """Return whether a folder of this name may belong to a model: 1_Pooling, checkpoint."""
    return folder == TUNED or bool(MODULE.fullmatch(folder))


def is_model(names: Iterable[str]) -> bool:
    """Return whether files of these names make a transformer: config.json, or what stands for it.

    sentence-transformers may keep it in 0_Transformer; an adapter has that of its base.
    """
    signs = ("config.json", "0_Transformer/config.json", "adapter_config.json")
    return any(name in signs for name in names)


def files_in(folder: Path) -> dict[str, Path]:
    """Return the files of a model's folder, and of the folders in it that belong to it, by name."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_file():
            found[path.name] = path
        elif is_part(path.name) and path.is_dir():
            inside = (one for one in sorted(path.iterdir()) if one.is_file())
            found |= {f"{path.name}/{one.name}": one for one in inside}
    return found
