"""The text rule: from a row's columns to the one text that represents it."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from kgtextvec.errors import InputError
from kgtextvec.texts.findings import plain

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# What prints nothing: format characters (joiners, marks of direction …), fillers, selectors.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff"
)
VISIBLE = re.compile(rf"[^\s\x00-\x1f\x7f-\x9f{INVISIBLE}]")
HIDDEN = re.compile(f"[{INVISIBLE}]")

Cleaner = Callable[[Sequence[str], bool], list[str]]


def standard(texts: Sequence[str], odd: bool = True) -> list[str]:
    """Make control characters and every run of white space one blank, trim, drop U+FEFF.

    A text without any visible character becomes "". `odd` is false when no text can hold a tab,
    a line break, a control character or U+FEFF.
    """
    if odd:
        return [standard_one(text) for text in texts]
    return [
        text.strip() if text.isascii() and "  " not in text else standard_one(text)
        for text in texts
    ]


def standard_one(text: str) -> str:
    """Clean one text as `standard` does."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    cleaned = " ".join(CONTROL.sub(" ", text.replace("\ufeff", "")).split())
    return cleaned if VISIBLE.search(cleaned) else ""


def nfc(texts: Sequence[str], odd: bool = True) -> list[str]:
    """Clean as `standard` does and compose letters with their accents (Unicode NFC)."""
    return [unicodedata.normalize("NFC", text) for text in standard(texts, odd)]


def none(texts: Sequence[str], odd: bool = True) -> list[str]:
    """Leave texts as they are; those without any visible character become ""."""
    return [text if VISIBLE.search(text) else "" for text in texts]


CLEANERS: dict[str, Cleaner] = {"standard": standard, "nfc": nfc, "none": none}

OPENING, BRACKETS = "([{<", {"()", "[]", "{}", "<>"}
LEADING = re.compile(rf"[^\w{re.escape(OPENING)}]*")
TRAILING = re.compile(r"[\s:,;|/+&=·–—-]*$")


@dataclass(frozen=True)
class TextRule:
    """A list of columns (the first that isn't empty is the text) or a template.

    `literals` is empty for a list; for a template it holds the pieces around the columns, one
    more than there are columns.
    """

    rule: str
    columns: tuple[str, ...]
    literals: tuple[str, ...] = ()
    shapes: dict[tuple[bool, ...], list[str]] = field(default_factory=dict, compare=False)

    def texts(
        self, columns: dict[str, list[str]], clean: Cleaner, keys: Sequence[str], odd: bool
    ) -> tuple[list[str], list[str]]:
        """Return (texts, the column that gave each; "" for none); an empty text is "".

        `columns` holds one list of raw fields per column. In a template the columns of `keys`
        (id, label) don't make a text by themselves when it names others, too. `odd`: see
        `standard`.
        """
        if self.literals:
            return self.filled(columns, clean, keys, odd)
        texts = clean(columns[self.columns[0]], odd)
        given = [self.columns[0] if text else "" for text in texts]
        for name in self.columns[1:]:
            if all(texts):
                break
            empty = [row for row, text in enumerate(texts) if not text]
            raw = columns[name]
            for row, text in zip(empty, clean([raw[row] for row in empty], odd), strict=True):
                if text:
                    texts[row], given[row] = text, name
        return texts, given

    def filled(
        self, columns: dict[str, list[str]], clean: Cleaner, keys: Sequence[str], odd: bool
    ) -> tuple[list[str], list[str]]:
        """Fill the template in for every row, as `texts` says."""
        own = [place for place, name in enumerate(self.columns) if name not in keys]
        own = own or list(range(len(self.columns)))
        values = [clean(columns[name], odd) for name in self.columns]
        plain_literals = "".join(self.literals).isprintable()
        if all(map(all, values)):
            parts: list[Iterable[str]] = [repeat(self.literals[0])]
            for value, literal in zip(values, self.literals[1:], strict=True):
                parts += (value, repeat(literal))
            texts = clean(list(map("".join, zip(*parts, strict=False))), odd or not plain_literals)
            return texts, ["template" if text else "" for text in texts]
        made = []
        for row in zip(*values, strict=True):
            if not any(row[place] for place in own):
                made.append("")
                continue
            shape = tuple(map(bool, row))
            literals = self.shapes.get(shape)
            if literals is None:
                literals = self.shapes[shape] = around(self.literals, shape)
            pieces = [literals[0]]
            for value, literal in zip(row, literals[1:], strict=True):
                pieces += (value, literal)
            made.append("".join(pieces))
        texts = clean(made, odd or not plain_literals)
        return texts, ["template" if text else "" for text in texts]


def around(literals: Sequence[str], shape: Sequence[bool]) -> list[str]:
    """Return a template's literals when only the columns where `shape` is true are filled.

    A column left out takes the punctuation and blanks that follow it along, or, when it stands
    in brackets, these; at the end of the template it takes the separator before it. Words stay.
    """
    kept = list(literals)
    for place, filled in enumerate(shape):
        if filled:
            continue
        before, after = kept[place].rstrip(), kept[place + 1].lstrip()
        if before[-1:] + after[:1] in BRACKETS:
            kept[place], kept[place + 1] = before[:-1].rstrip(), after[1:]
        else:
            kept[place + 1] = LEADING.sub("", kept[place + 1], count=1)
    last = max((place for place, filled in enumerate(shape) if filled), default=-1)
    if last < len(shape) - 1:
        tail = "".join(kept[last + 1 :])
        kept[last + 1 :] = ["" for _ in kept[last + 1 :]]
        kept[last + 1] = TRAILING.sub("", tail)
    return kept


def parse_rule(rule: str) -> TextRule:
    """Read `description,name` or `{label}: {name}. {description}`; `{{` stands for a brace.

    Raises InputError when it names no column or has a brace without its other half.
    """
    if "{" not in rule and "}" not in rule:
        columns = tuple(name.strip() for name in rule.split(","))
        if not all(columns) or len(set(columns)) < len(columns):
            raise InputError(
                f"text: {plain(rule)!r} has an empty or repeated column. Give columns"
                " separated by commas, such as description,name."
            )
        return TextRule(rule, columns)
    pieces = re.split(r"\{\{|\}\}|\{([^{}]*)\}", rule)
    marks = re.findall(r"\{\{|\}\}|\{[^{}]*\}", rule)
    literals, names = [pieces[0]], []
    for mark, name, literal in zip(marks, pieces[1::2], pieces[2::2], strict=True):
        if mark in {"{{", "}}"}:
            literals[-1] += mark[0] + literal
        else:
            names.append((name or "").strip())
            literals.append(literal)
    stray = any("{" in piece or "}" in piece for piece in pieces[0::2])
    if stray or not all(names) or not names:
        raise InputError(
            f"text: {plain(rule)!r} is not a template. Write columns in braces, such as"
            " {label}: {name}. {description}; {{ stands for a brace itself."
        )
    return TextRule(rule, tuple(names), tuple(literals))
