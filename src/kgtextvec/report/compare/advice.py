"""Which vectors to use: one model, text rule and space for each input file, why, and their cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from kgtextvec.pages.numbers import format_bytes, format_rate
from kgtextvec.report.compare.paired import BETTER, WORSE, compare_table
from kgtextvec.report.compare.rules import same_file
from kgtextvec.report.compare.scores import ComparedSpace, by_table
from kgtextvec.report.compare.verdict import (
    best_space,
    cheapest_space,
    compare_to_baselines,
    headline,
    ranking,
    rule_of,
)


@dataclass(frozen=True)
class Advice:
    """What to use for the tables of one file.

    `gain` says whether it is clearly better than the best baseline: yes, no (the baseline is
    better), unclear, or unknown where they were not compared in pairs.
    """

    tables: tuple[str, ...]
    space: ComparedSpace
    rule: str
    gain: str
    because: tuple[str, ...]
    cost: str

    @property
    def sentence(self) -> str:
        """Return the advice in one sentence."""
        space = self.space
        what = f"{space.model}, space {space.space} ({space.dims} dims), text: {self.rule}"
        if self.gain == "no":
            return f"The best baseline is clearly better than all of them. Of these, use {what}."
        doubt = "" if self.gain == "yes" else " It is not clearly better than the best baseline."
        return f"Use {what}.{doubt}"


def advise(spaces: Sequence[ComparedSpace]) -> list[Advice]:
    """Return the advice for each file that a score ranks: its tables differ in their text rule."""
    together = same_file(spaces)
    joined = {space.table for group in together for space in group}
    alone = [its for table, its in by_table(spaces).items() if table not in joined]
    return [one for group in [*together, *alone] if (one := advise_on(group))]


def advise_on(group: Sequence[ComparedSpace]) -> Advice | None:
    """Choose the space with the highest score of all tables of a file; None without a score."""
    asked = headline(group)
    if asked is None:
        return None
    best = ranking(group, asked)[0]
    tables = by_table(group)
    mine = tables[best.table]
    ranked = ranking(mine, asked)
    pairs = compare_table(mine, asked.score, asked.metric)
    over = pairs.over_baseline.get(best.name)
    gain = "unknown"
    if over is not None:
        gains = {BETTER: "yes", WORSE: "no"}
        gain = gains.get(pairs.decide(over), "unclear")
    because = [
        best_space(ranked, asked, len(mine), pairs),
        *compare_to_baselines(best, asked, pairs)[:1],
        *cheapest_space(ranked, asked, pairs),
    ]
    return Advice(tuple(tables), best, rule_of(best), gain, tuple(because), cost_of(best))


def cost_of(space: ComparedSpace) -> str:
    """Return what a space costs: its file, the model's weights, its speed if it was measured."""
    parts = [f"{format_bytes(space.n_bytes)} of vectors"] if space.n_bytes is not None else []
    if space.parameters:
        parts.append(f"a model of {space.parameters / 1e6:,.1f} M weights")
    if space.speed:
        where = f" on {space.devices}" if space.devices else ""
        parts.append(f"{format_rate(space.speed)} texts/s{where}")
    else:
        parts.append("speed not measured in this run")
    return ", ".join(parts)
