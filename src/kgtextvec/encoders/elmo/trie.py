"""Texts that begin alike share their steps: tries of word numbers, and the order to run them in.

A forward LSTM's state after some words depends on those words alone. So texts are gathered in a
trie, where one node is one distinct beginning, and each node is one step, run once. (For the
backward LSTM: the same with the texts reversed.) All here is numpy and knows no model.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Trie:
    """Distinct beginnings of texts; a parent precedes its children, level after level.

    `word` (n,): a node's last word; `parent` (n,): the beginning without it, -1 for no words;
    `levels` (depth + 1,): where each level starts; `ends` (n_texts,): the node of each full text,
    -1 for a text without words.
    """

    word: Ints
    parent: Ints
    levels: Ints
    ends: Ints


@dataclass(frozen=True)
class StepPlan:
    """In which order nodes run, some in one step, and where their states are kept until then.

    Step s runs the places starts[s] to starts[s + 1] of `word` (n,), from the state in slot
    `source` (n,); slot 0 is the state before any word. Its first `kept[s]` places keep their new
    state in slots `target` (n,), none of which the step itself reads. `text` are text numbers,
    whose vectors are ready at the places `place`, in running order; step s makes those from
    ready[s] to ready[s + 1]. `slots` is the number of slots.
    """

    word: Ints
    source: Ints
    target: Ints
    starts: Ints
    kept: Ints
    text: Ints
    place: Ints
    ready: Ints
    slots: int

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.kept)

    def windows(self, size: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of steps that together run at most `size` places, or are one step."""
        first = 0
        while first < self.steps:
            last = int(np.searchsorted(self.starts, self.starts[first] + size, side="right")) - 1
            last = max(last, first + 1)
            yield first, last
            first = last


def build_trie(words: Ints, offsets: Ints, backward: bool = False) -> Trie:
    """Gather texts into a trie.

    Text i is words[offsets[i] : offsets[i + 1]]; `backward` reads each from its end.
    """
    lengths = np.diff(offsets)
    ends = np.full(len(lengths), -1, dtype=np.int64)
    node_words, node_parents, levels = [], [], [0]
    n_words = int(words.max(initial=0)) + 1
    alive = np.flatnonzero(lengths)
    above = np.full(len(alive), -1, dtype=np.int64)  # the node each living text has reached
    depth = 0
    while len(alive):
        at = offsets[alive + 1] - 1 - depth if backward else offsets[alive] + depth
        # One number per beginning, in the order of parents, then words.
        start = levels[-2] if depth else -1
        nodes, node = np.unique((above - start) * n_words + words[at], return_inverse=True)
        node_words.append(nodes % n_words)
        node_parents.append(nodes // n_words + start)
        above = levels[-1] + node
        levels.append(levels[-1] + len(nodes))
        depth += 1
        over = lengths[alive] == depth
        ends[alive[over]] = above[over]
        alive, above = alive[~over], above[~over]
    nothing = np.empty(0, dtype=np.int64)
    return Trie(
        word=np.concatenate([*node_words, nothing]),
        parent=np.concatenate([*node_parents, nothing]),
        levels=np.array(levels, dtype=np.int64),
        ends=ends,
    )


def preorder(trie: Trie) -> Ints:
    """Give the nodes numbers (n,) depth first, the child with the longest way to go first."""
    n = len(trie.word)
    size, height = np.ones(n, dtype=np.int64), np.ones(n, dtype=np.int64)
    spans = list(zip(trie.levels[:-1], trie.levels[1:], strict=True))
    for start, stop in reversed(spans[1:]):
        # Nodes of a level stand by parent, so that one parent's children are one run.
        parents = trie.parent[start:stop]
        runs = np.flatnonzero(np.diff(parents, prepend=-1))
        size[parents[runs]] += np.add.reduceat(size[start:stop], runs)
        height[parents[runs]] = 1 + np.maximum.reduceat(height[start:stop], runs)
    rank = np.empty(n, dtype=np.int64)
    for start, stop in spans:
        parents = trie.parent[start:stop]
        falling = height[start:stop].max() - height[start:stop]
        by = np.argsort((parents + 1) * (falling.max() + 1) + falling, kind="stable")
        before = np.cumsum(size[start:stop][by]) - size[start:stop][by]
        runs = np.diff(parents[by], prepend=-2) != 0
        first = before[runs][np.cumsum(runs) - 1]
        base = np.where(parents[by] < 0, 0, rank[parents[by]] + 1)
        rank[start:stop][by] = base + before - first
    return rank


def plan_steps(trie: Trie, width: int) -> StepPlan:
    """Order a trie's nodes into steps of at most `width`, wide to the very end.

    A node may run once its parent has. Begun ways are followed before new ones begin, depth
    first, which bounds the states to keep; among ways the longest begins first, so that no long
    text is left over to run alone at the end.
    """
    n = len(trie.word)
    rank = preorder(trie)
    children = np.argsort(trie.parent, kind="stable")  # roots, then by parent
    n_roots = int(trie.levels[1]) if len(trie.levels) > 1 else 0
    n_children = np.bincount(trie.parent[n_roots:], minlength=n).astype(np.int64)
    first_child = n_roots + np.cumsum(n_children) - n_children
    roots = np.argsort(rank[:n_roots], kind="stable")
    pending = n_children.copy()
    slot = np.zeros(n + 1, dtype=np.int64)  # the last is "no parent": slot 0
    free = np.empty(0, dtype=np.int64)
    slots, begun = 1, 0
    ready = np.empty(0, dtype=np.int64)
    order, sources, targets, kept = [], [], [], []
    while len(ready) or begun < n_roots:
        if len(ready) > width:
            part = np.argpartition(rank[ready], width)
            take, ready = ready[part[:width]], ready[part[width:]]
        else:
            more = roots[begun : begun + width - len(ready)]
            begun += len(more)
            take, ready = np.concatenate([ready, more]), ready[:0]
        inner = n_children[take] > 0
        take = np.concatenate([take[inner], take[~inner]])
        n_kept = int(inner.sum())
        parents = trie.parent[take]
        sources.append(slot[parents])
        parents = parents[parents >= 0]
        np.subtract.at(pending, parents, 1)
        done = parents[pending[parents] == 0]
        pending[done] = np.arange(1, len(done) + 1)  # each once: the last to write its number
        done = done[pending[done] == np.arange(1, len(done) + 1)]
        if len(free) < n_kept:
            more = np.arange(slots, slots + n_kept - len(free))
            slots += len(more)
            free = np.concatenate([free, more])
        target, free = free[len(free) - n_kept :], free[: len(free) - n_kept]
        free = np.concatenate([free, slot[done]])  # not sooner: this step still reads them
        slot[take[:n_kept]] = target
        order.append(take)
        targets.append(np.pad(target, (0, len(take) - n_kept)))
        kept.append(n_kept)
        ready = np.concatenate(
            [ready, children_of(take[:n_kept], children, first_child, n_children)]
        )
    nothing = np.empty(0, dtype=np.int64)
    nodes = np.concatenate([*order, nothing])
    starts = np.cumsum([0, *map(len, order)])
    place_of = np.empty(n, dtype=np.int64)
    place_of[nodes] = np.arange(n)
    texts = np.flatnonzero(trie.ends >= 0)
    places = place_of[trie.ends[texts]]
    by = np.argsort(places, kind="stable")
    return StepPlan(
        word=trie.word[nodes],
        source=np.concatenate([*sources, nothing]),
        target=np.concatenate([*targets, nothing]),
        starts=starts,
        kept=np.array(kept, dtype=np.int64),
        text=texts[by],
        place=places[by],
        ready=np.searchsorted(places[by], starts),
        slots=slots,
    )


def children_of(nodes: Ints, children: Ints, first: Ints, number: Ints) -> Ints:
    """Return all children of some nodes, as slices of `children`."""
    counts = number[nodes]
    begins = np.repeat(first[nodes] - np.cumsum(counts) + counts, counts)
    return children[begins + np.arange(len(begins))]
