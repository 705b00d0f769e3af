"""The predictions of all runs, for other programs to score."""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kgtextvec.files import whole_file
from kgtextvec.probe.inputs import Corpora
from kgtextvec.probe.tags import write_tags


def write_predictions(
    path: Path, corpora: Corpora, runs: Sequence[dict[str, Any]], scheme: str
) -> None:
    """Write a JSON line for each test item of each run, and take the predictions out of the runs.

    ner: method, seed, words, gold and predicted tags, one per word; nli: method, seed, premise,
    hypothesis, gold and predicted label. Equal runs give equal bytes.
    """
    with (
        whole_file(path) as part,
        part.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
    ):
        for run in runs:
            about = {"method": run["method"], "seed": run["seed"]}
            for item in predicted_items(corpora, run.pop("predicted"), scheme):
                line = json.dumps(about | item, ensure_ascii=False)
                packed.write(f"{line}\n".encode())


def predicted_items(
    corpora: Corpora, predicted: Sequence[Any], scheme: str
) -> Iterator[dict[str, Any]]:
    """Yield what each test item is, its right answer, and the predicted one."""
    if corpora.tagged:
        test = corpora.tagged["test"]
        for words, gold, found in zip(test.sentences, test.entities, predicted, strict=True):
            yield {
                "words": list(words),
                "gold": write_tags(gold, len(words), scheme),
                "predicted": write_tags(found, len(words), scheme),
            }
        return
    pairs = corpora.pairs["test"]
    for premise, hypothesis, label, answer in zip(
        pairs.premises, pairs.hypotheses, pairs.labels, predicted, strict=True
    ):
        yield {
            "premise": " ".join(premise),
            "hypothesis": " ".join(hypothesis),
            "gold": corpora.labels[label],
            "predicted": corpora.labels[answer],
        }
