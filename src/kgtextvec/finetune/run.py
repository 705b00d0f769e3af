"""finetune-model's run: resume or start, train, measure."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import torch

from kgtextvec.device import choose_device, set_threads
from kgtextvec.encoders.elmo.convert import Arrays
from kgtextvec.errors import InputError, Stopped
from kgtextvec.files import need_space
from kgtextvec.finetune.checkpoint import Snapshot, newest, save
from kgtextvec.finetune.corpus import read_softmax_words
from kgtextvec.finetune.language_model import SLOT, SOFTMAX, SOFTMAX_BIAS, LanguageModel, Tensors
from kgtextvec.finetune.measure import Perplexity, check_rows, measure, perplexity_of
from kgtextvec.finetune.plan import TrainingPlan, corpus_of
from kgtextvec.finetune.source import TrainingSource, open_source
from kgtextvec.finetune.train import BilmTrainer
from kgtextvec.gpu_lock import leased
from kgtextvec.locks import hold_lock, open_to_lock, run_without_lock
from kgtextvec.progress import clock, say
from kgtextvec.records import OWN_DIGEST, read_unedited, write_record
from kgtextvec.signals import asked_to_stop

SAY_SECONDS = 10.0


@dataclass(frozen=True)
class Outcome:
    """A trained model and how it went; `snapshot` is its last, in the work folder."""

    tensors: Tensors
    costs: list[float]
    before: Perplexity
    after: Perplexity
    snapshot: Path
    device: str
    seconds: float


def run_training(
    planned: TrainingPlan, device: str, threads: int | None, snapshot_minutes: float
) -> Outcome:
    """Train, from the newest snapshot if there is one.

    Raises Stopped after SIGTERM, with a snapshot written.
    """
    planned.work.mkdir(parents=True, exist_ok=True)
    set_threads(threads)
    place = choose_device(device, runs_on_mps=False)
    with lock_work_folder(planned.work), leased(place) as held:
        snapshot = newest(planned.work, planned.steps)
        trainer = start(planned, snapshot, held)
        need_space({planned.work: 2 * 4 * sum(v.numel() for v in trainer.tensors().values())})
        before = measured_once(planned, trainer)
        with deterministic(held), asked_to_stop() as stop:
            last = train(planned, trainer, stop, snapshot_minutes * 60)
        after = measure(trainer.model, trainer.softmax, planned.texts.held, planned.texts.rows)
        say(f"held-out perplexity: {before.average:,.2f} before, {after.average:,.2f} after")
        weights = {name: value.detach().cpu() for name, value in trainer.weights().items()}
        return Outcome(weights, trainer.costs, before, after, last, held, trainer.seconds)


def start(planned: TrainingPlan, snapshot: Snapshot | None, device: str) -> BilmTrainer:
    """Make the trainer, from the snapshot or from the checkpoint."""
    if snapshot:
        names = [place.tensor for place in planned.source.places]
        weights: Arrays = {name: snapshot.tensor(name) for name in names}
        slots: Arrays = {name: snapshot.tensor(name + SLOT) for name in names}
    else:
        weights, slots = planned.source.weights(), planned.source.slots()
    trainer = BilmTrainer(
        planned.source.config,
        to_device(weights, device),
        to_device(slots, device),
        planned.texts.learned,
        planned.settings,
    )
    if snapshot:
        trainer.go_to(snapshot)
        say(f"resumed at step {trainer.steps:,} of {planned.steps:,}, from {snapshot.folder}")
    return trainer


def to_device(arrays: Arrays, device: str) -> Tensors:
    """Give arrays to torch; on a CPU they are not copied."""
    return {name: torch.from_numpy(value).to(device) for name, value in arrays.items()}


def train(planned: TrainingPlan, trainer: BilmTrainer, stop: list[int], every: float) -> Path:
    """Take the steps that are left; return the folder of the last snapshot."""
    report = ProgressReport(planned, trainer.steps)
    saved, folder = time.monotonic(), None
    while trainer.steps < planned.steps:
        report.add(trainer.step())
        if stop or trainer.steps == planned.steps or time.monotonic() - saved >= every:
            folder = save(planned.work, trainer.steps, trainer.tensors(), trainer.about())
            saved = time.monotonic()
        if stop and trainer.steps < planned.steps:
            raise Stopped(
                f"step {trainer.steps:,} of {planned.steps:,} is stored in {folder}; resume by"
                " rerunning the same command",
                stop[0],
            )
    return folder or save(planned.work, trainer.steps, trainer.tensors(), trainer.about())


class ProgressReport:
    """Says now and then how training goes."""

    def __init__(self, planned: TrainingPlan, done: int) -> None:
        self.planned, self.done, self.began = planned, done, done
        self.start = self.shown = time.monotonic()
        self.costs: list[float] = []

    def add(self, cost: float) -> None:
        """Count a step."""
        self.done += 1
        self.costs.append(cost)
        now = time.monotonic()
        if now - self.shown < SAY_SECONDS and self.done < self.planned.steps:
            return
        self.shown = now
        rate = (self.done - self.began) / max(now - self.start, 1e-9)
        words = rate * self.planned.settings.batch_size * self.planned.settings.unroll_steps
        loss = sum(self.costs) / len(self.costs)
        self.costs = []
        say(
            f"finetune: step {self.done:,}/{self.planned.steps:,}, {words:,.0f} tokens/s, loss"
            f" {loss:.4f}, perplexity {perplexity_of(loss):,.1f},"
            f" ETA {clock((self.planned.steps - self.done) / rate)}"
        )


def measured_once(planned: TrainingPlan, trainer: BilmTrainer) -> Perplexity:
    """Return the perplexity before any step; it is kept with the snapshots."""
    kept = planned.work / "before.json"
    if kept.is_file():
        found = read_unedited(kept)
        return Perplexity(**{key: value for key, value in found.items() if key != OWN_DIGEST})
    texts = planned.texts
    if trainer.steps:
        device = str(trainer.softmax[SOFTMAX_BIAS].device)
        found = measure(*language_model(planned.source, device), texts.held, texts.rows)
    else:
        found = measure(trainer.model, trainer.softmax, texts.held, texts.rows)
    write_record(kept, asdict(found))
    return found


def language_model(source: TrainingSource, device: str) -> tuple[LanguageModel, Tensors]:
    """Return a source's network, and its softmax."""
    network = to_device(source.weights(), device)
    softmax = {name: network.pop(name) for name in SOFTMAX}
    return LanguageModel(source.config, network), softmax


@contextmanager
def lock_work_folder(work: Path) -> Iterator[None]:
    """Hold a work folder, so that no other process trains in it; clear what a killed one left.

    Raises InputError if another process holds it.
    """

    def give_up() -> NoReturn:
        raise InputError(f"{work}: another process trains here. Wait until it ends.")

    with hold_lock([partial(open_to_lock, work)], give_up, partial(run_without_lock, work)):
        for part in work.glob(".step-*.part"):
            shutil.rmtree(part)
        yield


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """On a CPU, let sums of many threads come out the same each time."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(device == "cpu" or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def perplexity_of_text(
    model: Path,
    text: Path,
    vocabulary: Path | None,
    tokens: str,
    rows: int,
    device: str,
) -> Perplexity:
    """Measure a text with the language model in a folder."""
    source = open_source(model, vocabulary)
    corpus = corpus_of(text, tokens, read_softmax_words(source.vocabulary, source.rows), source)
    check_rows(corpus, rows)
    with leased(choose_device(device, runs_on_mps=False)) as held:
        return measure(*language_model(source, held), corpus, rows)
