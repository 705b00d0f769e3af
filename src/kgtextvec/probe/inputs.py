"""What a probe reads: its corpora by part, checked, and their distinct sentences."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.files import digest_of
from kgtextvec.probe.corpora import PairCorpus, TaggedCorpus, read_pairs, read_tagged
from kgtextvec.progress import say
from kgtextvec.settings.training import CorpusReading


class Sentences:
    """The distinct sentences of a corpus, numbered as they first come."""

    def __init__(self, sentences: Iterable[tuple[str, ...]]) -> None:
        self.number = {words: i for i, words in enumerate(dict.fromkeys(sentences))}
        self.all = list(self.number)
        self.offsets = np.cumsum([0, *map(len, self.all)])

    def rows(self, sentences: Iterable[tuple[str, ...]]) -> NDArray[np.int64]:
        """Return the numbers of those sentences."""
        return np.array([self.number[words] for words in sentences], dtype=np.int64)

    @property
    def digest(self) -> str:
        """The sha256 of all words in their order."""
        return digest_of(self.all)


@dataclass(frozen=True)
class Corpora:
    """A probe's corpora, read and checked: by part, and their distinct sentences."""

    probe: str
    files: dict[str, list[Path]]
    tagged: dict[str, TaggedCorpus]
    pairs: dict[str, PairCorpus]
    labels: tuple[str, ...]
    sentences: Sentences

    @classmethod
    def read(
        cls, probe: str, files: Mapping[str, Sequence[Path]], reading: CorpusReading
    ) -> "Corpora":
        """Read the files of the parts train, dev and test. Raises InputError at the first fault."""
        given = {part: list(paths) for part, paths in files.items() if paths}
        for part in ("train", "test"):
            if part not in given:
                raise InputError(f"probe.{probe}: no file to {part}. Name probe.{probe}.{part}.")
        tagged: dict[str, TaggedCorpus] = {}
        pairs: dict[str, PairCorpus] = {}
        for part, paths in given.items():
            if probe == "ner":
                tagged[part] = read_tagged(paths, reading.bad_tags == "repair")
                say(f"{part}: {tagged[part].summary_line()}")
                if not tagged[part].kinds:
                    raise InputError(f"{paths[-1]}: holds no entity. Name a file that has some.")
            else:
                pairs[part] = read_pairs(paths, reading.labels)
                say(f"{part}: {len(pairs[part].labels):,} pairs")
        sentences = [words for one in tagged.values() for words in one.sentences]
        for one in pairs.values():
            sentences += one.premises + one.hypotheses
        return cls(probe, given, tagged, pairs, reading.labels, Sentences(sentences))

    def notes(self) -> list[str]:
        """Say what makes scores look better than they are: test sentences seen in training."""
        found: dict[str, list[Any]] = {part: one.sentences for part, one in self.tagged.items()}
        for part, one in self.pairs.items():
            found[part] = list(zip(one.premises, one.hypotheses, strict=True))
        learned = set(found["train"])
        seen = sum(one in learned for one in found["test"])
        what = "sentences" if self.tagged else "pairs"
        note = f"{seen:,} of {len(found['test']):,} test {what} are in the training corpus too"
        return [note] if seen else []

    def counts(self) -> dict[str, Any]:
        """Return how much there is of everything, by part."""
        found: dict[str, Any] = {}
        for part, one in self.tagged.items():
            found[part] = {
                "sentences": len(one.sentences),
                "words": sum(map(len, one.sentences)),
                "entities": sum(map(len, one.entities)),
                **one.counts,
            }
        for part, pairs in self.pairs.items():
            labels = np.bincount(pairs.labels, minlength=len(self.labels)).tolist()
            by_label = dict(zip(self.labels, labels, strict=True))
            found[part] = {"pairs": len(pairs.labels), "labels": by_label}
        return found
