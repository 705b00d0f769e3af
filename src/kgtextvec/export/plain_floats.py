"""The text of `floats` for a few numbers, without numba, whose start takes longer than these."""

import numpy as np
from numpy.typing import NDArray

FEW_NUMBERS = 300_000  # a fifth of a second; numba takes as long to start, and seconds to compile


def spell_few_rows(
    vectors: NDArray[np.float32],
    heads: NDArray[np.uint8],
    bounds: NDArray[np.int32],
    separator: str,
    closing: str,
) -> NDArray[np.uint8]:
    """Return the bytes that `spell_rows` writes for (m, d) finite numbers.

    The arguments are as there. numpy finds the shortest digits that round to a float32, Python
    writes them in its notation.
    """
    text = heads.tobytes()
    ends = f"{closing}\n".encode()
    lines = []
    for row, start, end in zip(vectors, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        numbers = separator.join([repr(float(str(number))) for number in row])
        lines.append(text[start:end] + numbers.encode() + ends)
    return np.frombuffer(b"".join(lines), np.uint8)
