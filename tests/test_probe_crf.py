"""The CRF against all paths, one by one."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, lists

from kgtextvec.probe.crf import Crf
from kgtextvec.probe.tags import legal_steps, tag_set


def every_step(n: int):
    return np.ones(n, bool), np.ones((n, n), bool), np.ones(n, bool)


def score(crf: Crf, emissions: torch.Tensor, path: tuple[int, ...]) -> float:
    """The definition, a term at a time; emissions (T, K)."""
    start, transitions, end = crf.scores()
    total = start[path[0]] + end[path[-1]]
    total = total + sum(emissions[t, tag] for t, tag in enumerate(path))
    return float((total + sum(transitions[a, b] for a, b in pairwise(path))).detach())


def made(legal, seed: int) -> Crf:
    torch.manual_seed(seed)
    crf = Crf(legal).double()
    with torch.no_grad():
        for part in (crf.start, crf.transitions, crf.end):
            part.normal_()
    return crf


@settings(max_examples=25)
@given(lists(integers(1, 5), min_size=1, max_size=4), integers(2, 4), integers(0, 99))
def test_partition_function_and_best_path_are_those_of_all_paths(lengths, n_tags, seed):
    crf = made(every_step(n_tags), seed)
    emissions = torch.randn(len(lengths), max(lengths), n_tags, dtype=torch.float64)
    sizes = torch.tensor(lengths)
    partition = crf.log_partition(emissions, sizes).detach()
    best = crf.best_paths(emissions, sizes)
    for i, length in enumerate(lengths):
        paths = list(product(range(n_tags), repeat=length))
        scores = [score(crf, emissions[i], path) for path in paths]
        assert float(partition[i]) == pytest.approx(np.logaddexp.reduce(scores), abs=1e-9)
        assert tuple(best[i]) == paths[int(np.argmax(scores))]


@settings(max_examples=25)
@given(lists(integers(1, 6), min_size=1, max_size=4), integers(0, 99))
def test_a_paths_score_is_its_definition(lengths, seed):
    crf = made(every_step(3), seed)
    emissions = torch.randn(len(lengths), max(lengths), 3, dtype=torch.float64)
    tags = torch.randint(3, (len(lengths), max(lengths)))
    found = crf.path_score(emissions, tags, torch.tensor(lengths))
    for i, length in enumerate(lengths):
        expected = score(crf, emissions[i], tuple(tags[i, :length].tolist()))
        assert float(found[i].detach()) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_no_probability_and_no_prediction_goes_to_illegal_tags(scheme):
    tags = tag_set(["A", "B"], scheme)
    legal = legal_steps(tags)
    crf = made(legal, 0)
    emissions = torch.randn(50, 4, len(tags), dtype=torch.float64) * 3
    sizes = torch.full((50,), 4)

    def is_legal(path) -> bool:
        steps = all(legal[1][a, b] for a, b in pairwise(path))
        return bool(legal[0][path[0]] and steps and legal[2][path[-1]])

    paths = [p for p in product(range(len(tags)), repeat=4) if is_legal(p)]
    scores = [score(crf, emissions[0], path) for path in paths]
    whole = float(crf.log_partition(emissions, sizes)[0].detach())
    assert whole == pytest.approx(np.logaddexp.reduce(scores), abs=1e-9)
    assert all(is_legal(path) for path in crf.best_paths(emissions, sizes))


def test_the_loss_goes_down_the_gradient_of_the_probability():
    """Against finite differences, emissions and all parameters."""
    crf = made(legal_steps(tag_set(["A"], "bio")), 1)
    emissions = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    tags, sizes = torch.tensor([[1, 2, 0], [0, 1, 1]]), torch.tensor([3, 2])
    parameters = (crf.start, crf.transitions, crf.end)
    assert torch.autograd.gradcheck(
        lambda given, *_: crf.loss(given, tags, sizes), (emissions, *parameters)
    )
