"""convert-model for static word vectors: word2vec's files, binary or text, and GloVe's text.

The binary form is a line `words dims`, then for each word its name, a blank and float32 numbers,
with or without a line feed behind them; the text form is a line per word, with or without that
first line (Mikolov et al., 2013, word2vec's own code; Pennington et al., 2014).
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.encoders.static_words import VECTORS, WORDS
from kgtextvec.errors import InputError
from kgtextvec.models.known import is_known
from kgtextvec.models.weights import check_dims
from kgtextvec.progress import plural, say
from kgtextvec.records import EncoderFacts
from kgtextvec.settings.models import ModelTraits
from kgtextvec.unpacked import UnpackedFile

FASTTEXT = b"\xba\x16\x4f\x2f"  # how fastText's own binary files begin
GIVE_WORD2VEC = "Give a file of word2vec's form, binary or text (.bin, .txt, .vec)."
LONGEST_LINE = 1 << 20  # bytes
BINARY_BLOCK = 1 << 20  # bytes read at once
ROWS_OF_TEXT = 1 << 14  # of a text file without a first line, kept together


@dataclass
class NamedVectors:
    """Words, each once, and their vectors (n_words, dims) float32."""

    words: list[str]
    vectors: NDArray[np.float32]


def convert_words(name: str, traits: ModelTraits, folder: Path, out: Path) -> EncoderFacts:
    """Save the one file of word vectors in `folder`; `name` is for messages.

    Raises InputError for a file that is not of word2vec's form, is cut short, or holds NaN.
    """
    from safetensors.numpy import save_file

    paths = [path for path in sorted(folder.iterdir()) if is_known(path.name, "words")]
    if len(paths) != 1:
        raise InputError(f"{folder}: holds {len(paths)} files of word vectors. {GIVE_WORD2VEC}")
    found = without_repeats(paths[0], read_word_vectors(paths[0]))
    check_dims(name, traits.dims, found.vectors.shape[1])
    save_file({VECTORS: found.vectors}, str(out / "model.safetensors"))
    (out / WORDS).write_text("".join(f"{word}\n" for word in found.words), "utf-8", newline="")
    (out / "config.json").write_text('{"model_type": "kgtextvec_words"}\n', "utf-8")
    return {
        "dims": found.vectors.shape[1],
        "max_tokens": None,
        "do_lower_case": None,
        "default_lower_case": None,
        "parameters": found.vectors.size,
    }


def without_repeats(path: Path, found: NamedVectors) -> NamedVectors:
    """Return each word once, with its first vector. Raises InputError for NaN and infinity."""
    finite = np.isfinite(found.vectors).all(axis=1)
    if not finite.all():
        word = found.words[int(np.argmin(finite))]
        raise InputError(
            f"{path}: the vectors of {plural(int((~finite).sum()), 'word')} hold NaN or infinity,"
            f" first that of {word!r}. Get the file again."
        )
    first = {word: row for row, word in reversed(list(enumerate(found.words)))}
    if len(first) == len(found.words):
        return found
    say(f"{path}: {len(found.words) - len(first):,} repeated words; each keeps its first vector")
    rows = sorted(first.values())
    return NamedVectors([found.words[row] for row in rows], found.vectors[rows])


def read_word_vectors(path: Path) -> NamedVectors:
    """Read a file, plain or packed. Raises InputError, which names the place."""
    with UnpackedFile(path) as unpacked, io.BufferedReader(unpacked, BINARY_BLOCK) as file:
        line = file.readline(LONGEST_LINE)
        if line.startswith(FASTTEXT):
            raise InputError(f"{path}: is fastText's own binary form. Take its .vec file.")
        fields = line.split()
        if len(fields) != 2 or not all(field.isdigit() for field in fields):
            return read_text(path, file, line, 1, None, len(fields) - 1)
        n_words, dims = map(int, fields)
        if not 0 < n_words * dims <= (unpacked.most or path.stat().st_size):
            raise InputError(
                f"{path}: claims {n_words} words of {dims} dims, more than it can hold."
                f" {GIVE_WORD2VEC}"
            )
        line = file.readline(LONGEST_LINE)
        if row_of_text(line, dims) is not None:
            return read_text(path, file, line, 2, n_words, dims)
        return read_binary(path, file, line, n_words, dims)


def read_binary(path: Path, file: IO[bytes], data: bytes, n_words: int, dims: int) -> NamedVectors:
    """Read word by word; `data` is what of them was read before."""
    words, vectors, at = [], np.empty((n_words, dims), dtype=np.float32), 0
    for row in range(n_words):
        while (blank := data.find(b" ", at)) < 0 or len(data) <= blank + 4 * dims:
            more = file.read(BINARY_BLOCK)
            if not more or (blank < 0 and len(data) - at > BINARY_BLOCK):
                raise InputError(
                    f"{path}: cut short: it claims {n_words} words and ends in number {row + 1}."
                    f" Get it again. {GIVE_WORD2VEC}"
                )
            data, at = data[at:] + more, 0
        words.append(data[at:blank].lstrip(b"\n").decode("utf-8", "replace"))
        at = blank + 1 + 4 * dims
        vectors[row] = np.frombuffer(data, "<f4", dims, blank + 1)
    if (data[at:] + file.read(2)).strip():
        raise InputError(f"{path}: more follows its {n_words} words. {GIVE_WORD2VEC}")
    return NamedVectors(words, vectors)


def read_text(
    path: Path, file: IO[bytes], line: bytes, number: int, n_words: int | None, dims: int
) -> NamedVectors:
    """Read a line per word, from `line`, number `number`, on; `n_words` is what the file claims."""
    words: list[str] = []
    blocks: list[NDArray[np.float32]] = []
    rows: list[list[bytes]] = []
    for place, one in enumerate(lines_from(line, file), number):
        row = row_of_text(one, dims) if dims > 0 else None
        if row is None:
            raise InputError(
                f"{path}, line {place}: not a word and {max(dims, 1)} numbers. {GIVE_WORD2VEC}"
            )
        words.append(row[0].decode("utf-8", "replace"))
        rows.append(row[1:])
        if len(rows) == ROWS_OF_TEXT:
            blocks.append(np.array(rows, dtype=np.float32))
            rows = []
    if rows:
        blocks.append(np.array(rows, dtype=np.float32))
    if n_words not in (None, len(words)):
        raise InputError(
            f"{path}: cut short: it claims {n_words} words and has {len(words)}. Get it again."
        )
    return NamedVectors(words, np.concatenate(blocks))


def lines_from(line: bytes, file: IO[bytes]) -> Iterator[bytes]:
    """Yield a line, and those of the file that follow it, empty ones left out."""
    yield line
    yield from (one for one in file if one.strip())


def row_of_text(line: bytes, dims: int) -> list[Any] | None:
    """Return the word of a line and its numbers, still as bytes; None if it is no such line.

    A word can hold blanks, as some in GloVe do.
    """
    fields = line.rstrip().rsplit(b" ", dims)
    if len(fields) != dims + 1 or not fields[0]:
        return None
    try:
        for field in fields[1:]:
            float(field)
    except ValueError:
        return None
    return fields
