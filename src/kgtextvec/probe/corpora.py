"""The users' corpora: CoNLL files and BC2GM's own for entities, JSON lines for inference."""

import re
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgtextvec.encoders.elmo.words import split_words
from kgtextvec.errors import InputError
from kgtextvec.files import parse_json
from kgtextvec.probe.mentions import Mentions, Span
from kgtextvec.probe.tags import Entity, read_tags, split_tag
from kgtextvec.settings.training import PairReading

# Our names and those of SNLI's and MedNLI's files.
PREMISE, HYPOTHESIS, LABEL = (
    ("premise", "sentence1"),
    ("hypothesis", "sentence2"),
    ("label", "gold_label"),
)
GENE = "GENE"
# Letters and digits together, any other character alone: BC2GM's texts come unsplit.
WORD = re.compile(r"[^\W_]+|\S")


@dataclass(frozen=True)
class TaggedCorpus:
    """Sentences as words, and the entities of each; `counts` has what was repaired.

    `mentions`: those of BC2GM's files, where its alternative mentions were given.
    """

    sentences: list[tuple[str, ...]]
    entities: list[list[Entity]]
    counts: dict[str, int]
    mentions: Mentions | None = None

    @property
    def kinds(self) -> list[str]:
        """Types of entities, sorted."""
        return sorted({kind for found in self.entities for _, _, kind in found})

    def summary_line(self) -> str:
        """Return what the corpus has, in one line."""
        n_words, n_entities = sum(map(len, self.sentences)), sum(map(len, self.entities))
        sizes = f"{len(self.sentences):,} sentences, {n_words:,} words, {n_entities:,} entities"
        repairs = [f"{n:,} {what.replace('_', ' ')}" for what, n in self.counts.items() if n]
        return ", ".join([sizes, *repairs])


@dataclass(frozen=True)
class PairCorpus:
    """Premises and hypotheses as words, and the number of each pair's label."""

    premises: list[tuple[str, ...]]
    hypotheses: list[tuple[str, ...]]
    labels: list[int]


def read_lines(path: Path) -> list[str]:
    """Read a UTF-8 file's lines. Raises InputError if it is absent, empty or not UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}). Check its path.") from None
    if not data.strip():
        raise InputError(f"{path}: is empty. Name a file that holds the corpus.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}, line {line}: not UTF-8 ({error.reason}). Convert it.") from None
    return [line.removesuffix("\r") for line in text.split("\n")]


def read_tagged(paths: list[Path], repair: bool = False) -> TaggedCorpus:
    """Read a corpus of entities: one CoNLL file, or BC2GM's sentences and its mentions.

    `repair`: an I or E without an entity to continue starts one, and is counted; else it is an
    error. Raises InputError, with file and line, at what can't be read.
    """
    if len(paths) == 1:
        return read_conll(paths[0], repair)
    if len(paths) in (2, 3):
        return read_bc2gm(*paths)
    raise InputError(
        f"probe.ner: {len(paths)} files were given. Name one CoNLL file, or BC2GM's sentences and"
        " its GENE.eval."
    )


def read_conll(path: Path, repair: bool) -> TaggedCorpus:
    """Read a CoNLL file: a word a line, its tag last, an empty line between sentences.

    Columns are separated by tabs, or else by spaces. Lines of `-DOCSTART-` are left out.
    """
    words: list[list[str]] = [[]]
    tags: list[list[tuple[int, tuple[str, str]]]] = [[]]
    columns = 0
    for number, line in enumerate(read_lines(path), 1):
        fields = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or fields[0] == "-DOCSTART-":
            if words[-1]:
                words.append([])
                tags.append([])
            continue
        columns = columns or len(fields)
        if len(fields) != columns or columns < 2 or not fields[0].strip():
            raise InputError(
                f"{path}, line {number}: {len(fields)} columns, {max(columns, 2)} are needed: a"
                " word, its tag last, tabs or spaces between. Correct the line."
            )
        tag = split_tag(fields[-1].strip())
        if tag is None:
            raise InputError(
                f"{path}, line {number}: the tag {fields[-1].strip()!r} is not one of O, B-…, I-…,"
                " E-…, S-… . Correct the line, or convert the file."
            )
        words[-1].append(fields[0].strip())
        tags[-1].append((number, tag))
    ends = any(prefix in "ES" for sentence in tags for _, (prefix, _) in sentence)
    entities, repaired = [], 0
    for sentence in tags:
        found, faults = read_tags([tag for _, tag in sentence], ends)
        if faults and not repair:
            place, what = faults[0]
            raise InputError(
                f"{path}, line {sentence[place][0]}: {what}. Correct the tags, or write"
                " probe.ner.bad_tags: repair to read them as conlleval does."
            )
        repaired += len(faults)
        entities.append(found)
    if not words[-1]:
        words, entities = words[:-1], entities[:-1]
    if not words:
        raise InputError(f"{path}: holds no sentence. Name a file that holds the corpus.")
    return TaggedCorpus([tuple(one) for one in words], entities, {"tags_repaired": repaired})


def read_bc2gm(sentences: Path, genes: Path, alternatives: Path | None = None) -> TaggedCorpus:
    """Read BioCreative II's gene mentions: lines `ID text`, and lines `ID|first last|mention`.

    First and last character of a mention count from 0 without spaces, both included. Words are
    runs of letters and digits, any other character is a word. A mention that begins or ends
    inside a word takes the complete word (`widened`); of mentions that overlap, the longest stays
    (`overlapping`). `alternatives` is ALTGENE.eval, of the same form: it counts for
    BioCreative's scores alone.
    """
    order: dict[str, int] = {}
    words: list[tuple[str, ...]] = []
    for number, line in enumerate(read_lines(sentences), 1):
        if not line.strip():
            continue
        name, _, text = line.partition(" ")
        if not text.strip() or name in order:
            what = f"{name} came before" if name in order else "not an id, a space and a text"
            raise InputError(f"{sentences}, line {number}: {what}. Correct the line.")
        order[name] = len(words)
        words.append(tuple(WORD.findall(text)))
    starts = [word_starts(one) for one in words]
    mentions: list[list[Entity]] = [[] for _ in words]
    spans: tuple[list[list[Span]], ...] = ([[] for _ in words], [[] for _ in words])
    counts: Counter[str] = Counter(widened=0, overlapping=0)
    for number, line in enumerate(read_lines(genes), 1):
        if not line.strip():
            continue
        row, first, last = read_mention(line, order, words, f"{genes}, line {number}")
        spans[0][row].append((first, last))
        begin = bisect_right(starts[row], first) - 1
        end = bisect_right(starts[row], last)
        counts["widened"] += starts[row][begin] != first or starts[row][end] != last + 1
        mentions[row].append((begin, end, GENE))
    for number, line in enumerate(read_lines(alternatives) if alternatives else (), 1):
        if line.strip():
            row, *ends = read_mention(line, order, words, f"{alternatives}, line {number}")
            spans[1][row].append((ends[0], ends[1]))
    entities = []
    for found in mentions:
        kept: list[Entity] = []
        for one in sorted(set(found), key=lambda one: (one[0] - one[1], one)):
            if all(one[1] <= other[0] or other[1] <= one[0] for other in kept):
                kept.append(one)
        counts["overlapping"] += len(found) - len(kept)
        entities.append(sorted(kept))
    own = Mentions(*spans) if alternatives else None
    return TaggedCorpus(words, entities, dict(counts), own)


def word_starts(words: tuple[str, ...]) -> list[int]:
    """Return where each word starts, spaces not counted, and last where the text ends."""
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    return starts


def read_mention(
    line: str, order: dict[str, int], words: list[tuple[str, ...]], where: str
) -> tuple[int, int, int]:
    """Read a line of GENE.eval: the sentence's row, the mention's first and last character."""
    found = re.fullmatch(r"([^|]+)\|(\d+) (\d+)\|(.*)", line)
    if not found:
        raise InputError(f"{where}: not of the form ID|first last|mention. Correct the line.")
    name, first, last = found[1], int(found[2]), int(found[3])
    if name not in order:
        raise InputError(f"{where}: no sentence has the id {name}. Give the files of one set.")
    text = "".join(words[order[name]])[first : last + 1]
    if not text or text != "".join(found[4].split()):
        raise InputError(
            f"{where}: characters {first} to {last} of {name} (spaces not counted) are {text!r},"
            f" not {found[4]!r}. Give the files of one set."
        )
    return order[name], first, last


def read_pairs(paths: list[Path], labels: tuple[str, ...] = PairReading().labels) -> PairCorpus:
    """Read JSON lines of premise, hypothesis, label (or sentence1, sentence2, gold_label).

    Texts become words by the Treebank's rules, split at hyphens, for every model alike. Raises
    InputError, with file and line, at a line that isn't so or has a label that is none of `labels`.
    """
    if len(paths) > 1:
        raise InputError(
            f"probe.nli: {paths[1]} is one file too many. Put all lines into one file."
        )
    path, pairs = paths[0], PairCorpus([], [], [])
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = parse_json(line)
        except ValueError as error:
            raise InputError(f"{where}: not valid JSON ({error}). Correct the line.") from None
        premise, hypothesis, label = (
            text_field(row, names, where) for names in (PREMISE, HYPOTHESIS, LABEL)
        )
        if label not in labels:
            raise InputError(
                f"{where}: the label {label!r} is not one of {', '.join(labels)}. Leave the line"
                " out, or name all labels in probe.nli.labels."
            )
        for text, into in ((premise, pairs.premises), (hypothesis, pairs.hypotheses)):
            into.append(tuple(split_words(text)))
            if not into[-1]:
                raise InputError(f"{where}: a text without words. Leave the line out.")
        pairs.labels.append(labels.index(label))
    return pairs


def text_field(row: Any, names: tuple[str, str], where: str) -> str:
    """Return the text that a line has under one of two names."""
    found = (
        next((row[name] for name in names if name in row), None) if isinstance(row, dict) else None
    )
    if not isinstance(found, str):
        raise InputError(f"{where}: no text {names[0]!r} (or {names[1]!r}). Correct the line.")
    return found
