from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import data, integers, lists, sampled_from

from kgtextvec.batches import cut_windows, plan_batches, plan_equal, plan_packs, plan_remaining


@given(lists(integers(1, 512)), integers(512, 9000))
def test_every_text_is_in_one_batch_within_budget(lengths, budget):
    lengths = np.array(lengths, dtype=np.int64)
    batches = plan_batches(lengths, budget)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(batch) * lengths[batch].max() <= budget for batch in batches)


@given(lists(integers(1, 512), min_size=1), integers(512, 9000))
def test_the_longest_come_first(lengths, budget):
    lengths = np.array(lengths, dtype=np.int64)
    planned = np.concatenate([lengths[batch] for batch in plan_batches(lengths, budget)])
    assert (np.diff(planned) <= 0).all()


@pytest.mark.parametrize("planner", [plan_batches, plan_packs, plan_equal])
def test_a_text_over_the_budget_is_a_batch_of_its_own(planner):
    batches = planner(np.array([101, 5, 300, 5, 101]), 100)
    assert [batch.tolist() for batch in batches] == [[2], [0], [4], [1, 3]]


@given(integers(0, 5000), integers(1, 600))
def test_windows_cover_a_text_evenly(length, limit):
    windows = cut_windows(length, limit)
    sizes = [end - start for start, end in windows]
    assert [start for start, _ in windows] == [0, *(end for _, end in windows[:-1])]
    assert windows[-1][1] == length
    assert max(sizes) <= limit
    assert max(sizes) - min(sizes) <= 1
    assert len(windows) == max(-(-length // limit), 1)


@given(lists(integers(1, 512)), integers(512, 9000))
def test_every_text_is_in_one_pack_and_no_pack_has_room_for_the_next_text(lengths, budget):
    lengths = np.array(lengths, dtype=np.int64)
    packs = plan_packs(lengths, budget)
    assert sorted(row for pack in packs for row in pack) == list(range(len(lengths)))
    planned = [lengths[pack].tolist() for pack in packs]
    in_order = [length for pack in planned for length in pack]
    assert sorted(in_order, reverse=True) == in_order
    assert all(sum(pack) <= budget for pack in planned)
    assert all(sum(pack) + after[0] > budget for pack, after in pairwise(planned))


@given(lists(integers(1, 512), min_size=1), integers(512, 9000), data())
def test_batches_that_were_not_begun_stay_as_they_were(lengths, budget, data):
    """Work that was interrupted: some batches are done, and of some others a few texts."""
    lengths = np.array(lengths, dtype=np.int64)
    planner = data.draw(sampled_from([plan_batches, plan_packs]))
    plan = planner(lengths, budget)
    done = data.draw(lists(integers(0, len(plan) - 1), unique=True))
    begun = data.draw(lists(integers(0, len(plan) - 1), unique=True))
    gone = {row for number in done for row in plan[number]}
    gone |= {plan[number][0] for number in begun}
    remaining = np.array([row for row in range(len(lengths)) if row not in gone], dtype=np.int64)
    batches = [remaining[batch] for batch in plan_remaining(planner, lengths, remaining, budget)]
    assert sorted(row for batch in batches for row in batch) == remaining.tolist()
    assert all(lengths[batch].sum() <= budget for batch in batches)
    kept = [plan[number] for number in range(len(plan)) if number not in {*done, *begun}]
    assert {tuple(batch) for batch in kept} <= {tuple(batch) for batch in batches}


def test_with_everything_to_do_the_plan_is_the_whole_one():
    lengths = np.array([5, 9, 1, 7, 7], dtype=np.int64)
    for ours, whole in zip(
        plan_remaining(plan_batches, lengths, np.arange(5), 16),
        plan_batches(lengths, 16),
        strict=True,
    ):
        assert ours.tolist() == whole.tolist()
