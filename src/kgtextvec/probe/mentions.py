"""BioCreative II's own counting of gene mentions: alternative mentions count as right.

Written after the task's description (Smith et al. 2008, "Overview of BioCreative II gene mention
recognition") and what its program alt_eval.perl is said to do; not run against that program.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kgtextvec.probe.tags import Entity

Span = tuple[int, int]  # first and last character, spaces not counted, both included


@dataclass(frozen=True)
class Mentions:
    """The mentions of each sentence, as their files have them, and those that count as well."""

    genes: list[list[Span]]
    alternatives: list[list[Span]]

    def scores(self, predicted: Sequence[Sequence[Span]]) -> dict[str, float]:
        """Return precision, recall and F1 of the predicted mentions of each sentence.

        A mention is right if it is a gene's, or an alternative that overlaps with a gene that no
        other mention has matched. Each gene is matched once, by its own mention first.
        """
        right = found = there = 0
        for genes, others, mentions in zip(self.genes, self.alternatives, predicted, strict=True):
            left = set(genes)
            rest = []
            for one in sorted(set(mentions)):
                if one in left:
                    left.remove(one)
                    right += 1
                else:
                    rest.append(one)
            for one in rest:
                if one not in others:
                    continue
                gene = min((g for g in left if g[0] <= one[1] and one[0] <= g[1]), default=None)
                if gene is not None:
                    left.remove(gene)
                    right += 1
            found += len(set(mentions))
            there += len(set(genes))
        precision = right / found if found else 0.0
        recall = right / there if there else 0.0
        both = precision + recall
        return {
            "biocreative_precision": precision,
            "biocreative_recall": recall,
            "biocreative_f1": 2 * precision * recall / both if both else 0.0,
        }


def mentions_of(words: Sequence[str], entities: Sequence[Entity]) -> list[Span]:
    """Return the characters of entities, which are given by their words."""
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    return [(starts[first], starts[after] - 1) for first, after, _ in entities]
