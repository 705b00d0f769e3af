"""Strata of the cold start: whether a text names the answer, or has its words; how long it is."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

if TYPE_CHECKING:
    from kgtextvec.evaluate.baselines import Baselines
    from kgtextvec.evaluate.ranking import Ranked
    from kgtextvec.space import Space

LENGTHS = ((0, 3), (4, 10), (11, 30), (31, 100), (101, None))  # words
SHORTEST = 3  # characters of a name that is looked for: shorter ones are in many words
NAMED_GROUPS = ("answer named", "answer not named")
OVERLAPS = ("no word of the answer", "up to half of its words", "more than half")

Strata = dict[str, dict[str, NDArray[np.bool_]]]


def strata_of_texts(space: "Space", baselines: "Baselines", ranked: "Ranked") -> Strata:
    """Return which queries (n,) belong to each stratum of the asking entity's text: by, group.

    `answer_in_text`: whether the answer's name is in the text, word for word. `lexical_overlap`:
    which share of the words of the answer's name, in any order, is in the text; words of fewer than
    SHORTEST characters aside. `text_words`: ranges of the number of words. Groups without any query
    are left out.
    """
    rows, place = np.unique(ranked.sources, return_inverse=True)
    texts, where = baselines.texts_of(rows)
    plain = [plain_words(texts[one]) for one in where.tolist()]
    answers, which = np.unique(ranked.answers, return_inverse=True)
    names = space.column("name").take(pa.array(answers)).fill_null("").to_pylist()
    plain_names = [plain_words(name) for name in names]
    named = names_in_texts(plain, plain_names, place, which)
    shares = shares_in_texts(plain, plain_names, place, which)
    overlaps = (shares == 0, (shares > 0) & (shares <= 0.5), shares > 0.5)
    lengths = np.array([len(text.split()) for text in plain])[place]
    of_lengths = {
        f"{low}-{high}" if high else f"{low}+": (lengths >= low) & (lengths <= (high or np.inf))
        for low, high in LENGTHS
    }
    found: Strata = {
        "answer_in_text": dict(zip(NAMED_GROUPS, (named, ~named), strict=True)),
        "lexical_overlap": dict(zip(OVERLAPS, overlaps, strict=True)),
        "text_words": of_lengths,
    }
    return {
        by: {group: some for group, some in groups.items() if some.any()}
        for by, groups in found.items()
    }


def plain_words(text: str) -> str:
    """Return the words of a text in lower case, with a blank before and after each."""
    words = " ".join(re.findall(r"[^\W_]+", text.casefold()))
    return f" {words} "


def names_in_texts(
    texts: Sequence[str],
    names: Sequence[str],
    place: NDArray[np.int64],
    which: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Return for each query (n,) whether the name `which` is in the text `place`, both plain."""
    long_enough = [len(name) >= SHORTEST + 2 for name in names]

    def is_named(text: int, name: int) -> bool:
        return long_enough[name] and names[name] in texts[text]

    return by_pair(is_named, len(names), place, which).astype(np.bool_)


def shares_in_texts(
    texts: Sequence[str],
    names: Sequence[str],
    place: NDArray[np.int64],
    which: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return for each query (n,) which share of the words of a name is in a text, both plain."""
    in_texts = [set(text.split()) for text in texts]
    of_names = [{word for word in name.split() if len(word) >= SHORTEST} for name in names]

    def share(text: int, name: int) -> float:
        return len(of_names[name] & in_texts[text]) / max(len(of_names[name]), 1)

    return by_pair(share, len(names), place, which)


def by_pair(
    value: Callable[[int, int], float],
    n_names: int,
    place: NDArray[np.int64],
    which: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return `value(text, name)` for each query (n,), computed once for each pair of them."""
    pairs, back = np.unique(place * np.int64(n_names) + which, return_inverse=True)
    found = np.array([value(*divmod(pair, n_names)) for pair in pairs.tolist()], np.float64)
    values: NDArray[np.float64] = found[back]
    return values
