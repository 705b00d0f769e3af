"""Settings of what is trained: language models further, and probes of word vectors."""

from typing import Annotated, Literal

from msgspec import Meta, field

from kgtextvec.settings.base import Count, FilePath, Seed, Settings, WordSplitter, about
from kgtextvec.settings.models import Compute


class FineTuning(Settings):
    """How a language model is trained further."""

    tokens: Annotated[
        WordSplitter | None,
        about(
            "how a sentence is split into words; by default as the model splits its texts for a"
            " table, `whitespace` for a file"
        ),
    ] = None
    held_out: Annotated[
        Annotated[float, Meta(gt=0, lt=1)] | FilePath,
        about("text to measure on: a share of the sentences (1,000 at most), or a file"),
    ] = 0.05
    epochs: Annotated[
        float, about("passes over the text; a higher number resumes where a lower one ended", gt=0)
    ] = 1
    batch_size: Annotated[
        Count | None, about("batch size; by default that of the checkpoint's options")
    ] = None
    unroll_steps: Annotated[
        Count | None,
        about("truncated-BPTT length in words; by default that of the options"),
    ] = None
    learning_rate: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        about("learning rate of Adagrad; by default that of the options, else 0.2"),
    ] = None
    dropout: Annotated[
        Annotated[float, Meta(ge=0, lt=1)] | None,
        about("dropout; by default that of the options, else 0.1"),
    ] = None
    clip_norm: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        about("clips the norm of all gradients; by default that of the options, else 10"),
    ] = None
    softmax: Annotated[
        Literal["auto", "full", "sampled"], about("`auto` is `full` up to 20,000 words")
    ] = "auto"
    samples: Annotated[
        Count | None, about("words per sample; by default that of the options, else 8192")
    ] = None
    seed: Annotated[Seed, about("seed of the order, dropout, samples and held-out text")] = 0
    snapshot_minutes: Annotated[
        float, about("how often training is stored; a killed job loses no more", "run")
    ] = 10


class FineTune(FineTuning, kw_only=True):
    """A language model to be trained further."""

    origin: Annotated[
        str, about("an ELMo of the catalogue that comes as a training checkpoint")
    ] = field(name="from")
    text: Annotated[
        FilePath,
        about("the training text: a table of the config (its distinct texts), or a file with one"
              " sentence per line"),
    ]  # fmt: skip


class GeneFiles(Settings, kw_only=True):
    """BC2GM's two files."""

    sentences: Annotated[FilePath, about("sentences, one per line with an id")]
    genes: Annotated[FilePath, about("GENE.eval: the genes in them")]


Tagged = FilePath | GeneFiles


class TagReading(Settings):
    """How tags of a NER corpus are read."""

    bad_tags: Annotated[
        Literal["error", "repair"],
        about("I-/E- tag without an entity to continue: error, or repair as conlleval does"
              " (counted)"),
    ] = "error"  # fmt: skip


Scheme = Annotated[Literal["bio", "bioes"], about("the tags to learn; files may have either")]


class TagScheme(TagReading):
    """How tags are read, and which are learned."""

    scheme: Scheme = "bio"


class Ner(TagScheme, kw_only=True):
    """Entities in sentences."""

    train: Annotated[
        Tagged,
        about("a CoNLL file (a word per line, its tag last), or `{sentences: …, genes: …}`: BC2GM's"
              " sentences and GENE.eval"),
    ]  # fmt: skip
    test: Annotated[Tagged, about("the corpus to score on")]


Labels = Annotated[
    Annotated[tuple[Annotated[str, Meta(pattern="^[^,]+$")], ...], Meta(min_length=2)],
    about("all labels; any other is an error"),
]


class PairReading(Settings):
    """How an inference corpus is read."""

    labels: Labels = ("entailment", "neutral", "contradiction")


class CorpusReading(TagReading):
    """How the corpora of a probe are read: NER corpora, then inference corpora."""

    labels: Labels = PairReading().labels


class CorpusScheme(CorpusReading):
    """How the corpora of a probe are read, and which tags are learned."""

    scheme: Scheme = TagScheme().scheme


class Nli(PairReading, kw_only=True):
    """Whether one sentence follows from another."""

    train: Annotated[
        FilePath,
        about("JSON lines of `premise`, `hypothesis`, `label` (or `sentence1`, `sentence2`,"
              " `gold_label`)"),
    ]  # fmt: skip
    dev: Annotated[
        FilePath | None, about("the same; picks the epoch, else the last one counts")
    ] = None
    test: Annotated[FilePath, about("the same, to score on")]


class ProbeTraining(Settings):
    """How probes are trained."""

    controls: Annotated[
        tuple[Literal["random", "shuffled_labels", "token_layer"], ...],
        about(
            "trained beside: `random` vectors for words, `shuffled_labels` to learn from, the"
            " `token_layer` alone"
        ),
    ] = ("random", "shuffled_labels")
    seeds: Annotated[
        Count | Annotated[tuple[Seed, ...], Meta(min_length=1)],
        about("how often each is trained (seeds 0, 1, …), or the seeds; two or more give"
              " intervals"),
    ] = 3  # fmt: skip
    epochs: Annotated[Count, about("passes over the training corpus")] = 10
    batch_size: Annotated[Count, about("sentences or pairs per step")] = 32
    learning_rate: Annotated[float, about("learning rate of Adam", gt=0)] = 0.002


Stored = Annotated[Literal["float16", "float32"], about("how word vectors are kept on disk")]


class TokenCache(Compute):
    """How word vectors are computed and kept."""

    stored: Stored = "float16"


class Probe(ProbeTraining):
    """What the models' word vectors know of your corpora."""

    stored: Stored = TokenCache().stored
    ner: Annotated[Ner | None, about("entities in sentences; omitted by default")] = None
    nli: Annotated[Nli | None, about("inference; omitted by default")] = None
