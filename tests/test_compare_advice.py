"""Which vectors the pages advise to use, on numbers made by hand."""

from test_compare_verdict import MRR, near, paired, space, sums

from kgtextvec.pairs import Difference
from kgtextvec.report.compare.advice import advise
from kgtextvec.report.compare.paired import in_words


def against(model: str, mrr: float, baseline: float, noise: float = 0.02, **more):
    """A space and its TF-IDF baseline, both with sums per entity."""
    items = sums(salt=model, vectors__mrr=(mrr, noise), tfidf__mrr=(baseline, noise))
    scores = {MRR: near(mrr, 0.02), ("cold_start", "tfidf", "mrr"): near(baseline, 0.02)}
    more = {"rows": 400, "text": "description,name", "dims": 64} | more
    return space(model, scores=scores, items=items, **more)


def test_the_best_space_is_advised_with_its_reasons_and_its_cost():
    best = against("b", 0.4, 0.2, n_bytes=2_000_000, parameters=22_700_000)
    (advice,) = advise([against("a", 0.3, 0.2), best])
    assert advice.gain == "yes" and advice.tables == ("entities",)
    assert advice.sentence == "Use b, space full (64 dims), text: description, else name."
    assert advice.because[0].startswith("The best of 2 spaces is b full")
    assert "beats the best of all baselines, TF-IDF of words" in advice.because[1]
    assert (
        advice.cost == "2 MB of vectors, a model of 22.7 M weights, speed not measured in this run"
    )


def test_where_a_baseline_is_better_the_advice_says_so():
    (advice,) = advise([against("a", 0.2, 0.4)])
    assert advice.gain == "no"
    assert advice.sentence.startswith("The best baseline is clearly better than all of them.")


def test_a_gain_that_is_not_clear_is_not_called_one():
    (advice,) = advise([against("a", 0.3, 0.3)])
    assert advice.gain == "unclear"
    assert advice.sentence.endswith("It is not clearly better than the best baseline.")


def test_a_gain_that_is_clear_but_does_not_matter_is_not_called_one():
    (advice,) = advise([against("a", 0.302, 0.3, noise=0.005)])
    assert advice.gain == "unclear"
    assert "a full is equivalent within 0.005 to the best of all baselines" in advice.because[1]


def test_of_two_text_rules_of_one_file_the_better_one_is_advised():
    rules = [
        paired("a", 0.3, table="plain", text="name", file="e.tsv", dims=8),
        paired("a", 0.4, table="long", text="{name}. {description}", file="e.tsv", dims=8),
    ]
    (advice,) = advise(rules)
    assert advice.tables == ("plain", "long")
    assert (advice.space.table, advice.rule) == ("long", "“{name}. {description}”")


def test_without_a_score_that_ranks_there_is_no_advice():
    assert advise([space("a"), space("b")]) == []


def test_small_differences_are_written_with_two_digits():
    assert (
        in_words(Difference(0.0012, low_all=-0.01, high_all=0.02)) == "+0.0012, -0.0100 to +0.0200"
    )
    small = Difference(0.00031, low_all=-0.00002, high_all=0.00064)
    assert in_words(small) == "+0.00031, -0.00002 to +0.00064"
    assert in_words(Difference(0.00031)) == "+0.00031, no interval"
