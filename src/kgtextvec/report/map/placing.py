"""Rows of a large table that t-SNE and UMAP did not lay out: where they go on the layouts."""

from collections.abc import Callable

import numpy as np

from kgtextvec.neighbours import Strips
from kgtextvec.progress import Progress
from kgtextvec.report.map.layout import Float32s, unit_vectors
from kgtextvec.space import Rows

NEAREST = 3  # the median of more draws every cluster together; one of three may be far away
PLACING_WORK = 1e13  # multiply-adds; 850,000 rows x 400 are compared with 29,000


def place_rows(
    rows: Rows,
    read: Callable[[Rows], Float32s],
    laid_out: Float32s,
    positions: dict[str, Float32s],
    seed: int,
) -> dict[str, Float32s]:
    """Place `rows` (n,) on each layout where the laid-out rows that they are most like lie.

    `read` returns the vectors of rows, (b, dims); `laid_out` (m, dims) are the unit vectors of the
    rows that have `positions` (layout name -> (m, 2)). A place is the median, axis by axis, of
    those of the NEAREST laid-out rows of highest cosine. openTSNE starts new points of a map there,
    from more neighbours (Poličar et al. 2019), and then optimises them, which we do not. Where
    n * m * dims is above PLACING_WORK, rows are compared with a seeded sample of the laid-out ones.
    """
    m, dims = laid_out.shape
    most = max(1000, int(PLACING_WORK / max(len(rows) * dims, 1)))
    some = np.arange(m)
    if most < m:
        some = np.sort(np.random.default_rng(seed).choice(m, most, replace=False))
    strips = Strips(np.ascontiguousarray(laid_out[some]))
    places = {name: np.empty((len(rows), 2), np.float32) for name in positions}
    with Progress("placing", len(rows), "vectors") as progress:
        for start in range(0, len(rows), strips.size):
            asked = slice(start, min(start + strips.size, len(rows)))
            block = strips.scores_of(unit_vectors(read(rows[asked])))
            found = some[strips.best(block, min(NEAREST, len(some)))[0]]
            for name, known in positions.items():
                places[name][asked] = np.median(known[found], axis=1)
            progress.add(asked.stop - start)
    return places
