"""evaluate: what a space's vectors are worth, beside baselines."""

import argparse
from pathlib import Path

from kgtextvec.files import file_or_none

SCORES = ("cold_start", "labels", "retention", "geometry")


def evaluate_space_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `evaluate-space`."""
    parser.add_argument("space_dir", type=Path, metavar="SPACE_DIR", help="the space's folder")
    parser.add_argument(
        "--texts", type=Path, required=True, help="folder of the table's texts: …/{table}/shards"
    )
    parser.add_argument(
        "--triples", type=file_or_none, nargs="?", help="head, relation, tail with tabs between"
    )
    parser.add_argument(
        "--test-triples",
        type=file_or_none,
        nargs="?",
        help="the triples to foretell from --triples; without them entities are hidden by seed",
    )
    parser.add_argument(
        "--full",
        type=file_or_none,
        nargs="?",
        help="for a reduced space, the folder of `full` (or its embeddings.npy)",
    )
    parser.add_argument(
        "--scores",
        type=names_of_scores,
        default=list(SCORES),
        help=f"which, with commas between (default: {','.join(SCORES)})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of split, baselines and intervals")
    parser.add_argument("--neighbours", type=int, default=10, help="how many vote (default: 10)")
    parser.add_argument("--threads", type=int, default=0, help="0: all cores of the job")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda or cuda:1")
    parser.add_argument("--out", type=Path, required=True, help="scores.json to write")


def names_of_scores(words: str) -> list[str]:
    """Read names of scores with commas between."""
    names = [name for name in words.replace(" ", "").split(",") if name]
    unknown = [name for name in names if name not in SCORES]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]}: choose among {', '.join(SCORES)}")
    return names


def evaluate_space(
    space_dir: Path,
    texts: Path,
    out: Path,
    triples: Path | None = None,
    test_triples: Path | None = None,
    full: Path | None = None,
    scores: list[str] | None = None,
    seed: int = 0,
    neighbours: int = 10,
    threads: int = 0,
    device: str = "auto",
) -> None:
    """Score a space (embeddings.npy, index.parquet, manifest.json); write scores.json to `out`.

    `scores` are names among SCORES (None: all). A score that its inputs don't allow is left out,
    and a note in scores.json says why. Equal inputs, seed and threads give equal bytes.
    Raises InputError when files are missing or disagree, and when no triple fits the table.
    """
    from kgtextvec.evaluate.scorecard import Settings, write_scores

    settings = Settings(list(SCORES) if scores is None else scores, seed, neighbours)
    write_scores(space_dir, texts, triples, test_triples, full, settings, threads, device, out)


def collect_scores_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `collect-scores`."""
    parser.add_argument(
        "scores", type=Path, nargs="*", metavar="SCORES_JSON", help="what evaluate-space wrote"
    )
    parser.add_argument("--out", type=Path, required=True, help="scores.tsv to write")


def collect_scores(scores: list[Path], out: Path) -> None:
    """Put the scores of many spaces in one table: a header, then a row per number.

    Columns: see collect.COLUMNS. Rows are sorted; a missing interval is two empty fields.
    Raises InputError when a file is absent or damaged, or two tell of the same space.
    """
    from kgtextvec.evaluate.collect import write_table

    write_table(scores, out)
