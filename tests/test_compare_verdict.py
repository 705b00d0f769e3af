"""The compare page's words: each claim against numbers made by hand."""

import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists, tuples

from kgtextvec.pages.numbers import format_bytes
from kgtextvec.report.compare.scores import ComparedSpace, ScoreValue
from kgtextvec.report.compare.verdict import rules_verdict, same_file, table_verdict

MRR = ("cold_start", "vectors", "mrr")
KNN = ("labels", "vectors", "knn_accuracy")
RECALL = ("retention", "vectors", "recall_at_10")


def near(value: float, half: float = 0.01) -> ScoreValue:
    return ScoreValue(value, value - half, value + half)


def space(model: str, name: str = "full", dims: int = 768, scores: dict | None = None, **more):
    return ComparedSpace(
        model, more.pop("table", "entities"), name, dims=dims, scores=scores or {}, **more
    )


def ranked(**values: float) -> list[ComparedSpace]:
    return [space(model, scores={MRR: near(value)}) for model, value in values.items()]


def test_a_clear_winner_is_told_with_its_interval():
    said = table_verdict(ranked(a=0.2, b=0.3, c=0.1))
    assert said[0] == (
        "The best of 3 spaces is b full: cold-start MRR 0.300 (95 % interval 0.290 to 0.310)."
        " Its interval lies above those of all others."
    )


def test_overlapping_intervals_are_no_clear_difference():
    said = table_verdict(ranked(a=0.29, b=0.3, c=0.285, d=0.1))
    assert said[0].endswith(
        "No clear difference from a full (0.290) and c full (0.285): the intervals overlap."
    )


def test_of_many_level_spaces_three_are_named():
    said = table_verdict(ranked(a=0.304, b=0.303, c=0.302, d=0.301, e=0.3, f=0.299))
    assert "from b full (0.303), c full (0.302), d full (0.301) and 2 more: " in said[0]


def test_without_intervals_nothing_is_clear():
    spaces = [space(m, scores={MRR: ScoreValue(v)}) for m, v in (("a", 0.9), ("b", 0.1))]
    told = "0.900 (no interval). No clear difference from b full (0.100): intervals are missing."
    assert told in table_verdict(spaces)[0]


@given(lists(tuples(floats(0, 1), floats(0, 0.5)), min_size=2, max_size=8))
def test_above_all_others_is_said_just_when_no_interval_reaches_the_best(numbers):
    spaces = [space(f"m{i}", scores={MRR: near(*one)}) for i, one in enumerate(numbers)]
    best = max(numbers, key=lambda one: one[0])
    others = list(numbers)
    others.remove(best)
    alone = all(value + half < best[0] - best[1] for value, half in others)
    assert ("above those of all others" in table_verdict(spaces)[0]) == alone


def test_a_space_alone_is_not_called_the_best():
    said = table_verdict(ranked(a=0.2))
    assert said[0].startswith("a full is the only space to score: cold-start MRR 0.200")
    assert not any("cheapest" in one or "best of" in one for one in said)


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


def test_the_paired_difference_decides_against_a_baseline():
    """The intervals overlap, yet the paired gain is above zero: the space is better."""
    one = with_baselines(0.3, {"tfidf": ScoreValue(0.005, 0.001, 0.009)}, tfidf=0.295, random=0.1)
    assert (
        "a full beats its best baseline, TF-IDF of words at 0.295"
        " (difference +0.005, 95 % interval +0.001 to +0.009)."
    ) in table_verdict([one])


def test_a_loss_to_tfidf_is_told_as_one():
    one = with_baselines(
        0.25, {"tfidf": ScoreValue(-0.05, -0.06, -0.04)}, tfidf=0.3, popularity=0.1
    )
    assert (
        "a full loses to its best baseline, TF-IDF of words at 0.300"
        " (difference -0.050, 95 % interval -0.060 to -0.040): plain word counts do better than"
        " the model."
    ) in table_verdict([one])


def test_a_gain_around_zero_is_no_clear_difference():
    one = with_baselines(0.3, {"tfidf": ScoreValue(0.01, -0.01, 0.03)}, tfidf=0.29)
    (said,) = [words for words in table_verdict([one]) if "TF-IDF" in words]
    assert said.startswith("There is no clear difference between a full and its best baseline")


def test_tfidf_is_told_of_beside_a_better_baseline():
    gains = {"popularity": ScoreValue(-0.1, -0.2, -0.05), "tfidf_svd": ScoreValue(0.1, 0.05, 0.2)}
    said = table_verdict([with_baselines(0.3, gains, popularity=0.4, tfidf_svd=0.2, tfidf=0.1)])
    assert any(one.startswith("a full loses to its best baseline, popularity") for one in said)
    assert any(one.startswith("a full beats TF-IDF of words + SVD at 0.200") for one in said)


def test_a_score_without_a_baseline_is_told_to_say_little():
    assert "No baseline stands beside it, so the number says little." in table_verdict(
        ranked(a=0.3)
    )


def full_and_reduced(model: str, full: float, reduced: float, recall: float) -> list[ComparedSpace]:
    return [
        space(model, dims=1024, scores={MRR: near(full)}),
        space(model, "pca400", dims=400, scores={MRR: near(reduced), RECALL: near(recall)}),
    ]


def test_what_a_reduced_space_keeps_is_told_in_percent():
    said = table_verdict(full_and_reduced("bioelmo", 0.3, 0.291, 0.84))
    assert (
        "bioelmo pca400 keeps 97 % of the full space's cold-start MRR (0.291 of 0.300, no clear"
        " difference) and 84 % of its nearest neighbours (recall@10), in 400 of 1,024 dims."
    ) in said
    said = table_verdict(full_and_reduced("bioelmo", 0.3, 0.15, 0.84))
    assert any("keeps 50 % of the full space's cold-start MRR (0.150 of 0.300)" in s for s in said)


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
    return space(model, scores={MRR: near(mrr)}, n_bytes=n_bytes, **told)


def test_the_cheapest_within_the_interval_is_the_fastest():
    fast_but_bad = cost("c", 0.1, seconds=0.1)
    said = table_verdict(
        [cost("a", 0.3, seconds=10.0), cost("b", 0.295, seconds=2.0), fast_but_bad]
    )
    assert said[-1] == (
        "The cheapest of the 2 spaces within the interval of a full is b full, at 0.295"
        " (4 kB, 50 texts/s)."
    )


def test_speeds_that_were_not_measured_alike_are_not_compared():
    slow = cost("a", 0.3, seconds=10.0, parameters=5_000_000)
    for other in ({"embedded": 0}, {"devices": "cuda"}):
        said = table_verdict([slow, cost("b", 0.295, **other)])
        assert said[-1] == (
            "a full is also the cheapest of the 2 within its interval"
            " (4 kB, 5.0 million parameters; not all speeds were measured alike)."
        )


def test_spaces_of_one_model_differ_in_bytes():
    spaces = [cost("a", 0.3, 8000), space("a", "pca8", scores={MRR: near(0.295)}, n_bytes=400)]
    assert table_verdict(spaces)[-1].endswith("is a pca8, at 0.295 (400 bytes).")


def test_no_other_within_the_interval_is_told():
    assert (
        table_verdict(ranked(a=0.3, b=0.1))[-1]
        == "No other space comes within the interval of a full."
    )


def test_without_triples_the_label_probe_speaks():
    scores = {KNN: near(0.8), ("labels", "majority", "knn_accuracy"): near(0.3)}
    said = table_verdict([space("a", scores=scores)])
    assert said[0].startswith("There is no cold-start score (it needs triples), so the label probe")
    assert said[1].startswith("a full is the only space to score: label accuracy 0.800")
    assert "a full beats its best baseline, commonest label at 0.300." in said


def test_a_label_told_from_a_text_that_holds_it_ranks_nothing():
    said = table_verdict([space("a", scores={KNN: near(1.0)}, text="{label}: {name}")])
    assert said[0].startswith("Nothing here says which space is best")


def test_relation_types_tell_of_retention():
    reduced = space("a", "pca8", 8, {RECALL: near(0.5)}, kind="relation_types")
    said = table_verdict([space("a", kind="relation_types"), reduced])
    assert said[0].startswith("Nothing here says which space is best")
    assert said[1:] == [
        "a pca8 keeps 50 % of its nearest neighbours (recall@10), in 8 of 768 dims."
    ]


def by_rule(
    table: str, text: str, mrr: float, file: str = "e.tsv", rows: int = 10
) -> ComparedSpace:
    scores = {MRR: near(mrr)}
    return space("a", scores=scores, table=table, text=text, file=file, rows=rows)


def test_two_tables_of_one_file_are_compared_by_rule():
    spaces = [by_rule("long", "{name}. {description}", 0.3), by_rule("short", "name", 0.2)]
    (group,) = same_file([*spaces, by_rule("other", "name", 0.9, file="f.tsv")])
    assert rules_verdict(group) == [
        "long (“{name}. {description}”) and short (name) read one file.",
        "a full: best with long, at cold-start MRR 0.300 (95 % interval 0.290 to 0.310), clearly"
        " above short (0.200).",
    ]


def test_rules_that_are_level_are_told_so_and_differing_rows_are_warned_of():
    group = [by_rule("long", "description,name", 0.3), by_rule("short", "name", 0.295, rows=9)]
    said = rules_verdict(group)
    assert said[0] == "long (description, else name) and short (name) read one file."
    assert "differ in number" in said[1]
    assert said[2].endswith("with no clear difference from short (0.295).")


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
        ("c", 0.2, 0.205),
        ("d", 0.3, 0.29),
    ):
        for table, text, mrr in (("long", "{name} {description}", long), ("short", "name", short)):
            group.append(
                ComparedSpace(model, table, "full", text=text, file="e", scores={MRR: near(mrr)})
            )
    assert rules_verdict(group)[1:] == [
        "Of 4 pairs of model and space, best by cold-start MRR is long in 3, clearly in 2;"
        " short in 1, clearly in 0.",
        "b full: best with long, at cold-start MRR 0.400 (95 % interval 0.390 to 0.410), clearly"
        " above short (0.100).",
    ]


def test_a_better_baseline_beside_another_space_is_told():
    other = space(
        "b", dims=3072, scores={MRR: near(0.2), ("cold_start", "tfidf_svd", "mrr"): near(0.35)}
    )
    best = space(
        "a", dims=64, scores={MRR: near(0.3), ("cold_start", "tfidf_svd", "mrr"): near(0.1)}
    )
    said = table_verdict([best, other])
    assert "a full beats its best baseline, TF-IDF of words + SVD at 0.100." in said
    assert (
        "A better baseline stands beside another space: TF-IDF of words + SVD, 3072 dims, at 0.350."
        in said
    )
