"""A linear-chain conditional random field over padded batches (Lafferty et al., 2001)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

NEVER = -1e4  # the score of an illegal step: finite, so that no gradient is NaN


class Crf(nn.Module):
    """Scores of tag sequences: begin + emissions + steps + end.

    Letters at the shapes: B sentences, T words, K tags. `legal` are the tags that may begin, (K),
    the steps from tag to tag, (K, K), and the tags that may end, (K), as booleans. Lengths are at
    least 1; what stands behind a sentence's last word is not looked at.
    """

    never_begin: Tensor
    never_steps: Tensor
    never_end: Tensor

    def __init__(
        self, legal: tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]
    ) -> None:
        super().__init__()
        begin, steps, end = (torch.where(torch.from_numpy(one), 0.0, NEVER) for one in legal)
        self.begin = nn.Parameter(torch.empty_like(begin).uniform_(-0.1, 0.1))
        self.steps = nn.Parameter(torch.empty_like(steps).uniform_(-0.1, 0.1))
        self.end = nn.Parameter(torch.empty_like(end).uniform_(-0.1, 0.1))
        self.register_buffer("never_begin", begin)
        self.register_buffer("never_steps", steps)
        self.register_buffer("never_end", end)

    def scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return what it costs to begin (K), to step (K, K) and to end (K)."""
        return (
            self.begin + self.never_begin,
            self.steps + self.never_steps,
            self.end + self.never_end,
        )

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return the log of the sum over all paths of exp(score), (B,); emissions (B, T, K)."""
        begin, steps, end = self.scores()
        alpha = begin + emissions[:, 0]  # (B, K)
        for t in range(1, emissions.shape[1]):
            after = torch.logsumexp(alpha[:, :, None] + steps, dim=1) + emissions[:, t]
            alpha = torch.where((t < lengths)[:, None], after, alpha)
        return torch.logsumexp(alpha + end, dim=1)

    def path_score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the score (B,) of the paths `tags` (B, T)."""
        begin, steps, end = self.scores()
        inside = torch.arange(tags.shape[1], device=tags.device) < lengths[:, None]  # (B, T)
        given = emissions.gather(2, tags[:, :, None])[:, :, 0]
        taken = steps[tags[:, :-1], tags[:, 1:]]
        last = tags.gather(1, lengths[:, None] - 1)[:, 0]
        return (
            (given * inside).sum(1) + (taken * inside[:, 1:]).sum(1) + begin[tags[:, 0]] + end[last]
        )

    def loss(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the mean over sentences of -log p(tags)."""
        scores = self.log_partition(emissions, lengths) - self.path_score(emissions, tags, lengths)
        return scores.mean()

    @torch.no_grad()
    def best_paths(self, emissions: Tensor, lengths: Tensor) -> list[list[int]]:
        """Return the path of the highest score of each sentence, by Viterbi's algorithm."""
        begin, steps, end = self.scores()
        alpha = begin + emissions[:, 0]
        stay = torch.arange(len(begin), device=emissions.device)
        origins = []
        for t in range(1, emissions.shape[1]):
            best, origin = (alpha[:, :, None] + steps).max(1)  # (B, K)
            inside = (t < lengths)[:, None]
            alpha = torch.where(inside, best + emissions[:, t], alpha)
            origins.append(torch.where(inside, origin, stay))
        tag = (alpha + end).argmax(1)  # (B,)
        paths = [tag]
        for origin in reversed(origins):
            tag = origin.gather(1, tag[:, None])[:, 0]
            paths.append(tag)
        whole = torch.stack(paths[::-1], 1).tolist()
        return [path[:length] for path, length in zip(whole, lengths.tolist(), strict=True)]
