"""A results folder made by hand, for the tests of the compare page."""

import json
from pathlib import Path

import numpy as np
from manifests import space_manifest

from kgtextvec.evaluate.collect import collect_scores
from kgtextvec.report.compare import compare_spaces


def number(value: float, half: float | None = None, n: int = 100) -> dict:
    """A score as scores.json holds it, with an interval of `value` ± `half`."""
    interval = None if half is None else [round(value - half, 6), round(value + half, 6)]
    return {"value": value, "interval": interval, "n": n}


def cold_start(mrr: float, half: float = 0.01, **baselines: float) -> dict:
    """A cold start's block, over all; baselines by method, with their own gains."""
    methods = {"vectors": {"mrr": number(mrr, half), "hits_at_10": number(mrr * 1.5, half)}}
    for method, value in baselines.items():
        methods[method] = {"mrr": number(value, half), "hits_at_10": number(value * 1.5, half)}
        gain = number(round(mrr - value, 6), half / 2)
        methods["vectors"][f"mrr_gain_over_{method}"] = gain
    return {"all": {"all": methods}, "relation": {"binds": methods}}


def labels(knn: float, half: float = 0.02, majority: float = 0.3) -> dict:
    """A label probe's block."""
    return {
        "all": {
            "all": {
                "vectors": {"knn_accuracy": number(knn, half), "knn_balanced": number(knn / 2)},
                "majority": {"knn_accuracy": number(majority, half)},
            }
        }
    }


def retention(recall: float) -> dict:
    """A reduced space's block."""
    return {
        "all": {"all": {"vectors": {"recall_at_10": number(recall, 0.01), "rank": number(64.0)}}}
    }


def write_space(root: Path, model: str, table: str, space: str, dims: int, scores: dict, **more):
    """Write manifest.json, scores.json and embeddings.npy of a space; return its folder."""
    folder = root / model / table / space
    folder.mkdir(parents=True)
    notes = more.pop("notes", [])
    names = {"table": table, "space": space, "dims": dims}
    about = {"name": model, "parameters": more.pop("parameters", 1_000_000)}
    manifest = space_manifest(model=about, **names, **more)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    np.save(folder / "embeddings.npy", np.zeros((manifest["rows"], dims), np.float32))
    card = {"model": model, **names, "scores": scores, "notes": notes}
    (folder / "scores.json").write_text(json.dumps(card))
    return folder


def write_texts(root: Path, table: str, file: str, text: str = "name") -> None:
    """Write the manifest of a table's texts."""
    folder = root / "texts" / table
    folder.mkdir(parents=True)
    manifest = {"table": table, "kind": "entities", "file": file, "text": text, "policies": {}}
    manifest |= {"used_by": None, "rows": 20, "texts": 20, "digest": "", "shards": {}, "recipe": 1}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"versions": {}}))


def compared(root: Path) -> str:
    """Collect the scores of all spaces in the folder, compare them, return the page."""
    folders = sorted(path.parent for path in root.glob("*/*/*/manifest.json"))
    collect_scores([folder / "scores.json" for folder in folders], out=root / "scores.tsv")
    texts = sorted((root / "texts").glob("*/manifest.json"))
    compare_spaces(folders, scores=root / "scores.tsv", texts=texts, out_html=root / "compare.html")
    return (root / "compare.html").read_text("utf-8")


def three_models(root: Path) -> str:
    """Three models, two tables of one file, three spaces; return the page."""
    baselines = {"tfidf": 0.2, "popularity": 0.1, "random": 0.05}
    for table, text, gain in (("entities", "{name}. {description}", 0.0), ("names", "name", -0.1)):
        write_texts(root, table, "my entities.tsv", text)
        for i, model in enumerate(("alpha", "beta", "gamma")):
            for space, dims in (("full", 128 * (i + 1)), ("pca64", 64), ("pca8", 8)):
                mrr = round(0.3 + 0.05 * i + gain - (0.11 if dims == 8 else 0.0), 3)
                svd = 0.15 if dims > 8 else 0.12
                scores = {
                    "cold_start": cold_start(mrr, tfidf_svd=svd, **baselines),
                    "labels": labels(0.6 + 0.1 * i),
                }
                if space != "full":
                    scores["retention"] = retention(0.8 if dims == 64 else 0.4)
                write_space(
                    *(root, model, table, space, dims, scores),
                    text=text,
                    seconds=2.0 * (i + 1),
                    parameters=(i + 1) * 10_000_000,
                )
    return compared(root)
