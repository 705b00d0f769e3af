"""Differences between spaces, and from their baselines, over the same hidden entities or rows."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations

from kgtextvec.pages.numbers import decimals, format_score
from kgtextvec.pairs import Difference, compare_pairs, on_shared_items
from kgtextvec.report.compare.scores import OWN_METHOD, ComparedSpace, method_name

MARGIN = 0.005  # of a score: a difference surely smaller than this is none that matters
MARGIN_SHARE = 0.1  # of the highest score, where that is less: in a large graph all are small
KEPT_TABLES = 64  # comparisons: the advice, the summary and the tables ask for the same ones
BETTER, WORSE, OPEN = "clearly better", "clearly worse", "no clear difference"


@dataclass(frozen=True)
class StrongestBaseline:
    """The baseline with the highest score reported for any space of a table."""

    method: str
    value: float
    owner: ComparedSpace
    name: str


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Comparisons in one metric. `margin`: within what their differences are equivalent."""

    margin: float = MARGIN

    @property
    def equivalent(self) -> str:
        """The words for a difference that is within the margin."""
        return f"equivalent within {self.margin:g}"

    def decide(self, found: Difference) -> str:
        """Return what a difference comes to: BETTER, WORSE, OPEN or `equivalent`."""
        if found.within(self.margin):
            return self.equivalent
        if found.clear:
            return BETTER if found.value > 0 else WORSE
        return OPEN


@dataclass(frozen=True)
class TablePairs(Comparisons):
    """The comparisons of a table's spaces in one metric.

    `between`: by the names of two spaces, in both orders, first minus second. `over_baseline`: by
    a space's name, the space minus the strongest baseline. Spaces without sums per item, or with
    other questions than most, are in `unpaired`.
    """

    between: dict[tuple[str, str], Difference] = field(default_factory=dict)
    over_baseline: dict[str, Difference] = field(default_factory=dict)
    baseline: StrongestBaseline | None = None
    unpaired: tuple[str, ...] = ()

    @property
    def n_between(self) -> int:
        """How many pairs of spaces were compared."""
        return len(self.between) // 2


def compare_table(spaces: Sequence[ComparedSpace], score: str, metric: str) -> TablePairs:
    """Compare all spaces with each other, and each with the strongest baseline.

    Two families: the intervals of all pairs of spaces hold at once, and so do those of all
    differences from the baseline. Computed once for the same spaces.
    """
    return compared(tuple(spaces), score, metric)


@lru_cache(KEPT_TABLES)
def compared(spaces: tuple[ComparedSpace, ...], score: str, metric: str) -> TablePairs:
    """Compute what `compare_table` returns."""
    scored = [space for space in spaces if space.get(score, metric)]
    best = strongest_baseline(scored, score, metric)
    column = f"{OWN_METHOD}.{metric}"
    paired = [space for space in scored if has_sums(space, score, column)]
    paired = same_questions(paired, score)
    unpaired = tuple(space.name for space in scored if space not in paired)
    if not paired:
        return TablePairs(baseline=best, unpaired=unpaired)
    values = [one.value for space in scored if (one := space.get(score, metric))]
    margin = margin_for([*values, best.value] if best else values)
    sums, counts = on_shared_items([one.items[score] for one in paired], [column] * len(paired))
    pairs = list(combinations(range(len(paired)), 2))
    between = {}
    for (i, j), found in zip(pairs, compare_pairs(sums, counts, pairs), strict=False):
        between[paired[i].name, paired[j].name] = found
        between[paired[j].name, paired[i].name] = -found
    over = {}
    if best is not None and has_sums(best.owner, score, f"{best.method}.{metric}"):
        ones = [*(space.items[score] for space in paired), best.owner.items[score]]
        names = [column] * len(paired) + [f"{best.method}.{metric}"]
        sums, counts = on_shared_items(ones, names)
        pairs = [(i, len(paired)) for i in range(len(paired))]
        found_all = compare_pairs(sums, counts, pairs)
        over = {space.name: one for space, one in zip(paired, found_all, strict=False)}
    return TablePairs(between, over, best, unpaired, margin=margin)


def margin_for(values: Iterable[float]) -> float:
    """Return within what scores are equivalent: MARGIN, or MARGIN_SHARE of the highest if less.

    Rounded down to one digit, as it is said with each verdict.
    """
    least = min(MARGIN, MARGIN_SHARE * max(values, default=0.0))
    if least <= 0:
        return 0.0
    digits = -math.floor(math.log10(least))
    return math.floor(least * 10.0**digits * (1 + 1e-9)) / 10.0**digits


def has_sums(space: ComparedSpace, score: str, column: str) -> bool:
    """Return whether a space has the sums per item of a column."""
    return score in space.items and column in space.items[score].sums


def same_questions(spaces: Sequence[ComparedSpace], score: str) -> list[ComparedSpace]:
    """Return the spaces that were asked the same as most of them."""
    by_asked: dict[str, list[ComparedSpace]] = {}
    for space in spaces:
        by_asked.setdefault(space.items[score].asked, []).append(space)
    return max(by_asked.values(), key=len, default=[])


def strongest_baseline(
    spaces: Sequence[ComparedSpace], score: str, metric: str
) -> StrongestBaseline | None:
    """Return the baseline of the highest score among those of all spaces of a table."""
    found = [
        StrongestBaseline(method, number.value, space, method_name(method))
        for space in spaces
        for (name, method, of), number in space.scores.items()
        if name == score and of == metric and method != OWN_METHOD
    ]
    best = max(found, key=lambda one: (one.value, one.method), default=None)
    if best is None:
        return None
    same = {one.value for one in found if one.method == best.method}
    name = f"{best.name}, {best.owner.dims} dims" if len(same) > 1 else best.name
    return StrongestBaseline(best.method, best.value, best.owner, name)


@dataclass(frozen=True)
class RulePairs(Comparisons):
    """Comparisons of text rules: by model and space, and two tables, first minus second.

    `n_pairs`: how many were made; their intervals hold for all of them at once.
    """

    differences: dict[tuple[str, str, str], Difference] = field(default_factory=dict)

    @property
    def n_pairs(self) -> int:
        """How many pairs of tables were compared, over all models and spaces."""
        return len(self.differences) // 2


def compare_rules(group: Sequence[ComparedSpace], score: str, metric: str) -> RulePairs:
    """Compare tables that read one file, with each model and space, over the items all have."""
    column = f"{OWN_METHOD}.{metric}"
    paired = same_questions([one for one in group if has_sums(one, score, column)], score)
    if not paired:
        return RulePairs()
    sums, counts = on_shared_items([one.items[score] for one in paired], [column] * len(paired))
    pairs = [
        (i, j)
        for i, j in combinations(range(len(paired)), 2)
        if paired[i].name == paired[j].name and paired[i].table != paired[j].table
    ]
    differences = {}
    for (i, j), found in zip(pairs, compare_pairs(sums, counts, pairs), strict=False):
        one, other = paired[i], paired[j]
        differences[one.name, one.table, other.table] = found
        differences[one.name, other.table, one.table] = -found
    values = [known.value for space in paired if (known := space.get(score, metric))]
    return RulePairs(differences, margin=margin_for(values))


def in_words(found: Difference) -> str:
    """Write a difference with the interval that holds for all comparisons of its family.

    The largest of the three numbers has two digits or more, and all have as many decimals.
    """
    if found.low_all is None or found.high_all is None:
        return f"{format_score(found.value, '+')}, no interval"
    numbers = (found.value, found.low_all, found.high_all)
    digits = decimals(max(map(abs, numbers)), 4)
    value, low, high = (f"{number:+.{digits}f}" for number in numbers)
    return f"{value}, {low} to {high}"
