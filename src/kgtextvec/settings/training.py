"""Settings of what is trained: language models further, and probes of word vectors."""

from typing import Annotated, Literal

from msgspec import Meta, field

from kgtextvec.settings.base import RUN, Count, FilePath, Seed, Settings, WordSplitter
from kgtextvec.settings.models import Compute


class FineTuning(Settings):
    """How a language model is trained further."""

    tokens: WordSplitter | None = None
    """How a sentence is split into words; by default as the model splits its texts for a table,
    `whitespace` for a file."""
    held_out: Annotated[float, Meta(gt=0, lt=1)] | FilePath = 0.05
    """Text to measure on: a share of the sentences (1,000 at most), or a file."""
    epochs: Annotated[float, Meta(gt=0)] = 1
    """Passes over the text; a higher number resumes where a lower one ended."""
    batch_size: Count | None = None
    """Batch size; by default that of the checkpoint's options."""
    unroll_steps: Count | None = None
    """Truncated-BPTT length in words; by default that of the options."""
    learning_rate: Annotated[float, Meta(ge=0)] | None = None
    """Learning rate of Adagrad; by default that of the options, else 0.2."""
    dropout: Annotated[float, Meta(ge=0, lt=1)] | None = None
    """Dropout; by default that of the options, else 0.1."""
    clip_norm: Annotated[float, Meta(gt=0)] | None = None
    """Clips the norm of all gradients; by default that of the options, else 10."""
    softmax: Literal["auto", "full", "sampled"] = "auto"
    """`auto` is what the options say (`sample_softmax`), else `full` up to 20,000 words."""
    samples: Count | None = None
    """Words per sample; by default that of the options, else 8192."""
    seed: Seed = 0
    """Seed of the order, dropout, samples and held-out text."""
    snapshot_minutes: Annotated[float, RUN] = 10
    """How often training is stored; a killed job loses no more."""


class FineTune(FineTuning, kw_only=True):
    """A language model to be trained further."""

    origin: str = field(name="from")
    """An ELMo of the catalogue that comes as a training checkpoint, or another model of
    `finetune`."""
    text: FilePath
    """The training text: a table of the config (its distinct texts), or a file with one sentence
    per line."""


class GeneFiles(Settings, kw_only=True):
    """BC2GM's two files."""

    sentences: FilePath
    """Sentences, one per line with an id."""
    genes: FilePath
    """GENE.eval: the genes in them."""
    alternatives: FilePath | None = None
    """ALTGENE.eval: alternative mentions, which count as correct in BioCreative's scores."""


Tagged = FilePath | GeneFiles


class TagReading(Settings):
    """How tags of a NER corpus are read."""

    bad_tags: Literal["error", "repair"] = "error"
    """I-/E- tag without an entity to continue: error, or repair as conlleval does (counted)."""


Scheme = Annotated[
    Literal["bio", "bioes"], Meta(description="The tags to learn; files may have either.")
]


class TagScheme(TagReading):
    """How tags are read, and which are learned."""

    scheme: Scheme = "bio"


class Ner(TagScheme, kw_only=True):
    """Entities in sentences."""

    train: Tagged
    """A CoNLL file (a word per line, its tag last), or `{sentences: …, genes: …}`: BC2GM's
    sentences and GENE.eval."""
    dev: Tagged | None = None
    """The same; selects the step with the lowest loss on it, else the last step is used."""
    test: Tagged
    """The corpus to score on."""


Labels = Annotated[
    Annotated[tuple[Annotated[str, Meta(pattern="^[^,]+$")], ...], Meta(min_length=2)],
    Meta(description="All labels; any other is an error."),
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

    train: FilePath
    """JSON lines of `premise`, `hypothesis`, `label` (or `sentence1`, `sentence2`, `gold_label`).
    """
    dev: FilePath | None = None
    """The same; selects the step with the highest accuracy on it, else the last step is used."""
    test: FilePath
    """The same, to score on."""


class ProbeTraining(Settings):
    """How probes are trained."""

    controls: tuple[Literal["random", "shuffled_labels", "token_layer"], ...] = (
        "random",
        "shuffled_labels",
    )
    """Also trained: `random` vectors for words, `shuffled_labels` to learn from, the
    `token_layer` alone."""
    seeds: Count | Annotated[tuple[Seed, ...], Meta(min_length=1)] = 3
    """How often each is trained (seeds 0, 1, …), or the seeds; two or more give intervals."""
    epochs: Count = 10
    """Passes over the training corpus."""
    least_steps: Annotated[int, Meta(ge=0)] = 1000
    """Least number of training steps: small corpora get more epochs. After few steps a score
    reflects the training and not the vectors."""
    check_every: Count | None = None
    """Steps between evaluations on `dev`; by default one epoch (`jin2019`: 200 for ner, 50 for
    nli)."""
    protocol: Literal["standard", "jin2019"] = "standard"
    """`jin2019` follows the code of Jin et al. (2019): layers are not standardised, tags are BIOES,
    ReLU on tag scores, their initial weights (docs/probe.md)."""
    batch_size: Count = 32
    """Sentences or pairs per step."""
    learning_rate: Annotated[float, Meta(gt=0)] = 0.002
    """Learning rate of Adam."""


Stored = Annotated[
    Literal["float16", "float32"], Meta(description="How word vectors are kept on disk.")
]


class TokenCache(Compute):
    """How word vectors are computed and kept."""

    stored: Stored = "float16"


class Probe(ProbeTraining):
    """What the models' word vectors know of your corpora."""

    stored: Stored = TokenCache().stored
    ner: Ner | None = None
    """Entities in sentences; omitted by default."""
    nli: Nli | None = None
    """Inference; omitted by default."""
