"""A converted model's folder: its kgtextvec.json, and the proof that its files are unchanged.

Neither torch nor safetensors notices a flipped bit; the digests do.
"""

import hashlib
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.files import sha256_of
from kgtextvec.records import ModelRecord, read_unedited

RECORD = "kgtextvec.json"
WEIGHTS = "model.safetensors"
NOT_TOKENIZER = {RECORD, WEIGHTS, "config.json", "generation_config.json", "vocabulary.txt"}


def read_model_folder(folder: Path) -> ModelRecord:
    """Return the record of a folder that convert-model made, once its files fit their digests.

    Raises InputError when the record or a file is missing, or when a file changed (`checksum`).
    """
    about: ModelRecord = read_unedited(folder / RECORD)
    for name, expected in about["files"].items():
        path = folder / name
        got = sha256_of(path) if path.is_file() else "no such file"
        if got != expected:
            raise InputError(
                f"{path}: checksum mismatch: expected sha256 {expected}, got {got}. Delete the"
                " folder and run convert-model again."
            )
    return about


def limit_tokens(asked: int | None, record: ModelRecord) -> int:
    """Return how many tokens a text may have: `asked`, else as many as the model takes.

    Raises InputError when the model does not take so many.
    """
    most = record.get("max_tokens")
    if asked and most and asked > most:
        raise InputError(
            f"max_tokens: {asked} is more than {record['model']} can take ({most}). Lower it."
        )
    return int(asked or most or 512)


def file_digests(folder: Path) -> dict[str, str]:
    """Return {name: sha256} of the folder's files but the record, by name, those of heads too."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in paths}


def tokenizer_digest(folder: Path) -> str:
    """Return one sha256 over the tokenizer's files: name, NUL, content, in the order of names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        if path.name not in NOT_TOKENIZER:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
