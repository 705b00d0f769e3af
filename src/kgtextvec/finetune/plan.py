"""What a fine-tuning is to do, settled and checked before anything heavy starts."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.files import digest_of
from kgtextvec.finetune.corpus import (
    Corpus,
    Vocabulary,
    hold_out,
    read_corpus,
    read_sentences,
    read_softmax_words,
)
from kgtextvec.finetune.source import TrainingSource
from kgtextvec.finetune.train import TrainingSettings

# Bumped by hand when the same texts and settings give other numbers.
FINETUNE_RECIPE = 1
FULL_UP_TO = 20_000  # words of a vocabulary whose softmax is taken in full, left to itself
SENTENCES_A_ROW = 8  # at least, of held-out text: little is left over when the rows run out


@dataclass(frozen=True)
class Asked:
    """What a user asks for; None is what the checkpoint's options say, else bilm-tf's usual."""

    epochs: float = 1.0
    batch_size: int | None = None
    unroll_steps: int | None = None
    learning_rate: float | None = None
    dropout: float | None = None
    clip_norm: float | None = None
    softmax: str = "auto"
    samples: int | None = None
    seed: int = 0

    def settings(self, source: TrainingSource) -> TrainingSettings:
        """Return what training runs with. Raises InputError when it can't."""
        usual = TrainingSettings()

        def chosen(asked: Any, option: str, otherwise: Any) -> Any:
            return asked if asked is not None else source.training.get(option, otherwise)

        samples = chosen(self.samples, "n_negative_samples_batch", 8192)
        full = self.softmax == "full" or (self.softmax == "auto" and source.rows <= FULL_UP_TO)
        if not full and samples >= source.rows:
            raise InputError(
                f"finetune, samples: {samples:,} of a vocabulary of {source.rows:,} words. Give"
                " fewer, or softmax: full."
            )
        return TrainingSettings(
            batch_size=chosen(self.batch_size, "batch_size", usual.batch_size),
            unroll_steps=chosen(self.unroll_steps, "unroll_steps", usual.unroll_steps),
            learning_rate=chosen(self.learning_rate, "learning_rate", usual.learning_rate),
            dropout=chosen(self.dropout, "dropout", usual.dropout),
            clip_norm=chosen(self.clip_norm, "all_clip_norm_val", usual.clip_norm),
            samples=None if full else samples,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Texts:
    """The corpus to learn from and the one held out, and what the vocabulary doesn't hold."""

    learned: Corpus
    held: Corpus
    unknown: float

    def digest(self) -> str:
        """Return a digest of every number in it."""
        digest = hashlib.sha256()
        for corpus in (self.learned, self.held):
            for array in (corpus.words, corpus.spans, corpus.ids, corpus.chars):
                digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def rows(self) -> int:
        """Held-out sentences that are read side by side when they are measured."""
        return max(1, min(64, len(self.held.spans) // SENTENCES_A_ROW))


def read_training_texts(
    text: Path, held_out: str, tokens: str, seed: int, source: TrainingSource
) -> Texts:
    """Read the texts; `held_out` is a share of them, or a text of its own.

    Raises InputError when there is nothing to learn from, or nothing held out.
    """
    vocabulary = read_softmax_words(source.vocabulary, source.rows)
    corpus = corpus_of(text, tokens, vocabulary, source)
    try:
        share = float(held_out)
    except ValueError:
        held = corpus_of(Path(held_out), tokens, vocabulary, source)
        return Texts(corpus, held, corpus.unknown(vocabulary))
    if not 0 < share < 1:
        raise InputError(f"finetune, held_out: {held_out} is no share between 0 and 1. Correct it.")
    if len(corpus.spans) < 2:
        raise InputError(
            f"{text}: one sentence, so none can be held out. Put one sentence on a line."
        )
    return Texts(*hold_out(corpus, share, seed), corpus.unknown(vocabulary))


def corpus_of(text: Path, tokens: str, vocabulary: Vocabulary, source: TrainingSource) -> Corpus:
    """Read one text. Raises InputError when no word is in it."""
    corpus = read_corpus(read_sentences(text), tokens, vocabulary, source.config.max_characters)
    if not len(corpus.words):
        raise InputError(f"{text}: no word in it. Give a text with one sentence on a line.")
    return corpus


@dataclass(frozen=True)
class TrainingPlan:
    """All that a run needs to know before anything heavy starts. `key` names its work."""

    source: TrainingSource
    texts: Texts
    settings: TrainingSettings
    steps: int
    work: Path
    key: str


def make_plan(
    source: TrainingSource, texts: Texts, settings: TrainingSettings, epochs: float, work: Path
) -> TrainingPlan:
    """Put together what is to be done; a longer training goes on with a shorter one's work."""
    key = digest_of(
        {
            "recipe": FINETUNE_RECIPE,
            "source": source.identity,
            "texts": texts.digest(),
            "settings": asdict(settings),
        }
    )
    per_step = settings.batch_size * settings.unroll_steps
    steps = max(1, int(epochs * texts.learned.predictions / per_step))
    return TrainingPlan(
        source, texts, settings, steps, work.with_name(f"{work.name}-{key[:12]}"), key
    )
