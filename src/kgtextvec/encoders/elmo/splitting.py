"""Many texts to words at once: the words of `words.split_words`, with little work for each.

A block of texts is one array of bytes. numpy finds the pieces between white space, pyarrow numbers
the distinct ones, and Python's rules split each of those once. Nearly all of it runs without the
interpreter's lock, so that threads can prepare several blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from kgtextvec.encoders.elmo.trie import Ints
from kgtextvec.encoders.elmo.words import check_tokens, ends_sentence, splitter_of

END_OF_TEXT = 0xFF  # never part of UTF-8
FIRST_OF_TWO = "cglwCGLW"  # "cannot" and the other words that are two begin with one of these
LONE_SURROGATES = "surrogatepass"  # Python's strings may have them
WHITE_SPACE = [chr(code) for code in range(0x3001) if chr(code).isspace()]
SPACE = np.zeros(256, dtype=np.bool_)
SPACE[[END_OF_TEXT, *(ord(sign) for sign in WHITE_SPACE if sign.isascii())]] = True
LONG_SPACES = [sign.encode() for sign in WHITE_SPACE if not sign.isascii()]


@dataclass(frozen=True)
class SplitTexts:
    """Texts as words: text i has the next `n_words[i]` of `distinct[number]`.

    `distinct`: each word once, in the order in which they come first; `numbers` (n_words,).
    """

    distinct: list[str]
    numbers: Ints
    n_words: Ints


def split_all(texts: Sequence[str], tokens: str) -> SplitTexts:
    """Split each text as `split_words` does. Raises InputError on an unknown rule."""
    check_tokens(tokens)
    pieces = number_pieces(texts)
    if tokens == "whitespace":
        return pieces
    variants = with_ends(pieces)
    n_distinct = len(pieces.distinct)
    # In the order in which variants come first, so that the words do, too.
    first = np.full(2 * n_distinct, len(variants))
    first[variants[::-1]] = np.arange(len(variants))[::-1]  # the last to write is the first to come
    used = np.flatnonzero(first < len(variants))
    used = used[np.argsort(first[used])]
    rank = np.empty(2 * n_distinct, dtype=np.int64)
    rank[used] = np.arange(len(used))
    split = splitter_of(tokens)
    spelled = pieces.distinct * 2
    parts = [
        (piece,)
        if piece.isalnum() and piece[0] not in FIRST_OF_TWO
        else split(piece, variant >= n_distinct)
        for variant, piece in ((variant, spelled[variant]) for variant in used.tolist())
    ]
    number_of: dict[str, int] = {}
    words = np.array(
        [number_of.setdefault(word, len(number_of)) for word in chain.from_iterable(parts)],
        dtype=np.int64,
    )
    sizes = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
    numbers, n_words = items_of_runs(words, sizes, rank[variants])
    before, ends = np.concatenate([[0], np.cumsum(n_words)]), np.cumsum(pieces.n_words)
    return SplitTexts(list(number_of), numbers, before[ends] - before[ends - pieces.n_words])


def with_ends(pieces: SplitTexts) -> Ints:
    """Return the pieces' numbers (n_pieces,), plus the number of distinct ones at sentences' ends.

    A piece with a period may have other words where it ends a sentence.
    """
    distinct, variants, n_distinct = pieces.distinct, pieces.numbers.copy(), len(pieces.distinct)
    dotted = np.fromiter(("." in piece for piece in distinct), dtype=np.bool_, count=n_distinct)
    at = np.flatnonzero(dotted[variants])
    following = np.append(variants, n_distinct)[at + 1]
    last_of_text = np.zeros(len(variants) + 1, dtype=np.bool_)
    last_of_text[np.cumsum(pieces.n_words) - 1] = True
    following[last_of_text[at]] = n_distinct
    pairs, pair = np.unique(variants[at] * (n_distinct + 1) + following, return_inverse=True)
    spelled = [*distinct, ""]
    firsts, seconds = (part.tolist() for part in np.divmod(pairs, n_distinct + 1))
    ends = [ends_sentence(spelled[a], spelled[b]) for a, b in zip(firsts, seconds, strict=True)]
    variants[at[np.array(ends, dtype=np.bool_)[pair]]] += n_distinct
    return variants


def items_of_runs(items: Ints, sizes: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """Return the items of chosen runs, one run after the other, and the size of each.

    Run i is the next sizes[i] of `items`.
    """
    n_items = sizes[chosen]
    if (n_items == 1).all():
        return items[(np.cumsum(sizes) - sizes)[chosen]], n_items
    begins = (np.cumsum(sizes) - sizes)[chosen] - np.cumsum(n_items) + n_items
    return items[np.repeat(begins, n_items) + np.arange(n_items.sum())], n_items


def number_pieces(texts: Sequence[str]) -> SplitTexts:
    """Cut texts at white space, as `str.split` does."""
    import pyarrow as pa

    encoded = b"\xff".join([b"", *(text.encode("utf-8", LONE_SURROGATES) for text in texts), b""])
    signs = np.frombuffer(encoded, dtype=np.uint8)
    space = SPACE[signs]
    mark_long_spaces(signs, space)
    edges = np.flatnonzero(space[1:] != space[:-1]) + 1
    starts, stops = edges[0::2], edges[1::2]
    bounds = np.searchsorted(starts, np.flatnonzero(signs == END_OF_TEXT))
    data, offsets = signs[~space], np.concatenate([[0], np.cumsum(stops - starts)])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    numbered = pa.Array.from_buffers(pa.large_binary(), len(starts), buffers).dictionary_encode()
    return SplitTexts(
        [piece.decode("utf-8", LONE_SURROGATES) for piece in numbered.dictionary.to_pylist()],
        numbered.indices.to_numpy().astype(np.int64),
        np.diff(bounds),
    )


def mark_long_spaces(signs: NDArray[np.uint8], space: NDArray[np.bool_]) -> None:
    """Mark in `space` the bytes of white space that takes two bytes or three."""
    high = np.flatnonzero((signs >= 0xC2) & (signs < 0xE4))
    high = high[np.isin(signs[high], [long[0] for long in LONG_SPACES])]
    for long in LONG_SPACES:
        # A first byte of UTF-8 has its others behind it, and then at least an end of text.
        found = high[signs[high] == long[0]]
        for place, sign in enumerate(long[1:], 1):
            found = found[signs[found + place] == sign]
        for place in range(len(long)):
            space[found + place] = True
