"""The compare page's words: each claim against numbers made by hand."""

from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, lists, tuples

from kgtextvec.pages.numbers import format_bytes
from kgtextvec.pairs import ItemSums
from kgtextvec.report.compare.paired import compare_table
from kgtextvec.report.compare.rules import rules_verdict, same_file
from kgtextvec.report.compare.scores import ComparedSpace, ScoreValue
from kgtextvec.report.compare.verdict import table_verdict

MRR = ("cold_start", "vectors", "mrr")
KNN = ("labels", "vectors", "knn_accuracy")
N = 400
RECALL = ("retention", "vectors", "recall_at_10")


def near(value: float, half: float = 0.01) -> ScoreValue:
    return ScoreValue(value, value - half, value + half)


def space(model: str, name: str = "full", dims: int = 768, scores: dict | None = None, **more):
    return ComparedSpace(
        model, more.pop("table", "entities"), name, dims=dims, scores=scores or {}, **more
    )


def sums(asked: str = "all", salt: str = "", **columns: tuple[float, float]) -> dict:
    """The cold start's sums of 400 entities: per column the mean, and the noise around what all
    spaces find equally hard. The means are exact."""
    rng = np.random.default_rng(crc32(f"{salt} {columns}".encode()))
    hard = np.random.default_rng(0).normal(0, 0.2, N)
    found = {}
    for name, (mean, noise) in columns.items():
        values = hard + rng.normal(0, noise, N)
        found[name.replace("__", ".")] = values - values.mean() + mean
    counts = np.ones(N, np.int64)
    return {"cold_start": ItemSums(np.arange(N), counts, found, asked)}


def paired(model: str, mrr: float, noise: float = 0.02, name: str = "full", **more):
    """A space of which each entity's sum is kept; differences have errors of noise / 14."""
    salt = f"{model} {name} {more.get('table')}"
    items = sums(more.pop("asked", "all"), salt, vectors__mrr=(mrr, noise))
    return space(model, name, scores={MRR: near(mrr, 0.02)} | more.pop("scores", {}), items=items,
                 **more)  # fmt: skip


def ranked(**values: float) -> list[ComparedSpace]:
    return [space(model, scores={MRR: near(value)}) for model, value in values.items()]


def test_a_clear_winner_has_paired_differences_although_intervals_overlap():
    said = table_verdict([paired("a", 0.295), paired("b", 0.305), paired("c", 0.28)])
    assert said[0].startswith(
        "The best of 3 spaces is b full: cold-start MRR 0.305 (95 % interval 0.285 to 0.325)."
        " It is clearly better than all others; the closest is a full (+0.0100, +0.0"
    )
    assert said[-1] == (
        "Paired comparisons: 3 pairs of spaces. Their intervals are widened so that all of them"
        " hold at once (95 %)."
    )


def test_an_open_difference_and_an_equivalent_space_are_named_as_such():
    spaces = [paired("a", 0.3), paired("b", 0.295, noise=0.2), paired("c", 0.299, noise=0.02)]
    said = table_verdict(spaces)[0]
    assert "No clear difference from b full (+0.0050, -0.0" in said
    assert "Equivalent to it within 0.005: c full (+0.0010, -0.00" in said


@given(lists(tuples(floats(0, 1), floats(0.01, 0.5)), min_size=2, max_size=4))
@settings(max_examples=15, deadline=None)
def test_no_clear_difference_is_said_only_where_the_paired_interval_includes_zero(numbers):
    spaces = [paired(f"m{i}", *one) for i, one in enumerate(numbers)]
    pairs = compare_table(spaces, "cold_start", "mrr")
    best = max(spaces, key=lambda one: (one.scores[MRR].value, -spaces.index(one)))
    said = table_verdict(spaces)[0].partition("No clear difference from")[2].partition(".  ")[0]
    for one in spaces:
        found = pairs.between.get((best.name, one.name))
        if found and f" {one.name} (" in said.partition("Equivalent")[0]:
            assert found.low_all <= 0 <= found.high_all
            assert not found.within(pairs.margin)


def test_what_is_small_is_equivalent_within_a_tenth_of_the_best_score():
    """In a graph of a million nodes all are small: half of 0.0026 is no equivalent of it."""
    spaces = [paired("a", 0.0026, 0.0002), paired("a", 0.0013, 0.0002, name="pca64", n_bytes=1)]
    assert compare_table(spaces, "cold_start", "mrr").margin == 0.0002
    said = table_verdict(spaces)
    assert "is a full: cold-start MRR 0.0026 (" in said[0]
    assert "clearly better than all others; the closest is a pca64 (+0.0013" in said[0]
    assert not any("equivalent" in one or "cheapest" in one for one in said)
    close = [spaces[0], paired("b", 0.00258, 0.0002)]
    assert "Equivalent to it within 0.0002: b full (+0.0000" in table_verdict(close)[0]


@pytest.mark.parametrize(
    ("best", "margin"),
    [(0.9, 0.005), (0.05, 0.005), (0.049, 0.004), (0.0026, 0.0002), (2e-5, 2e-6), (0.0, 0.0)],
)
def test_the_margin_is_a_tenth_of_the_best_score_where_that_is_less(best, margin):
    found = compare_table([paired("a", best), paired("b", best / 2)], "cold_start", "mrr")
    assert found.margin == pytest.approx(margin, rel=1e-12)


def test_of_many_open_spaces_three_are_named():
    said = table_verdict([paired(f"m{i}", 0.3 - i / 1000, noise=0.3) for i in range(6)])
    assert said[0].count("(+0.00") == 3 and "and 2 more." in said[0]


def test_without_sums_per_entity_it_is_left_open():
    said = table_verdict(ranked(a=0.2, b=0.3, c=0.1))
    assert said[0] == (
        "The best of 3 spaces is b full: cold-start MRR 0.300 (95 % interval 0.290 to 0.310)."
        " Not compared in pairs, so open: a full and c full."
    )
    assert not any("clear" in one for one in said)


def test_spaces_that_were_asked_other_questions_are_not_compared():
    said = table_verdict([paired("a", 0.3), paired("b", 0.2), paired("c", 0.1, asked="other")])
    assert "Not compared in pairs, so open: c full." in said[0]


def test_a_space_alone_is_not_called_the_best():
    said = table_verdict([paired("a", 0.2)])
    assert said[0].startswith("a full is the only space to score: cold-start MRR 0.200")
    assert not any("cheapest" in one or "best of 3" in one for one in said)


def test_a_space_without_the_score_is_counted():
    said = table_verdict([*ranked(a=0.2, b=0.3), space("c")])
    assert said[0].startswith("The best of 2 spaces (1 other without that score) is b full")


def with_baselines(mrr: float, gains: dict[str, ScoreValue], **baselines: float) -> ComparedSpace:
    scores = {MRR: near(mrr)}
    scores |= {("cold_start", name, "mrr"): near(value) for name, value in baselines.items()}
    scores |= {
        ("cold_start", "vectors", f"mrr_gain_over_{name}"): gain for name, gain in gains.items()
    }
    return space("a", scores=scores)


def test_the_strongest_of_all_baselines_is_the_one_to_beat_and_what_is_left_is_told():
    baselines = {"tfidf__mrr": (0.074, 0.05), "tfidf_chars__mrr": (0.185, 0.05)}
    items = sums(vectors__mrr=(0.205, 0.05), **baselines)
    scores = {MRR: near(0.205), ("cold_start", "tfidf", "mrr"): near(0.074)}
    scores[("cold_start", "tfidf_chars", "mrr")] = near(0.185)
    said = table_verdict([space("a", scores=scores, items=items)])
    assert said[1].startswith(
        "a full beats the best of all baselines, TF-IDF of characters at 0.185 (difference +0.0200,"
    )
    assert said[2] == (
        "Of its gain of +0.131 over TF-IDF of words (at 0.074), +0.020 (15 %) is left against that"
        " baseline."
    )
    assert said[-1].startswith("Paired comparisons: 1 difference from the best baseline.")
    scores[("cold_start", "tfidf_chars", "mrr")] = near(0.205)
    items = sums(vectors__mrr=(0.205, 0.05), **(baselines | {"tfidf_chars__mrr": (0.205, 0.05)}))
    said = table_verdict([space("a", scores=scores, items=items)])
    assert said[2].endswith("(at 0.074), nothing is left against that baseline.")


def test_a_baseline_beside_another_space_counts_as_well():
    """TF-IDF + SVD has the dims of its space: the strongest one is held against all spaces."""
    wide = {MRR: near(0.2), ("cold_start", "tfidf_svd", "mrr"): near(0.35)}
    small = {MRR: near(0.3), ("cold_start", "tfidf_svd", "mrr"): near(0.1)}
    spaces = [
        space("a", dims=64, scores=small, items=sums(vectors__mrr=(0.3, 0.02))),
        space(
            "b", dims=3072, scores=wide,
            items=sums(vectors__mrr=(0.2, 0.02), tfidf_svd__mrr=(0.35, 0.02)),
        ),
    ]  # fmt: skip
    said = table_verdict(spaces)
    assert said[1].startswith(
        "a full loses to the best of all baselines, TF-IDF of words + SVD, 3072 dims at 0.350"
        " (difference -0.0500,"
    )
    assert said[1].endswith("it is not worth the model's cost on this task.")


def test_the_recorded_gain_decides_where_sums_are_missing():
    one = with_baselines(0.3, {"tfidf": ScoreValue(0.005, 0.001, 0.009)}, tfidf=0.295, random=0.1)
    assert (
        "a full beats the best of all baselines, TF-IDF of words at 0.295 (difference +0.0050,"
        " +0.0010 to +0.0090)."
    ) in table_verdict([one])
    one = with_baselines(0.3, {"tfidf": ScoreValue(0.01, -0.01, 0.03)}, tfidf=0.29)
    assert any(words.startswith("There is no clear difference") for words in table_verdict([one]))
    one = with_baselines(0.3, {}, tfidf=0.29)
    assert "a full was not compared in pairs with the best of all" in table_verdict([one])[1]


def test_a_score_without_a_baseline_is_told_to_say_little():
    assert "There is no baseline to compare it with, so the number says little." in table_verdict(
        ranked(a=0.3)
    )


def full_and_reduced(model: str, full: float, reduced: float, recall: float) -> list[ComparedSpace]:
    return [
        paired(model, full, dims=1024),
        paired(model, reduced, name="pca400", dims=400, scores={RECALL: near(recall)}),
    ]


def test_what_a_reduced_space_keeps_is_told_in_percent_with_its_paired_loss():
    said = table_verdict(full_and_reduced("bioelmo", 0.3, 0.292, 0.84))
    (kept,) = [one for one in said if "keeps" in one]
    assert kept.startswith(
        "bioelmo pca400 keeps 97 % of the full space's cold-start MRR (0.292 of 0.300; clearly"
        " worse: -0.0080, -0.01"
    )
    assert kept.endswith("84 % of its nearest neighbours (recall@10), in 400 of 1,024 dims.")
    assert "It is clearly better than all others" in said[0]


def test_of_many_models_the_least_and_the_most_are_told():
    told = {"a": (0.2, 0.9), "b": (0.3, 0.6), "c": (0.4, 0.7), "d": (0.3, 0.8)}
    spaces = [one for model, kept in told.items() for one in full_and_reduced(model, 0.4, *kept)]
    assert (
        "pca400 keeps 50 % (a) to 100 % (c) of the full space's cold-start MRR and 60 % (b) to"
        " 90 % (a) of its nearest neighbours (recall@10), over 4 models."
    ) in table_verdict(spaces)


def test_a_reduced_space_without_its_full_one_tells_of_neighbours_alone():
    reduced = full_and_reduced("a", 0.3, 0.2, 0.5)[1]
    assert "a pca400 keeps 50 % of its nearest neighbours (recall@10)." in table_verdict([reduced])


def cost(model: str, mrr: float, n_bytes: int | None = 4000, **more) -> ComparedSpace:
    told = {"embedded": 100, "seconds": 1.0, "devices": "cpu", "parameters": 10_000_000} | more
    return paired(model, mrr, noise=0.1, n_bytes=n_bytes, **told)


def test_the_cheapest_is_the_fastest_of_those_not_clearly_worse_and_its_risk_is_told():
    fast_but_bad = cost("c", 0.1, seconds=0.1)
    said = table_verdict(
        [cost("a", 0.3, seconds=10.0), cost("b", 0.295, seconds=2.0), fast_but_bad]
    )
    assert said[-2].startswith(
        "The cheapest of the 2 spaces that are not clearly worse than a full is b full, at 0.295"
        " (4 kB, 50 texts/s; no clear difference: -0.0050, -0.0"
    )


def test_speeds_that_were_not_measured_alike_are_not_compared():
    slow = cost("a", 0.3, seconds=10.0, parameters=5_000_000)
    for other in ({"embedded": 0}, {"devices": "cuda"}):
        said = table_verdict([slow, cost("b", 0.295, **other)])
        assert said[-2] == (
            "a full is also the cheapest of the 2 spaces that are not clearly worse"
            " (4 kB, 5.0 million parameters; not all speeds were measured alike)."
        )


def test_spaces_of_one_model_differ_in_bytes():
    small = paired("a", 0.2995, name="pca8", n_bytes=400)
    said = table_verdict([paired("a", 0.3, n_bytes=8000), small])
    assert "is a pca8, at 0.299 (400 bytes; equivalent within 0.005: -0.0005, " in said[-2]


def test_without_triples_the_label_probe_speaks():
    scores = {KNN: near(0.8), ("labels", "majority", "knn_accuracy"): near(0.3)}
    said = table_verdict([space("a", scores=scores)])
    assert said[0].startswith("There is no cold-start score (it needs triples), so the label probe")
    assert said[1].startswith("a full is the only space to score: label accuracy 0.800")
    assert "a full was not compared in pairs with the best of all baselines" in said[2]


def test_a_label_told_from_a_text_that_holds_it_ranks_nothing():
    """Whether it does is measured: a column that alone predicts labels stands among the methods."""
    told = {KNN: near(1.0), ("labels", "column_label", "knn_accuracy"): near(1.0)}
    said = table_verdict([space("a", scores=told, text="{label}: {name}")])
    assert said[0].startswith("Nothing here says which space is best")


def test_relation_types_tell_of_retention():
    reduced = space("a", "pca8", 8, {RECALL: near(0.5)}, kind="relation_types")
    said = table_verdict([space("a", kind="relation_types"), reduced])
    assert said[0].startswith("Nothing here says which space is best")
    assert said[1:] == [
        "a pca8 keeps 50 % of its nearest neighbours (recall@10), in 8 of 768 dims."
    ]


def by_rule(
    table: str, text: str, mrr: float, file: str = "e.tsv", rows: int = 10, asked: str = "all"
) -> ComparedSpace:
    more = {"table": table, "text": text, "file": file, "rows": rows, "asked": asked}
    return paired("a", mrr, **more)


def test_two_tables_of_one_file_are_compared_by_rule_in_pairs():
    spaces = [by_rule("long", "{name}. {description}", 0.215), by_rule("short", "name", 0.2)]
    (group,) = same_file([*spaces, by_rule("other", "name", 0.9, file="f.tsv")])
    said = rules_verdict(group)
    assert said[0] == "long (“{name}. {description}”) and short (name) read one file."
    assert said[1].startswith(
        "a full: best with long, at cold-start MRR 0.215 (95 % interval 0.195 to 0.235), before"
        " short (0.200; clearly better: +0.0150, +0.01"
    )
    assert said[2].startswith("Paired comparisons: 1 pair of text rules.")


def test_rules_that_are_level_are_told_so_and_differing_rows_are_not_compared():
    group = [by_rule("long", "description,name", 0.3), by_rule("short", "name", 0.2995)]
    assert "(0.299; equivalent within 0.005: +0.0005, " in rules_verdict(group)[1]
    group = [
        by_rule("long", "description,name", 0.3),
        by_rule("short", "name", 0.295, rows=9, asked="fewer"),
    ]
    said = rules_verdict(group)
    assert said[0] == "long (description, else name) and short (name) read one file."
    assert "differ in number" in said[1]
    assert said[2].endswith("before short (0.295; not compared in pairs).")


def test_one_rule_under_two_names_is_no_comparison():
    assert same_file([by_rule("a", "name", 0.3), by_rule("b", "name", 0.3)]) == []


@pytest.mark.parametrize(
    ("n", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1536, "1.5 kB"), (145_000, "145 kB"), (3.2e9, "3.2 GB")],
)
def test_bytes_are_told_in_a_unit_that_suits(n, words):
    assert format_bytes(n) == words


def test_many_pairs_are_counted_and_the_best_is_named():
    group = []
    for model, long, short in (
        ("a", 0.3, 0.2),
        ("b", 0.4, 0.1),
        ("c", 0.2, 0.2005),
        ("d", 0.3, 0.29),
    ):
        for table, text, mrr in (("long", "{name} {description}", long), ("short", "name", short)):
            group.append(paired(model, mrr, noise=0.05, table=table, text=text, file="e"))
    said = rules_verdict(group)
    assert said[1] == (
        "Best by cold-start MRR, of 4 combinations of model and space:"
        " long in 3 (3 clearly), short in 1 (none clearly)."
    )
    assert said[2].startswith("b full: best with long, at cold-start MRR 0.400")
    assert said[3].startswith("Paired comparisons: 4 pairs of text rules.")
