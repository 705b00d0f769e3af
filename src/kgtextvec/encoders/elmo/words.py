"""Texts to words, for models that read words: Penn Treebank rules, optionally split at hyphens.

The rules are those of the Treebank's tokenization (commas, brackets, quotes and clitics stand
alone; a period only at the end of a sentence), reimplemented: each piece between white space is
split by itself, so pieces that repeat are split once. Nothing is downloaded.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

from kgtextvec.errors import InputError

TOKENS = ("treebank_hyphen", "treebank", "whitespace")

# A period after these ends no sentence, whatever follows; one letter alone never does either.
ABBREVIATIONS = re.compile(
    r"al|approx|ca|cf|dr|eg|eq|etc|figs?|incl|jr|mrs?|ms|nos?|nr|pp|prof|refs?|spp?|ssp|st|subsp"
    r"|var|viz|vol|vs",
    re.IGNORECASE,
)
CLOSERS = "\"'’”)]}>"
OPENERS = "\"'‘“([{<`"

SPACED: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\.\.\.", " ... "),
        (r"[:,](?=\D|$)", r" \g<0> "),
        (r"[;@#$%&?!]", r" \g<0> "),
        (r"[\[\](){}<>]", r" \g<0> "),
        (r"--+", r" \g<0> "),
        (r"``|[“‘„«]", r" \g<0> "),
        (r"''|[”»]", r" \g<0> "),
        (r"^\"|(?<=[\[({<] )\"", " `` "),
        (r"\"", " '' "),
        (r"(?i)(?<=[^\s'’])(?:['’](?:s|m|d|ll|re|ve)|n['’]t|['’])(?=\s|$)", r" \g<0> "),
        (r"(?i)(?<!\S)(can)(not)(?!\S)", r"\1 \2"),
        (r"(?i)(?<!\S)(gim|lem)(me)(?!\S)", r"\1 \2"),
        (r"(?i)(?<!\S)(gon|wan)(na)(?!\S)", r"\1 \2"),
        (r"(?i)(?<!\S)(got)(ta)(?!\S)", r"\1 \2"),
        (r"(?i)(?<!\S)(['’]t)(is|was)(?!\S)", r"\1 \2"),
    )
]
LAST_PERIOD = re.compile(r"(?<=[^.])\.(?=[\"'’”)\]}>]*$)")
HYPHENS = re.compile(r"[-‐‑]|[^-‐‑]+")


def check_tokens(tokens: str) -> None:
    """Raise InputError unless `tokens` is a rule."""
    if tokens not in TOKENS:
        raise InputError(
            f"config, tokens: {tokens!r} is not one of {', '.join(TOKENS)}. Choose one."
        )


def split_words(text: str, tokens: str = "treebank_hyphen") -> list[str]:
    """Split a text into words by the rule `tokens`.

    `whitespace`: at white space only. `treebank`: the Treebank's rules. `treebank_hyphen`: the
    same, and every hyphen inside a word is a word (`IL-2` gives `IL`, `-`, `2`). Raises InputError
    on another rule. No word is ever empty; a text of white space has no words.
    """
    check_tokens(tokens)
    pieces = text.split()
    if tokens == "whitespace":
        return pieces
    split = splitter_of(tokens)
    return [
        word
        for piece, after in zip_longest(pieces, pieces[1:], fillvalue="")
        for word in split(piece, "." in piece and ends_sentence(piece, after))
    ]


def splitter_of(tokens: str) -> Callable[[str, bool], tuple[str, ...]]:
    """Return the function that splits a piece by the Treebank's rules, or at hyphens as well."""
    return split_piece if tokens == "treebank" else split_hyphens


def ends_sentence(piece: str, following: str) -> bool:
    """Say whether a period at the end of `piece` ends a sentence, given the piece after it."""
    if not following:
        return True
    body = piece.rstrip(CLOSERS)
    if not body.endswith("."):
        return False
    start = following.lstrip(OPENERS)[:1]
    if not (start.isupper() or start.isdigit()):
        return False
    word = body[:-1].lstrip(OPENERS)
    return len(word) > 1 and "." not in word and not ABBREVIATIONS.fullmatch(word)


@lru_cache(maxsize=1 << 17)
def split_piece(piece: str, last: bool) -> tuple[str, ...]:
    """Split a piece without white space; `last`: a period at its end ends a sentence."""
    if piece.isalnum() and not piece.lower().startswith(("can", "gim", "lem", "gon", "wan", "got")):
        return (piece,)
    if last:
        piece = LAST_PERIOD.sub(" . ", piece)
    for pattern, replacement in SPACED:
        piece = pattern.sub(replacement, piece)
    return tuple(piece.split())


@lru_cache(maxsize=1 << 17)
def split_hyphens(piece: str, last: bool) -> tuple[str, ...]:
    """Split a piece by the Treebank's rules, then at hyphens; runs of hyphens stay together."""
    words: list[str] = []
    for word in split_piece(piece, last):
        words += HYPHENS.findall(word) if word.strip("-") else [word]
    return tuple(words)


def read_word_list(path: Path) -> frozenset[str]:
    """Read a vocabulary file, one word per line, UTF-8. Raises InputError when it isn't one."""
    try:
        return frozenset(path.read_text("utf-8").split("\n")) - {""}
    except FileNotFoundError:
        raise InputError(f"{path}: no such vocabulary file. Check its path.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: the vocabulary is not UTF-8 ({error.reason}). Save it as UTF-8."
        ) from None


@dataclass(frozen=True)
class Audit:
    """How many of some texts' words a vocabulary holds; `unknown` the most frequent others."""

    words: int
    known: int
    distinct: int
    distinct_known: int
    unknown: list[tuple[str, int]]

    def summary_line(self) -> str:
        """Return the counts in one line."""
        share = 100 * self.known / max(self.words, 1)
        some = ", ".join(word for word, _ in self.unknown[:5]) or "none"
        return (
            f"{share:.2f} % of {self.words:,} words are in the vocabulary"
            f" ({self.distinct_known:,} of {self.distinct:,} distinct); not in it: {some}"
        )


def audit_vocabulary(counts: Counter[str], vocabulary: frozenset[str]) -> Audit:
    """Count the words, given with their numbers, that `vocabulary` holds."""
    unknown = Counter({word: n for word, n in counts.items() if word not in vocabulary})
    words, distinct = counts.total(), len(counts)
    return Audit(
        words=words,
        known=words - unknown.total(),
        distinct=distinct,
        distinct_known=distinct - len(unknown),
        unknown=unknown.most_common(20),
    )
