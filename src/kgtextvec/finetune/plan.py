"""The plan of a fine-tuning, checked before anything heavy starts."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.files import digest_of
from kgtextvec.finetune import RECIPE
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
from kgtextvec.settings.training import FineTuning

FULL_UP_TO = 20_000  # words of a vocabulary whose softmax is taken in full, left to itself
SENTENCES_A_ROW = 8  # at least, of held-out text: little is left over when the rows run out


def training_settings(training: FineTuning, source: TrainingSource) -> TrainingSettings:
    """Return the settings with the defaults of the checkpoint's options, else of bilm-tf.

    Raises InputError when the softmax would sample as many words as there are.
    """
    usual = TrainingSettings()

    def chosen(given: Any, option: str, otherwise: Any) -> Any:
        return given if given is not None else source.training.get(option, otherwise)

    samples = chosen(training.samples, "n_negative_samples_batch", 8192)
    # What the checkpoint was trained with; without a word on it, its size decides.
    as_before = not source.training.get("sample_softmax", source.rows > FULL_UP_TO)
    full = training.softmax == "full" or (training.softmax == "auto" and as_before)
    if not full and samples >= source.rows:
        raise InputError(
            f"finetune, samples: {samples:,} of a vocabulary of {source.rows:,} words. Give"
            " fewer, or softmax: full."
        )
    return TrainingSettings(
        batch_size=chosen(training.batch_size, "batch_size", usual.batch_size),
        unroll_steps=chosen(training.unroll_steps, "unroll_steps", usual.unroll_steps),
        learning_rate=chosen(training.learning_rate, "learning_rate", usual.learning_rate),
        dropout=chosen(training.dropout, "dropout", usual.dropout),
        clip_norm=chosen(training.clip_norm, "all_clip_norm_val", usual.clip_norm),
        samples=None if full else samples,
        seed=training.seed,
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


def read_training_texts(text: Path, training: FineTuning, source: TrainingSource) -> Texts:
    """Read the text to learn from, and the one to measure on.

    Raises InputError when there is nothing to learn from, or nothing held out.
    """
    tokens = training.tokens or "whitespace"
    vocabulary = read_softmax_words(source.vocabulary, source.rows)
    corpus = corpus_of(text, tokens, vocabulary, source)
    if isinstance(training.held_out, str):
        held = corpus_of(Path(training.held_out), tokens, vocabulary, source)
        return Texts(corpus, held, corpus.unknown(vocabulary))
    if len(corpus.spans) < 2:
        raise InputError(
            f"{text}: one sentence, so none can be held out. Put one sentence on a line."
        )
    return Texts(*hold_out(corpus, training.held_out, training.seed), corpus.unknown(vocabulary))


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
    """Return the plan of a run; a longer training continues the work of a shorter one."""
    key = digest_of(
        {
            "recipe": RECIPE["finetune_model"],
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
