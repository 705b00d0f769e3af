"""Compare the result files of this checkout with those of another commit, digest by digest.

    python -m benchmarks.same_bytes REVISION [--work FOLDER] [--tables FOLDER] [--model FOLDER]

Runs the whole workflow twice, with the source of REVISION (in a git worktree) and with this one,
on the sample and, with `--tables`, on the folder's entities_2k.tsv and relation_types.tsv: the
model all-MiniLM-L6-v2, or the transformers folder `--model` pooled by mean; full and pca64, every
export, every score. Both runs have a working directory and a vector store of their own. Prints the
files that differ and exits with 1 if any does. REVISION's results in `--work` are used again.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
EXPORTS = [
    "npy", "tsv", "parquet", "biomedgps", "dglke", "drkg", "openke", "pykeen", "pyg", "pgvector",
    "word2vec", "faiss",
]  # fmt: skip
# Files whose bytes must not change. Manifests and pages also tell when and how they were made.
COMPARED = (
    "embeddings.*", "index.parquet", "pca*.npz", "scores.json", "scores.tsv", "rows.parquet",
    "exports/**/*", "texts/*/shards/*",
)  # fmt: skip
TELL_OF_THE_RUN = ("manifest.json", "README.md")


def config(tables: Path, triples: Path | None, model: Path | None) -> dict:
    """Return the config of a run; `tables` holds entities and relation types."""
    entities = next(tables / name for name in ("entities_2k.tsv", "entities.tsv")
                    if (tables / name).exists())  # fmt: skip
    found = {
        "tables": {
            "entities": {"file": str(entities), "kind": "entities", "shards": 2},
            "relation_types": {
                "file": str(tables / "relation_types.tsv"),
                "kind": "relation_types",
            },
        },
        "models": ["all-MiniLM-L6-v2"],
        "spaces": ["full", "pca64"],
        "exports": EXPORTS,
        "embed": {"device": "cpu"},
        "report": {"maps": True, "notebooks": False},
        "lock": ".kgtextvec/models.lock.yaml",
    }
    if model:
        found["models"] = [model.name]
        found["catalogue"] = {model.name: {"source": f"path:{model.absolute()}", "pooling": "mean"}}
    if triples:
        found["evaluate"] = {"triples": str(triples)}
        found["align"] = {"to": str(triples), "form": "triples", "missing": "mean_of_label"}
    return found


def with_header(wanted: dict) -> dict:
    """Return the config with what REVISION may not know: that line 1 of the triples is a header."""
    triples = wanted.get("evaluate", {}).get("triples")
    return wanted | ({"graph": {"file": triples, "header": True}} if triples else {})


def run(source: Path, folder: Path, wanted: dict) -> None:
    """Run the workflow of the checkout `source` in `folder`, unless it ended well before."""
    done = folder / "done"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(wanted))
    words = ["--snakefile", source / "Snakefile", "--directory", folder, "--cores", "2",
             "--configfile", folder / "config.json", "--quiet", "rules", "host"]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(source / "src")}
    subprocess.run(
        [sys.executable, "-m", "snakemake", *map(str, words)], env=environment, check=True
    )
    done.touch()


def digests(results: Path) -> dict[str, str]:
    """Return {path below results: sha256} of the files that are compared."""
    found = {
        path
        for pattern in COMPARED
        for path in results.glob(pattern if "/" in pattern else f"**/{pattern}")
        if path.is_file() and path.name not in TELL_OF_THE_RUN
    }
    return {str(path.relative_to(results)): digest_of_file(path) for path in sorted(found)}


def digest_of_file(path: Path) -> str:
    """Return the sha256 of a file; of embeddings.parquet that of its rows.

    Its metadata holds the manifest.
    """
    if path.name != "embeddings.parquet":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    rows = pq.read_table(path).replace_schema_metadata(None).combine_chunks()
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows)
    return hashlib.sha256(out.getvalue()).hexdigest()


def main() -> int:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("revision")
    parser.add_argument("--work", type=Path, default=ROOT / ".kgtextvec/same_bytes")
    parser.add_argument("--tables", type=Path, help="folder of entities_2k.tsv, relation_types.tsv")
    parser.add_argument("--model", type=Path, help="folder of a transformers model")
    parser.add_argument("--base-only", action="store_true", help="make REVISION's results alone")
    asked = parser.parse_args()
    work = asked.work.absolute()
    base = work / asked.revision
    if not (base / "source").exists():
        subprocess.run(
            ["git", "worktree", "add", "--detach", base / "source", asked.revision],
            cwd=ROOT,
            check=True,
        )
    sample = ROOT / "resources/sample"
    inputs = {"sample": config(sample, sample / "triples.tsv", asked.model)}
    if asked.tables:
        inputs["tables"] = config(asked.tables.absolute(), None, asked.model)
    for name, wanted in inputs.items():
        run(base / "source", base / name, wanted)
    if asked.base_only:
        return 0
    differing = 0
    for name, wanted in inputs.items():
        shutil.rmtree(work / "now" / name, ignore_errors=True)
        run(ROOT, work / "now" / name, with_header(wanted))
        before = digests(base / name / "results")
        after = digests(work / "now" / name / "results")
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) != after.get(path):
                differing += 1
                print(
                    f"{name}: {path}: {before.get(path, 'absent')} -> {after.get(path, 'absent')}"
                )
        print(f"{name}: {len(before)} files compared")
    print(f"{differing} differ")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
