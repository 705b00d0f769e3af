"""What the scores come to, in plain words; every sentence can be checked against the tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kgtextvec.pages.numbers import format_bytes, format_percent, format_rate
from kgtextvec.report.compare.scores import (
    OWN_METHOD,
    ComparedSpace,
    ScoreValue,
    baselines_of,
    by_table,
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
        """Return a space's number; None for a label predicted from a text that contains it."""
        if self.score == "labels" and "{label}" in (space.text or ""):
            return None
        return space.get(self.score, self.metric, method)


def headline(spaces: Sequence[ComparedSpace]) -> Headline | None:
    """Return the headline of the first score that any space has; None if nothing ranks them."""
    scores = known_scores().items()
    found = [Headline(name, *score.headline) for name, score in scores if score.headline]
    return next((one for one in found if any(map(one.of, spaces))), None)


def table_verdict(spaces: Sequence[ComparedSpace]) -> list[str]:
    """Return sentences that summarize the scores of a table's spaces, the most important first.

    Which space is best and whether that is clear; whether it beats its baselines; what reduced
    spaces keep; which space is the cheapest of those that may be as good. A difference is clear
    when the 95 % intervals don't overlap, or when that of the paired gain excludes zero.
    """
    asked = headline(spaces)
    if asked is None:
        why = "there is neither a cold-start score nor a label probe that could rank them"
        return [f"Nothing here says which space is best: {why}.", *kept_sentences(spaces, None)]
    ranked = ranking(spaces, asked)
    best = ranked[0]
    sentences = []
    if asked.score != "cold_start":
        sentences += ["There is no cold-start score (it needs triples), so the label probe speaks."]
    sentences += [
        best_space(ranked, asked, len(spaces)),
        *compare_to_baselines(best, asked, spaces),
    ]
    sentences += kept_sentences(spaces, asked)
    return sentences + cheapest_space(ranked, asked)


def ranking(spaces: Sequence[ComparedSpace], asked: Headline) -> list[ComparedSpace]:
    """Return the spaces that have the headline's number, the best first, equal ones by name."""
    valued = [(found.value, space) for space in spaces if (found := asked.of(space))]
    return [space for _, space in sorted(valued, key=lambda one: (-one[0], one[1].name))]


def best_space(ranked: Sequence[ComparedSpace], asked: Headline, n_spaces: int) -> str:
    """Name the best space and those with no clear difference from it."""
    best = ranked[0]
    number = f"{asked.name} {with_interval(required_score(asked, best))}"
    unscored = n_spaces - len(ranked)
    left_out = f" ({plural(unscored, 'other')} without that score)" if unscored else ""
    if len(ranked) == 1:
        return f"{best.name} is the only space to score{left_out}: {number}."
    tied = [
        space
        for space in ranked[1:]
        if not intervals_disjoint(required_score(asked, best), required_score(asked, space))
    ]
    sentence = f"The best of {len(ranked)} spaces{left_out} is {best.name}: {number}."
    if not tied:
        return f"{sentence} Its interval lies above those of all others."
    names = [f"{space.name} ({required_score(asked, space).value:.3f})" for space in tied]
    bare = any(required_score(asked, space).low is None for space in (best, *tied))
    why = "intervals are missing" if bare else "the intervals overlap"
    return f"{sentence} No clear difference from {join_names(names)}: {why}."


def compare_to_baselines(
    best: ComparedSpace, asked: Headline, spaces: Sequence[ComparedSpace]
) -> list[str]:
    """Hold the best space against its best baseline, and against TF-IDF if that is another.

    Some baselines have a space's dims: a better one of another space is mentioned too.
    """
    found = {
        method: number
        for score, method, metric in best.scores
        if (score, metric) == (asked.score, asked.metric)
        and method != OWN_METHOD
        and (number := asked.of(best, method))
    }
    if not found:
        return ["No baseline stands beside it, so the number says little."]
    ordered = sorted(found, key=lambda method: (-found[method].value, method))
    sentences = [
        compare_to_baseline(best, asked, ordered[0], found[ordered[0]], "its best baseline, ")
    ]
    words = [method for method in ordered if method.startswith("tfidf")]
    if words and ordered[0] not in words:
        sentences.append(compare_to_baseline(best, asked, words[0], found[words[0]], ""))
    name, top = baselines_of(spaces, asked.score, [asked.metric])[0]
    if top[asked.metric].value > found[ordered[0]].value:
        sentences.append(
            f"A better baseline stands beside another space: {name},"
            f" at {top[asked.metric].value:.3f}."
        )
    return sentences


def compare_to_baseline(
    space: ComparedSpace, asked: Headline, method: str, other: ScoreValue, what: str
) -> str:
    """Return whether a space beats a baseline, by their paired difference if there is one."""
    gain = space.get(asked.score, f"{asked.metric}_gain_over_{method}")
    rival, size = f"{what}{method_name(method)} at {other.value:.3f}", ""
    clear = intervals_disjoint(required_score(asked, space), other)
    if gain and gain.low is not None and gain.high is not None:
        clear = gain.low > 0 or gain.high < 0
        size = f" (difference {gain.value:+.3f}, 95 % interval {gain.low:+.3f} to {gain.high:+.3f})"
    if not clear:
        return f"There is no clear difference between {space.name} and {rival}{size}."
    if required_score(asked, space).value > other.value:
        return f"{space.name} beats {rival}{size}."
    worth = ": plain word counts do better than the model" if method.startswith("tfidf") else ""
    return f"{space.name} loses to {rival}{size}{worth}."


def kept_sentences(spaces: Sequence[ComparedSpace], asked: Headline | None) -> list[str]:
    """Return what each reduced space keeps of the full one: of the headline, of neighbours."""
    full = {space.model: space for space in spaces if space.space == "full"}
    found: dict[str, list[KeptShare]] = {}
    for space in spaces:
        one = measure_kept(space, full.get(space.model), asked)
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
    space: ComparedSpace, full: ComparedSpace | None, asked: Headline | None
) -> KeptShare | None:
    """Measure what a reduced space keeps; None for a full one, or if nothing is known."""
    if space.space == "full":
        return None
    neighbours = space.get("retention", "recall_at_10")
    reduced, original = (asked.of(one) if asked and one else None for one in (space, full))
    share, numbers = None, ""
    if reduced and original and original.value > 0:
        share = reduced.value / original.value
        clear = "" if intervals_disjoint(reduced, original) else ", no clear difference"
        numbers = f" ({reduced.value:.3f} of {original.value:.3f}{clear})"
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


def cheapest_space(ranked: Sequence[ComparedSpace], asked: Headline) -> list[str]:
    """Name the cheapest space whose number is within the best one's interval."""
    best = ranked[0]
    low = required_score(asked, best).low
    if len(ranked) == 1 or low is None:
        return []
    within = [space for space in ranked if required_score(asked, space).value >= low]
    if len(within) == 1:
        return [f"No other space comes within the interval of {best.name}."]
    chosen, by = least_cost(within)
    size = format_bytes(chosen.n_bytes) + by
    if chosen is best:
        return [
            f"{best.name} is also the cheapest of the {len(within)} within its interval ({size})."
        ]
    number = f"{required_score(asked, chosen).value:.3f}"
    return [
        f"The cheapest of the {len(within)} spaces within the interval of {best.name} is"
        f" {chosen.name}, at {number} ({size})."
    ]


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


def same_file(spaces: Sequence[ComparedSpace]) -> list[list[ComparedSpace]]:
    """Return groups of spaces whose tables read one file by different text rules."""
    groups: dict[tuple[str, str], list[ComparedSpace]] = {}
    for space in spaces:
        if space.file is not None:
            groups.setdefault((space.file, space.kind), []).append(space)
    return [group for group in groups.values() if len({space.text for space in group}) > 1]


def rules_verdict(group: Sequence[ComparedSpace]) -> list[str]:
    """Return which text rule is best, of tables that read one file."""
    tables = by_table(group)
    rules = [f"{table} ({rule_of(spaces[0])})" for table, spaces in tables.items()]
    sentences = [f"{join_names(rules, len(rules))} read one file."]
    rows = {spaces[0].rows for spaces in tables.values()}
    if len(rows) > 1:
        sentences.append(
            "Their rows differ in number, so their questions differ too: compare with care."
        )
    asked = headline(group)
    by_pair: dict[str, list[ComparedSpace]] = {}
    for space in group if asked else ():
        by_pair.setdefault(space.name, []).append(space)
    pairs = [ranking(pair, asked) for pair in by_pair.values()] if asked else []
    pairs = [ranked for ranked in pairs if len(ranked) > 1]
    if asked is None or not pairs:
        return [*sentences, "No score is there for more than one of them."]
    if len(pairs) > NAMED:
        sentences += wins_by_rule(pairs, asked)
        pairs = [min(pairs, key=lambda ranked: -required_score(asked, ranked[0]).value)]
    return sentences + [better_rule(ranked, asked) for ranked in pairs]


def wins_by_rule(pairs: Sequence[Sequence[ComparedSpace]], asked: Headline) -> list[str]:
    """Count where each table scores best, and clearly so, over pairs of model and space."""
    wins: dict[str, list[bool]] = {}
    for ranked in pairs:
        clear = intervals_disjoint(
            required_score(asked, ranked[0]), required_score(asked, ranked[1])
        )
        wins.setdefault(ranked[0].table, []).append(clear)
    counts = [f"{table} in {len(won)}, clearly in {sum(won)}" for table, won in wins.items()]
    return [
        f"Of {len(pairs)} pairs of model and space, best by {asked.name} is {'; '.join(counts)}."
    ]


def better_rule(ranked: Sequence[ComparedSpace], asked: Headline) -> str:
    """Return which table scores best with one model and space; `ranked` has the best first."""
    first, second = (required_score(asked, space) for space in ranked[:2])
    rest = join_names(
        [f"{space.table} ({required_score(asked, space).value:.3f})" for space in ranked[1:]]
    )
    number = f"{asked.name} {with_interval(first)}"
    how = "clearly above" if intervals_disjoint(first, second) else "with no clear difference from"
    return f"{ranked[0].name}: best with {ranked[0].table}, at {number}, {how} {rest}."


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


def intervals_disjoint(one: ScoreValue, other: ScoreValue) -> bool:
    """Return whether two scores' intervals don't overlap; without intervals nothing is clear."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.low > other.high or other.low > one.high


def with_interval(found: ScoreValue) -> str:
    """Write a number with its interval."""
    if found.low is None or found.high is None:
        return f"{found.value:.3f} (no interval)"
    return f"{found.value:.3f} (95 % interval {found.low:.3f} to {found.high:.3f})"


def join_names(names: Sequence[str], most: int = NAMED) -> str:
    """Join names: a, b and c; of more than `most` the others are counted."""
    names = list(names)
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plural(n: int, what: str) -> str:
    """Write a count of things."""
    return f"{n:,} {what}" + ("" if n == 1 else "s")
