"""Numbers as people read them: counts, shares, sizes, rates."""

import math
from typing import Any


def format_count(value: Any) -> str:
    """Write a number with thousands separators; what is not a number is `not known`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "not known"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def format_share(value: Any) -> str:
    """Write a share of 0..1 as a percentage; what is not a number is `not known`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "not known"
    if 0 < value < 0.0001:
        return "under 0.01 %"
    return f"{100 * value:.2f} %"


def format_score(value: float, sign: str = "") -> str:
    """Write a score of 0..1 with three decimals; below 0.01, as in a large graph, two digits.

    `sign`: "+" for a difference.
    """
    return f"{value:{sign}.{decimals(value, 3)}f}"


def decimals(value: float, least: int) -> int:
    """Return how many decimals show two digits of a number: at least `least`."""
    return max(1 - math.floor(math.log10(abs(value))), least) if value else least


def format_percent(share: float) -> str:
    """Write a share of 0..1 as a percentage without decimals."""
    return f"{100 * share:.0f} %"


def format_bytes(n: float | None) -> str:
    """Write a number of bytes in a unit that suits it."""
    if n is None:
        return "size not known"
    size, unit = float(n), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    digits = 0 if size >= 100 or unit == "bytes" else 1
    return f"{size:,.{digits}f}".removesuffix(".0") + f" {unit}"


def format_rate(value: float) -> str:
    """Write a rate: without decimals from ten on, else with one."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")
