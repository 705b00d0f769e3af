"""A model's tokenizer: all its files are there; the case is kept if the vocabulary is cased."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kgtextvec.encoders.pretrained import LOCAL_ONLY, can_split_special
from kgtextvec.errors import InputError
from kgtextvec.files import read_json
from kgtextvec.models.trial_texts import trial_texts
from kgtextvec.progress import say

FEWEST_TOKENS = 8
# Classes that stand for whatever tokenizer.json says.
GENERIC = {"None", "PreTrainedTokenizer", "TokenizersBackend"}


@dataclass
class Case:
    """Whether texts are lower-cased: as we load it (None: the files' own way), and by default."""

    chosen: bool | None
    default: bool
    effective: bool


def load_tokenizer(folder: Path, asked: bool | None, model_type: str) -> tuple[Any, Case]:
    """Load a tokenizer; refuse missing files, keep the case for a cased vocabulary.

    `asked` is the catalogue's do_lower_case. Raises InputError that names what is missing.
    """
    check_tokenizer_files(folder, model_type)
    plain = open_tokenizer(folder)
    check_length(folder, plain.model_max_length)
    default = lower_cases(plain)
    chosen = asked if asked is not None else detect_case(folder)
    tokenizer = plain if chosen is None else open_tokenizer(folder, do_lower_case=chosen)
    effective = lower_cases(tokenizer)
    if chosen is not None and effective != chosen:
        does = "lower-cases" if effective else "keeps the case"
        raise InputError(
            f"{folder}: do_lower_case is {str(chosen).lower()}, and this tokenizer {does} whatever"
            " one asks. Leave the key out."
        )
    if effective and n_cased(folder) and asked is None:
        say(f"{folder}: lower-cases as its files ask, though its vocabulary has capital letters")
    return tokenizer, Case(chosen, default, effective)


def open_tokenizer(folder: Path, **options: bool) -> Any:
    """Open a tokenizer without network and without remote code."""
    from transformers import AutoTokenizer

    try:
        # bandit asks for a revision; this is a folder on this disk.
        return AutoTokenizer.from_pretrained(  # nosec B615
            str(folder), **LOCAL_ONLY, **options
        )
    except Exception as error:  # tokenizers and converters raise plain Exception, among others
        what = " ".join(str(error).split())[:200]
        raise InputError(
            f"{folder}: its tokenizer cannot be read: {what}. Get it again."
        ) from error


def check_length(folder: Path, most: object) -> None:
    """Raise InputError for a model_max_length that leaves no room for a text."""
    if not isinstance(most, int | float) or most < FEWEST_TOKENS:
        raise InputError(
            f"{folder}: model_max_length in tokenizer_config.json is {str(most)[:40]}; a text needs"
            f" at least {FEWEST_TOKENS} tokens. Correct it, or get the right file."
        )


def check_tokenizer_files(folder: Path, model_type: str) -> None:
    """Raise InputError that names the tokenizer's missing files."""
    if (folder / "tokenizer.json").exists():
        return
    needed = vocabulary_files(folder, model_type)
    missing = [name for name in needed if not (folder / name).exists()]
    if missing:
        raise InputError(
            f"{folder}: {' and '.join(missing)} missing. Without it each word becomes the unknown"
            " one; add it to the source."
        )
    pieces = [name for name in needed if name.endswith(".model")]
    if pieces and find_spec("google") is None:
        raise InputError(
            f"{folder}: {pieces[0]} cannot be read without the Python package protobuf. Install it,"
            " or add the model's tokenizer.json to the source."
        )


def vocabulary_files(folder: Path, model_type: str) -> list[str]:
    """Return the files that the tokenizer's class reads if there is no tokenizer.json."""
    import transformers
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    named = tokenizer_config(folder).get("tokenizer_class")
    known = TOKENIZER_MAPPING_NAMES.get(model_type)
    for name in (named, known if isinstance(known, str) else next(iter(known or ()), None)):
        plain = str(name).removesuffix("Fast")
        kind = None if plain in GENERIC else getattr(transformers, plain, None)
        files = getattr(kind, "vocab_files_names", None) or {}
        own = sorted(set(files.values()) - {"tokenizer.json"})
        if own:
            return own
    return ["tokenizer.json"]


def tokenizer_config(folder: Path) -> dict[str, Any]:
    """Return tokenizer_config.json, {} if there is none. Raises InputError if damaged."""
    path = folder / "tokenizer_config.json"
    if not path.exists():
        return {}
    values = read_json(path, "Get the right file.")
    return values if isinstance(values, dict) else {}


def detect_case(folder: Path) -> bool | None:
    """Return False for a cased WordPiece vocabulary whose files say nothing of case, else None.

    transformers lower-cases by default, also for vocabularies (BioBERT's) that have 'TP53'.
    """
    silent = not (folder / "tokenizer.json").exists()
    silent &= tokenizer_config(folder).get("do_lower_case") is None
    number = n_cased(folder) if silent else 0
    if not number:
        return None
    say(f"{folder}: {number} words of vocab.txt have capital letters, so the case is kept")
    return False


def n_cased(folder: Path) -> int:
    """Count the words of vocab.txt with capital letters; 0 if they are a mere handful.

    Special tokens don't count, and a lower-cased vocabulary may hold a stray name (under 1 %).
    """
    path = folder / "vocab.txt"
    if not path.exists():
        return 0
    words = path.read_text("utf-8", errors="replace").split("\n")
    plain = [word for word in words if not word.startswith(("[", "<"))]
    number = sum(word != word.lower() for word in plain)
    return number if 100 * number > len(plain) else 0


def lower_cases(tokenizer: Any) -> bool:
    """Return whether the tokenizer lower-cases texts."""
    text = "TP53 Gene of the Brain"
    backend = getattr(tokenizer, "backend_tokenizer", None)
    normalizer = getattr(backend, "normalizer", None)
    if normalizer is not None:
        return bool("tp53" in normalizer.normalize_str(text))
    if backend is not None:
        return False
    return bool(tokenizer(text)["input_ids"] == tokenizer(text.lower())["input_ids"])


def ids_of(tokenizer: Any, text: str) -> list[int]:
    """Return the ids of a text, its own control tokens kept as plain text."""
    return list(tokenizer(text, split_special_tokens=can_split_special(tokenizer))["input_ids"])


def check_ids(folder: Path, tokenizer: Any, rows: int) -> None:
    """Check that every id has its row in the embeddings (`rows`), and that words get ids."""
    vocabulary = tokenizer.get_vocab()
    over = {word for word, ident in vocabulary.items() if ident >= rows}
    if over - {tokenizer.mask_token}:
        raise InputError(
            f"{folder}: the tokenizer has {max(vocabulary.values()) + 1} ids, the model {rows} rows"
            f" of embeddings. They don't belong together; get both from one place."
        )
    if 2 * len(vocabulary) < rows:
        raise InputError(
            f"{folder}: the tokenizer has {len(vocabulary)} ids, the model {rows} rows of"
            " embeddings. They don't belong together, or the vocabulary is cut. Get both again."
        )
    trial_texts(folder, tokenizer)
