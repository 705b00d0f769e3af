"""What fine-tuning leaves: the model in bilm-tf's form, a checkpoint, the record, the losses."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kgtextvec import __version__
from kgtextvec.encoders.elmo.convert import tensor_places
from kgtextvec.encoders.elmo.options import INFERENCE_CHARACTERS
from kgtextvec.files import link_or_copy, parse_json, whole_file, whole_folder
from kgtextvec.finetune import RECIPE
from kgtextvec.finetune.measure import perplexity_of
from kgtextvec.finetune.plan import TrainingPlan
from kgtextvec.finetune.run import Outcome
from kgtextvec.finetune.source import OURS, TrainingSource
from kgtextvec.records import DownloadOrigin, write_record


def write_model(planned: TrainingPlan, outcome: Outcome, out: Path) -> None:
    """Make the folder `out`: weights.hdf5, options.json, vocabulary.txt, checkpoint/."""
    with whole_folder(out) as part:
        write_hdf5(planned.source, outcome, part / "weights.hdf5")
        options = parse_json(planned.source.options.read_bytes())
        options["char_cnn"]["n_characters"] = INFERENCE_CHARACTERS
        (part / "options.json").write_text(json.dumps(options), "utf-8")
        shutil.copyfile(planned.source.vocabulary, part / "vocabulary.txt")
        (part / OURS).mkdir()
        for file in outcome.snapshot.iterdir():
            link_or_copy(file, part / OURS / file.name)


def write_hdf5(source: TrainingSource, outcome: Outcome, path: Path) -> None:
    """Write the weights as bilm-tf dumps them; the softmax is left out."""
    import h5py

    with h5py.File(path, "w") as file:
        for place in tensor_places(source.config):
            file.create_dataset(place.hdf5, data=outcome.tensors[place.tensor].numpy())


def training_record(
    planned: TrainingPlan, outcome: Outcome, asked: dict[str, Any]
) -> dict[str, Any]:
    """Return the record of a fine-tuning, JSON-able; `asked` is what the user asked for."""
    texts, settings = planned.texts, planned.settings
    words = len(outcome.costs) * settings.batch_size * settings.unroll_steps
    return {
        **asked,
        "sentences": len(texts.learned.spans),
        "words": texts.learned.predictions - len(texts.learned.spans),
        "held_out_sentences": len(texts.held.spans),
        "unknown_share": texts.unknown,
        "steps": len(outcome.costs),
        "settings": asdict(settings),
        "before": asdict(outcome.before),
        "after": asdict(outcome.after),
        "rows_measured": texts.rows,
        "last_loss": float(np.mean(outcome.costs[-100:])),
        "device": outcome.device,
        "seconds": round(outcome.seconds, 3),
        "tokens_per_second": round(words / max(outcome.seconds, 1e-9), 1),
        "key": planned.key,
        "recipe": RECIPE["finetune_model"],
        "version": __version__,
    }


def write_finetune_results(
    about: dict[str, Any], costs: list[float], losses: Path, record: Path, page: Path
) -> None:
    """Write the losses (TSV: step, loss, perplexity), the record (JSON) and the page (HTML)."""
    from kgtextvec.finetune.page import render_finetune_page

    with whole_file(losses, record_digest=True) as part:
        rows = (f"{i}\t{cost:.6f}\t{perplexity_of(cost):.6g}\n" for i, cost in enumerate(costs, 1))
        part.write_text("step\tloss\tperplexity\n" + "".join(rows), "utf-8")
    write_record(record, about)
    with whole_file(page, record_digest=True) as part:
        part.write_text(render_finetune_page(about, costs), "utf-8")


def write_downloaded(about: dict[str, Any], path: Path) -> None:
    """Write the record that convert-model takes in place of download-model's."""
    source = f"fine-tuned from {about['from']}"
    record: DownloadOrigin = {"model": about["model"], "source": source, "revision": about["key"]}
    write_record(path, record)
