"""What text rules come to: tables that read one file, compared with each model and space."""

from collections.abc import Sequence

from kgtextvec.pages.numbers import format_score
from kgtextvec.progress import plural
from kgtextvec.report.compare.paired import BETTER, RulePairs, compare_rules, in_words
from kgtextvec.report.compare.scores import ComparedSpace, by_table
from kgtextvec.report.compare.verdict import (
    NAMED,
    Headline,
    headline,
    join_names,
    ranking,
    required_score,
    rule_of,
    with_interval,
)


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
    ranked = [ranking(pair, asked) for pair in by_pair.values()] if asked else []
    ranked = [one for one in ranked if len(one) > 1]
    if asked is None or not ranked:
        return [*sentences, "No score is there for more than one of them."]
    pairs = compare_rules(group, asked.score, asked.metric)
    if len(ranked) > NAMED:
        sentences += wins_by_rule(ranked, asked, pairs)
        ranked = [min(ranked, key=lambda one: -required_score(asked, one[0]).value)]
    sentences += [better_rule(one, asked, pairs) for one in ranked]
    if pairs.n_pairs:
        sentences.append(
            f"Paired comparisons: {plural(pairs.n_pairs, 'pair')} of text rules. Their intervals"
            " are widened so that all of them hold at once (95 %)."
        )
    return sentences


def wins_by_rule(
    ranked: Sequence[Sequence[ComparedSpace]], asked: Headline, pairs: RulePairs
) -> list[str]:
    """Count where each table scores best, and clearly so, over combinations of model and space."""
    wins: dict[str, list[bool]] = {}
    for first, second, *_ in ranked:
        found = pairs.differences.get((first.name, first.table, second.table))
        is_clear = found is not None and pairs.decide(found) == BETTER
        wins.setdefault(first.table, []).append(is_clear)
    counts = [
        f"{table} in {len(won)} ({sum(won) or 'none'} clearly)" for table, won in wins.items()
    ]
    return [
        f"Best by {asked.name}, of {len(ranked)} combinations of model and space:"
        f" {', '.join(counts)}."
    ]


def better_rule(ranked: Sequence[ComparedSpace], asked: Headline, pairs: RulePairs) -> str:
    """Return which table scores best with one model and space; `ranked` has the best first."""
    best = ranked[0]
    others = []
    for space in ranked[1:]:
        found = pairs.differences.get((best.name, best.table, space.table))
        how = f"{pairs.decide(found)}: {in_words(found)}" if found else "not compared in pairs"
        others.append(f"{space.table} ({format_score(required_score(asked, space).value)}; {how})")
    number = f"{asked.name} {with_interval(required_score(asked, best))}"
    return f"{best.name}: best with {best.table}, at {number}, before {join_names(others)}."
