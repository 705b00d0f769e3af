"""A linear-chain conditional random field over padded batches (Lafferty et al., 2001)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NEVER = -1e4  # the score of an illegal transition: finite, so that no gradient is NaN


class Crf(nn.Module):
    """Scores of tag sequences: begin + emissions + transitions + end.

    Letters at the shapes: B sentences, T words, K tags. `legal` are the tags that may start a
    sentence, (K), the transitions from tag to tag, (K, K), and the tags that may end one, (K), as
    booleans. Lengths are at least 1; padding after a sentence's last word is ignored.
    """

    never_start: Tensor
    never_transitions: Tensor
    never_end: Tensor

    def __init__(
        self, legal: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]
    ) -> None:
        super().__init__()
        start, transitions, end = (torch.where(torch.from_numpy(one), 0.0, NEVER) for one in legal)
        self.start = nn.Parameter(torch.empty_like(start).uniform_(-0.1, 0.1))
        self.transitions = nn.Parameter(torch.empty_like(transitions).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty_like(end).uniform_(-0.1, 0.1))
        self.register_buffer("never_start", start)
        self.register_buffer("never_transitions", transitions)
        self.register_buffer("never_end", end)

    def scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the scores of starts (K), of transitions (K, K) and of ends (K)."""
        return (
            self.start + self.never_start,
            self.transitions + self.never_transitions,
            self.end + self.never_end,
        )

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return the log of the sum over all paths of exp(score), (B,); emissions (B, T, K)."""
        start, transitions, end = self.scores()
        alpha = start + emissions[:, 0]  # (B, K)
        for t in range(1, emissions.shape[1]):
            after = torch.logsumexp(alpha[:, :, None] + transitions, dim=1) + emissions[:, t]
            alpha = torch.where((t < lengths)[:, None], after, alpha)
        return torch.logsumexp(alpha + end, dim=1)

    def path_score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the score (B,) of the paths `tags` (B, T)."""
        start, transitions, end = self.scores()
        inside = torch.arange(tags.shape[1], device=tags.device) < lengths[:, None]  # (B, T)
        given = emissions.gather(2, tags[:, :, None])[:, :, 0]
        taken = transitions[tags[:, :-1], tags[:, 1:]]
        last = tags.gather(1, lengths[:, None] - 1)[:, 0]
        return (
            (given * inside).sum(1) + (taken * inside[:, 1:]).sum(1) + start[tags[:, 0]] + end[last]
        )

    def loss(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the mean over sentences of -log p(tags)."""
        scores = self.log_partition(emissions, lengths) - self.path_score(emissions, tags, lengths)
        return scores.mean()

    @torch.no_grad()
    def best_paths(self, emissions: Tensor, lengths: Tensor) -> list[list[int]]:
        """Return the path of the highest score of each sentence, by Viterbi's algorithm."""
        start, transitions, end = self.scores()
        alpha = start + emissions[:, 0]
        stay = torch.arange(len(start), device=emissions.device)
        origins = []
        for t in range(1, emissions.shape[1]):
            best, origin = (alpha[:, :, None] + transitions).max(1)  # (B, K)
            inside = (t < lengths)[:, None]
            alpha = torch.where(inside, best + emissions[:, t], alpha)
            origins.append(torch.where(inside, origin, stay))
        tag = (alpha + end).argmax(1)  # (B,)
        paths = [tag]
        for origin in reversed(origins):
            tag = origin.gather(1, tag[:, None])[:, 0]
            paths.append(tag)
        padded_paths = torch.stack(paths[::-1], 1).tolist()
        return [path[:length] for path, length in zip(padded_paths, lengths.tolist(), strict=True)]
