"""What the scores come to, in plain words; every sentence can be checked against the tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kgtextvec.pages.numbers import format_bytes, format_percent, format_rate, format_score
from kgtextvec.pairs import Difference
from kgtextvec.progress import plural
from kgtextvec.report.compare.paired import (
    BETTER,
    OPEN,
    WORSE,
    StrongestBaseline,
    TablePairs,
    compare_table,
    in_words,
)
from kgtextvec.report.compare.scores import (
    OWN_METHOD,
    ComparedSpace,
    ScoreValue,
    known_scores,
    method_name,
)

NAMED = 3  # so many spaces are named in a sentence; more are counted


@dataclass(frozen=True)
class Headline:
    """The one metric that ranks the spaces of a table."""

    score: str
    metric: str
    name: str

    def of(self, space: ComparedSpace, method: str = OWN_METHOD) -> ScoreValue | None:
        """Return a space's number; None where the text tells what is to be predicted."""
        spoiled_by = known_scores()[self.score].spoiled_by
        if spoiled_by and any(
            score == self.score and other.startswith(spoiled_by) for score, other, _ in space.scores
        ):
            return None
        return space.get(self.score, self.metric, method)


def headline(spaces: Sequence[ComparedSpace]) -> Headline | None:
    """Return the headline of the first score that any space has; None if nothing ranks them."""
    scores = known_scores().items()
    found = [Headline(name, *score.headline) for name, score in scores if score.headline]
    return next((one for one in found if any(map(one.of, spaces))), None)


def table_verdict(spaces: Sequence[ComparedSpace]) -> list[str]:
    """Return sentences that summarize the scores of a table's spaces, the most important first.

    Which space is best and whether that is clear; whether it beats the strongest baseline; what
    reduced spaces keep; which space is the cheapest of those that may be as good; how many
    comparisons were made. A difference is clear when its paired interval excludes zero.
    """
    asked = headline(spaces)
    if asked is None:
        why = "there is neither a cold-start score nor a label probe that could rank them"
        return [
            f"Nothing here says which space is best: {why}.",
            *kept_sentences(spaces, None, TablePairs()),
        ]
    ranked = ranking(spaces, asked)
    pairs = compare_table(spaces, asked.score, asked.metric)
    sentences = []
    if asked.score != "cold_start":
        sentences += [
            "There is no cold-start score (it needs triples), so the label probe ranks them."
        ]
    sentences += [
        best_space(ranked, asked, len(spaces), pairs),
        *compare_to_baselines(ranked[0], asked, pairs),
    ]
    sentences += kept_sentences(spaces, asked, pairs)
    return sentences + cheapest_space(ranked, asked, pairs) + comparisons_made(pairs)


def ranking(spaces: Sequence[ComparedSpace], asked: Headline) -> list[ComparedSpace]:
    """Return the spaces that have the headline's number, the best first, equal ones by name."""
    valued = [(found.value, space) for space in spaces if (found := asked.of(space))]
    return [space for _, space in sorted(valued, key=lambda one: (-one[0], one[1].name))]


def best_space(
    ranked: Sequence[ComparedSpace], asked: Headline, n_spaces: int, pairs: TablePairs
) -> str:
    """Name the best space, those as good or perhaps as good, and what can't be compared."""
    best = ranked[0]
    number = f"{asked.name} {with_interval(required_score(asked, best))}"
    unscored = n_spaces - len(ranked)
    left_out = f" ({plural(unscored, 'other')} without that score)" if unscored else ""
    if len(ranked) == 1:
        return f"{best.name} is the only space to score{left_out}: {number}."
    sentences = [f"The best of {len(ranked)} spaces{left_out} is {best.name}: {number}."]
    found = [(one.name, pairs.between.get((best.name, one.name))) for one in ranked[1:]]
    known = [(name, difference) for name, difference in found if difference]
    verdicts = {name: pairs.decide(one) for name, one in known}
    if [*verdicts.values()].count(BETTER) == len(found):
        closest = min(known, key=lambda one: one[1].value)
        sentences.append(
            f"It is clearly better than all others; the closest is {closest[0]}"
            f" ({in_words(closest[1])})."
        )
        return " ".join(sentences)
    for words, kind in (
        ("No clear difference from", OPEN),
        (f"Equivalent to it within {pairs.margin:g}:", pairs.equivalent),
    ):
        names = [f"{name} ({in_words(one)})" for name, one in known if verdicts[name] == kind]
        if names:
            sentences.append(f"{words} {join_names(names)}.")
    apart = [name for name, difference in found if difference is None]
    if apart:
        sentences.append(f"Not compared in pairs, so open: {join_names(apart)}.")
    return " ".join(sentences)


def compare_to_baselines(best: ComparedSpace, asked: Headline, pairs: TablePairs) -> list[str]:
    """Hold the best space against the strongest baseline, and say how much of its gain is left."""
    baseline = pairs.baseline
    if baseline is None:
        return ["There is no baseline to compare it with, so the number says little."]
    value = required_score(asked, best).value
    rival = f"the best of all baselines, {baseline.name} at {format_score(baseline.value)}"
    found = pairs.over_baseline.get(best.name) or recorded_gain(best, asked, baseline)
    if found is None:
        sentence = f"{best.name} was not compared in pairs with {rival}."
    else:
        said = {
            pairs.equivalent: f"{best.name} is {pairs.equivalent} to {rival}",
            OPEN: f"There is no clear difference between {best.name} and {rival}",
            BETTER: f"{best.name} beats {rival}",
            WORSE: f"{best.name} loses to {rival}",
        }
        verdict = pairs.decide(found)
        worth = ": it is not worth the model's cost on this task" if verdict == WORSE else ""
        sentence = f"{said[verdict]} (difference {in_words(found)}){worth}."
    return [sentence, *gain_left(best, asked, value - baseline.value, baseline)]


def gain_left(
    best: ComparedSpace, asked: Headline, left: float, baseline: StrongestBaseline
) -> list[str]:
    """Return how much of the gain over words remains against a stronger baseline."""
    words = asked.of(best, "tfidf")
    gain = required_score(asked, best).value - words.value if words else 0.0
    if words is None or baseline.method == "tfidf" or gain <= 0:
        return []
    share = f"{format_score(left, '+')} ({format_percent(left / gain)})" if left > 0 else "nothing"
    rival = f"{method_name('tfidf')} (at {format_score(words.value)})"
    return [
        f"Of its gain of {format_score(gain, '+')} over {rival}, {share} is left against that"
        " baseline."
    ]


def recorded_gain(
    space: ComparedSpace, asked: Headline, baseline: StrongestBaseline
) -> Difference | None:
    """Return the paired difference that scores.json has, if the baseline is the space's own."""
    gain = space.get(asked.score, f"{asked.metric}_gain_over_{baseline.method}")
    own = asked.of(space, baseline.method)
    if gain is None or own is None or own.value != baseline.value:
        return None
    return Difference(gain.value, gain.low, gain.high, gain.low, gain.high)


def comparisons_made(pairs: TablePairs) -> list[str]:
    """Return how many comparisons were made, and that intervals allow for their number."""
    counts = []
    if pairs.n_between:
        counts.append(plural(pairs.n_between, "pair") + " of spaces")
    if pairs.over_baseline:
        counts.append(plural(len(pairs.over_baseline), "difference") + " from the best baseline")
    if not counts:
        return []
    which = "all of them hold" if len(counts) == 1 else "all of each kind hold"
    return [
        f"Paired comparisons: {' and '.join(counts)}. Their intervals are widened so that {which}"
        " at once (95 %)."
    ]


def kept_sentences(
    spaces: Sequence[ComparedSpace], asked: Headline | None, pairs: TablePairs
) -> list[str]:
    """Return what each reduced space keeps of the full one: of the headline, of neighbours."""
    full = {space.model: space for space in spaces if space.space == "full"}
    found: dict[str, list[KeptShare]] = {}
    for space in spaces:
        one = measure_kept(space, full.get(space.model), asked, pairs)
        if one:
            found.setdefault(space.space, []).append(one)
    name = asked.name if asked else ""
    sentences = []
    for space_name, each in found.items():
        if len(each) > NAMED:
            sentences.append(kept_by_many(space_name, each, name))
        else:
            sentences += [kept_by_one(one, name) for one in each]
    return sentences


@dataclass(frozen=True)
class KeptShare:
    """What a reduced space keeps: shares of its full space's headline and neighbours."""

    space: ComparedSpace
    full: ComparedSpace | None
    share: float | None
    numbers: str
    recall: float | None


def measure_kept(
    space: ComparedSpace, full: ComparedSpace | None, asked: Headline | None, pairs: TablePairs
) -> KeptShare | None:
    """Measure what a reduced space keeps; None for a full one, or if nothing is known."""
    if space.space == "full":
        return None
    neighbours = space.get("retention", "recall_at_10")
    reduced, original = (asked.of(one) if asked and one else None for one in (space, full))
    share, numbers = None, ""
    if full and reduced and original and original.value > 0:
        share = reduced.value / original.value
        found = pairs.between.get((space.name, full.name))
        clear = f"; {pairs.decide(found)}: {in_words(found)}" if found else ""
        numbers = f" ({format_score(reduced.value)} of {format_score(original.value)}{clear})"
    if share is None and neighbours is None:
        return None
    return KeptShare(space, full, share, numbers, neighbours.value if neighbours else None)


def kept_by_one(one: KeptShare, name: str) -> str:
    """Return the sentence on one space: `bioelmo pca400 keeps 97 % of the full space's …`."""
    parts = []
    if one.share is not None:
        parts.append(f"{format_percent(one.share)} of the full space's {name}{one.numbers}")
    if one.recall is not None:
        parts.append(f"{format_percent(one.recall)} of its nearest neighbours (recall@10)")
    dims = ""
    if one.full and one.full.dims and one.space.dims:
        dims = f", in {one.space.dims:,} of {one.full.dims:,} dims"
    return f"{one.space.name} keeps {' and '.join(parts)}{dims}."


def kept_by_many(space: str, each: Sequence[KeptShare], name: str) -> str:
    """Return the sentence on one space of many models: the least and the most."""
    parts = []
    for what, values in (
        (f"of the full space's {name}", [(one.share, one.space.model) for one in each]),
        ("of its nearest neighbours (recall@10)", [(one.recall, one.space.model) for one in each]),
    ):
        known = sorted((value, model) for value, model in values if value is not None)
        if known:
            ends = [(format_percent(value), model) for value, model in (known[0], known[-1])]
            least_to_most = f"{ends[0][0]} ({ends[0][1]}) to {ends[1][0]} ({ends[1][1]})"
            parts.append(f"{least_to_most if ends[0][0] != ends[1][0] else ends[0][0]} {what}")
    return f"{space} keeps {' and '.join(parts)}, over {len(each)} models."


def cheapest_space(
    ranked: Sequence[ComparedSpace], asked: Headline, pairs: TablePairs
) -> list[str]:
    """Name the cheapest space that is not clearly worse than the best one."""
    best = ranked[0]
    found = {one.name: pairs.between.get((one.name, best.name)) for one in ranked[1:]}
    if not any(found.values()):
        return []
    good = [one for one in ranked[1:] if (pair := found[one.name]) and pairs.decide(pair) != WORSE]
    if not good:
        return []
    chosen, by = least_cost([best, *good])
    size = format_bytes(chosen.n_bytes) + by
    count = f"{len(good) + 1} spaces that are not clearly worse"
    if chosen is best:
        return [f"{best.name} is also the cheapest of the {count} ({size})."]
    count += f" than {best.name}"
    difference = found[chosen.name]
    risk = f"; {pairs.decide(difference)}: {in_words(difference)}" if difference else ""
    number = format_score(required_score(asked, chosen).value)
    return [f"The cheapest of the {count} is {chosen.name}, at {number} ({size}{risk})."]


def least_cost(spaces: Sequence[ComparedSpace]) -> tuple[ComparedSpace, str]:
    """Choose by speed, where all were measured on one kind of device; else by parameters.

    Spaces of one model cost the same there, and their bytes decide. Returns why, in words.
    """

    def n_bytes(space: ComparedSpace) -> float:
        return math.inf if space.n_bytes is None else space.n_bytes

    if len({space.model for space in spaces}) == 1:
        return min(spaces, key=n_bytes), ""
    if all(space.speed for space in spaces) and len({space.devices for space in spaces}) == 1:
        chosen = min(spaces, key=lambda space: (-(space.speed or 0.0), n_bytes(space)))
        return chosen, f", {format_rate(chosen.speed or 0.0)} texts/s"
    if all(space.parameters for space in spaces):
        chosen = min(spaces, key=lambda space: (space.parameters or 0, n_bytes(space)))
        millions = f"{(chosen.parameters or 0) / 1e6:,.1f} million parameters"
        return chosen, f", {millions}; not all speeds were measured alike"
    return min(spaces, key=n_bytes), "; not all speeds were measured alike"


def rule_of(space: ComparedSpace) -> str:
    """Return a text rule in words: a quoted template, or columns of which the first text counts."""
    text = space.text or "rule not known"
    return f"“{text}”" if "{" in text else text.replace(",", ", else ")


def required_score(asked: Headline, space: ComparedSpace) -> ScoreValue:
    """Return the headline's number of a space that has it."""
    found = asked.of(space)
    if found is None:
        raise ValueError(f"{space.name} has no {asked.name}")
    return found


def with_interval(found: ScoreValue) -> str:
    """Write a number with its interval."""
    value = format_score(found.value)
    if found.low is None or found.high is None:
        return f"{value} (no interval)"
    return f"{value} (95 % interval {format_score(found.low)} to {format_score(found.high)})"


def join_names(names: Sequence[str], most: int = NAMED) -> str:
    """Join names: a, b and c; of more than `most` the others are counted."""
    names = list(names)
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
