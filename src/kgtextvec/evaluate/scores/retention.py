"""Retention: what a reduced space keeps of the full one."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgtextvec.errors import InputError
from kgtextvec.evaluate.scores import Score, ScoreResult, ScoringContext
from kgtextvec.matrices import blocks, rows_per_block
from kgtextvec.pairs import digest_of_parts, sums_by_item
from kgtextvec.stats import mean_with_interval, score_entry

if TYPE_CHECKING:
    from kgtextvec.pairs import ItemSums
    from kgtextvec.space import Floats, Rows, Space

RECALL_AT = 10
MOST_QUERIES = 5_000
FEWEST_QUERIES = 1_000  # of a large table, whatever they cost
TIE = 1e-6  # cosines nearer than this are float32's noise: either row is as good a neighbour


def score_retention(context: ScoringContext) -> ScoreResult:
    """Compare a reduced space with the full one; a full space has no such score."""
    from kgtextvec.device import choose_cuda_or_cpu
    from kgtextvec.gpu_lock import leased
    from kgtextvec.space import checked_space

    space = context.space
    if context.full is None:
        reduced = space.manifest["space"] != "full"
        return ScoreResult(notes=["retention: left out, --full wasn't given"] if reduced else [])
    full = checked_space(context.full)
    device = choose_cuda_or_cpu(context.device, 5e3 * space.matrix.rows * full.matrix.dims)
    with leased(device) as place, full.vectors_checked():
        scores, notes, items = compare_to_full(space, full, context.settings.seed, place)
    return ScoreResult({"all": {"all": scores}}, notes, items=items)


def compare_to_full(
    space: "Space", full: "Space", seed: int, device: str
) -> tuple[dict[str, Any], list[str], "ItemSums | None"]:
    """Compare a reduced space with `full`: recall@10 of neighbours, variance kept, rank.

    Rows of equal text count once. A sample of them is queried (`number_asking`), and all can be
    neighbours. Returns scores by method, notes, and the recall of each row. Raises InputError when
    the spaces' rows differ.
    """
    if not space.column("text_sha256").equals(full.column("text_sha256")):
        raise InputError(
            f"{space.folder}: its rows aren't those of {full.folder}. Delete it and"
            " rerun apply-pca."
        )
    rows, notes = space.first_rows("text_sha256"), []
    k = min(RECALL_AT, len(rows) - 1)
    scores: dict[str, Any] = {"vectors": {}}
    items = None
    if k > 0:
        asking, n_asking = rows, number_asking(len(rows))
        if len(rows) > n_asking:
            asking = np.sort(np.random.default_rng(seed).choice(rows, n_asking, replace=False))
            notes.append(f"retention: {n_asking} of {len(rows)} distinct texts ask for neighbours")
        kept = recalls(full, space, rows, asking, k, device)
        asked = digest_of_parts([full.column("node_id"), full.column("text_sha256")])
        items = sums_by_item(asking, {f"vectors.recall_at_{RECALL_AT}": kept}, asked)
        means, ends = mean_with_interval(kept[:, None], asking, seed)
        interval = None if ends is None else ends[:, 0]
        scores["vectors"][f"recall_at_{RECALL_AT}"] = score_entry(means[0], interval, len(asking))
        by_chance = score_entry(k / (len(rows) - 1), None, len(asking))
        scores["chance"] = {f"recall_at_{RECALL_AT}": by_chance}
    else:
        notes.append("retention: no neighbours, since all rows have one text")
    variance = total_variance(full)
    if variance > 0:
        kept_here = score_entry(total_variance(space) / variance, None, space.matrix.rows)
        scores["vectors"]["variance_kept"] = kept_here
    pca = space.manifest.get("pca") or {}
    if pca.get("explained_variance_share") is not None:
        share = pca["explained_variance_share"]
        scores["vectors"]["variance_kept_fit"] = score_entry(share, None, pca.get("fit_rows", 0))
    if pca.get("rank") is not None:
        scores["vectors"]["rank"] = score_entry(pca["rank"], None, pca.get("fit_rows", 0))
    return scores, notes, items


def number_asking(n_texts: int) -> int:
    """Return how many of the texts ask for neighbours: MOST_QUERIES at most.

    Fewer where that takes more than MOST_COSINES, but FEWEST_QUERIES.
    """
    from kgtextvec.evaluate.graph import MOST_COSINES

    return min(n_texts, MOST_QUERIES, max(MOST_COSINES // max(n_texts, 1), FEWEST_QUERIES))


def recalls(
    full: "Space", space: "Space", rows: "Rows", asking: "Rows", k: int, device: str
) -> NDArray[np.float64]:
    """Return for each of `asking` the share of its k nearest that are nearest in both: (q,).

    A neighbour in the reduced space counts if in the full one it is as near as the k-th, however
    many are.
    """
    from kgtextvec.evaluate.readers import take_units, unit_blocks
    from kgtextvec.neighbours import search_on

    search = search_on(device, take_units(space.matrix, asking), asking, k)
    for numbers, units in unit_blocks(space.matrix, rows):
        search.offer(numbers, units)
    found, _ = search.result()
    queries = take_units(full.matrix, asking)
    in_full = np.empty(found.shape)
    search = search_on(device, queries, asking, k)
    for numbers, units in unit_blocks(full.matrix, rows):
        search.offer(numbers, units)
        add_cosines(in_full, queries, found, numbers, units)
    _, cosines = search.result()
    share: NDArray[np.float64] = (in_full >= cosines[:, k - 1 : k] - TIE).mean(axis=1)
    return share


def add_cosines(
    cosines: NDArray[np.float64], queries: "Floats", found: "Rows", numbers: "Rows", units: "Floats"
) -> None:
    """Set `cosines` (q, k) of `queries` (q, d) with those `found` (q, k) that are in a block.

    The block: row numbers (b,), ascending, and their vectors, `units` (b, d).
    """
    places = np.minimum(np.searchsorted(numbers, found), len(numbers) - 1)
    rows, columns = np.nonzero(numbers[places] == found)
    size = rows_per_block(queries.shape[1])
    for start in range(0, len(rows), size):
        row, column = rows[start : start + size], columns[start : start + size]
        cosines[row, column] = np.einsum("pd,pd->p", queries[row], units[places[row, column]])


def total_variance(space: "Space") -> float:
    """Return the sum over dims of the variance of a space's vectors; 0.0 for fewer than two."""
    if space.matrix.rows < 2:
        return 0.0
    mean = np.zeros(space.matrix.dims)
    for _, block in blocks(space.matrix, rows_per_block(space.matrix.dims)):
        mean += block.sum(axis=0, dtype=np.float64)
    mean /= space.matrix.rows
    total = 0.0
    for _, block in blocks(space.matrix, rows_per_block(space.matrix.dims)):
        total += float(np.square(block - mean).sum())
    return total / (space.matrix.rows - 1)


SCORE = Score(
    title="Retention",
    description="What a reduced space keeps of the full one: of each row's ten nearest, of the"
    " variance.",
    compute=score_retention,
    metrics={
        "recall_at_10": "Recall@10",
        "variance_kept": "Variance kept",
        "variance_kept_fit": "… of the fitted table",
        "rank": "Rank",
    },
    baselines={"chance": "chance"},
    inputs=("full",),
)
