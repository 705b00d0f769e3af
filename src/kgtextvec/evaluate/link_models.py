"""Models of PyKEEN: started from given vectors, trained on an equal budget, ranked."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kgtextvec.errors import InputError
from kgtextvec.evaluate.link_split import Split
from kgtextvec.evaluate.ranking import expected_metrics
from kgtextvec.progress import Progress
from kgtextvec.settings.scores import LinkTraining
from kgtextvec.space import Floats, Rows
from kgtextvec.stats import Float64s

IN_PAIRS = ("ComplEx", "RotatE")  # their numbers are complex: two of ours make one
LOSS = "CrossEntropyLoss"
SCORES_AT_ONCE = 1 << 26  # in a ranking: 256 MB
TAIL, HEAD = 2, 0  # the side asked for, as the column of triples

# Gives scores (b, n) of all entities at a side of (b, 3) triples, as a tensor.
Scorer = Callable[[Rows, int], Any]


@dataclass(frozen=True)
class Start:
    """Initial embeddings of a training: of entities (n, d) and of relations (r, d)."""

    entities: Any
    relations: Any


class Trainer:
    """Trains models on a split's triples, on a device: `cpu` or one of CUDA's."""

    def __init__(
        self, split: Split, dims: int, training: LinkTraining, device: str, folder: Path
    ) -> None:
        import torch
        from pykeen.triples import CoreTriplesFactory

        self.dims, self.training, self.device = dims, training, device
        self.folder = folder  # PyKEEN makes one for checkpoints, which we don't ask for
        self.factory = CoreTriplesFactory(
            torch.from_numpy(split.train),
            num_entities=len(split.rows),
            num_relations=len(split.names),
        )

    def make_model(self, name: str, seed: int, start: Start | None = None) -> Any:
        """Return a model that starts from `start`, or from numbers drawn by `seed`.

        Entities are drawn as by Glorot & Bengio 2010. That isn't PyKEEN's way for ComplEx, whose
        standard normal numbers need many more epochs, and would make any other start look good.
        """
        import torch
        from pykeen import models
        from pykeen.nn.init import xavier_uniform_

        options: dict[str, Any] = {"entity_initializer": xavier_uniform_}
        if name == "ComplEx":
            options |= {"relation_initializer": xavier_uniform_, "regularizer": None}
        if start:
            options["entity_initializer"] = copy_initializer(start.entities)
            options["relation_initializer"] = copy_initializer(start.relations)
        model = getattr(models, name)(
            triples_factory=self.factory,
            embedding_dim=self.dims // 2 if name in IN_PAIRS else self.dims,
            loss=LOSS,
            random_seed=seed,
            **options,
        )
        return model.to(torch.device(self.device))

    def starts(
        self, name: str, vectors: Floats, seed: int, of_relations: Floats | None = None
    ) -> Iterator[tuple[str, Start]]:
        """Yield the initial embeddings that are asked for; relations start alike in all but one.

        `vectors`: the space's, centred and scaled by one factor, so that their numbers have the
        root mean square of the random ones: only their information differs. `shuffled`: the same,
        assigned to other entities by `seed`. `as_exported`: the numbers as they are, as exports
        hold them; numbers 2i and 2i + 1 make a complex one, as PyKEEN has it.
        `as_exported_halves`: numbers i and d/2 + i do, as in DGL-KE; for the models of complex
        numbers alone. `scaled`: as they are, but for one factor, to the root mean square of the
        random ones. `relations_from_text`: as exported, and relations start at `of_relations`
        (r, d), which are as exported, too.
        """
        import torch

        model = self.make_model(name, seed)
        random, relations = (
            detached_numbers(representations[0])
            for representations in (model.entity_representations, model.relation_representations)
        )
        centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
        spread = float(np.sqrt(np.square(centred).mean()))
        scale = float(random.double().square().mean().sqrt()) / spread if spread else 0.0
        ours = torch.from_numpy((centred * scale).astype(np.float32)).reshape(random.shape)
        order = np.random.default_rng(seed).permutation(len(vectors))
        exported = torch.from_numpy(vectors.astype(np.float32)).reshape(random.shape)
        size = float(np.sqrt(np.square(vectors, dtype=np.float64).mean()))
        factor = float(random.double().square().mean().sqrt()) / size if size else 0.0
        made: dict[str, Callable[[], Any]] = {
            "random": lambda: random,
            "vectors": lambda: ours,
            "shuffled": lambda: ours[torch.from_numpy(order)],
            "as_exported": lambda: exported,
            "scaled": lambda: exported * factor,
        }
        if name in IN_PAIRS:
            halves = torch.from_numpy(vectors.astype(np.float32)).chunk(2, dim=1)
            made["as_exported_halves"] = lambda: torch.stack(halves, dim=-1).reshape(random.shape)
        for start in self.training.starts:
            if start in made:
                yield start, Start(made[start](), relations)
            elif start == "relations_from_text" and of_relations is not None:
                texts = torch.from_numpy(of_relations.astype(np.float32)).reshape(relations.shape)
                yield start, Start(exported, texts)

    def train(self, name: str, start: Start, seed: int, what: str) -> tuple[Any, list[float]]:
        """Return the trained model and the loss of each epoch; `what` names it in the log.

        By the stochastic local closed world assumption: each triple is compared with `negatives`
        with another head or tail. Order and negatives are drawn by `seed` alone.
        """
        import torch
        from pykeen.training import SLCWATrainingLoop

        model = self.make_model(name, seed, start)
        loop = SLCWATrainingLoop(
            model=model,
            triples_factory=self.factory,
            optimizer="Adam",
            optimizer_kwargs={"lr": self.training.learning_rate},
            negative_sampler="basic",
            negative_sampler_kwargs={"num_negs_per_pos": self.training.negatives},
            automatic_memory_optimization=False,
        )
        # PyKEEN looks for garbage after each epoch: a third of a second, unless what is there stays
        # out of it.
        gc.freeze()
        torch.manual_seed(seed)
        with Progress(what, self.training.epochs, "epochs") as progress:
            losses = loop.train(
                triples_factory=self.factory,
                num_epochs=self.training.epochs,
                batch_size=self.training.batch_size,
                use_tqdm=False,
                pin_memory=False,
                checkpoint_directory=self.folder,
                callbacks=epoch_callback(progress, what),
            )
        gc.unfreeze()
        return model, losses


def copy_initializer(numbers: Any) -> Callable[[Any], Any]:
    """Return an initialiser of PyKEEN that gives a copy of `numbers`.

    PretrainedInitializer gives the tensor itself. PyKEEN initialises twice: on a CPU the second
    time draws random numbers into the very tensor that the first time gave (1.11.1), and only
    models that normalise entities, as TransE does, would start from what they were given.
    """

    def initialise(weights: Any) -> Any:
        return numbers.to(weights, copy=True)

    return initialise


def detached_numbers(representation: Any) -> Any:
    """Return a representation's numbers (n, …), complex ones as pairs, apart from the model."""
    import torch

    found = representation(indices=None).detach().cpu()
    return (torch.view_as_real(found) if found.is_complex() else found).clone()


def epoch_callback(progress: Progress, what: str) -> Any:
    """Return a callback that counts epochs and shows the loss."""
    from pykeen.training.callbacks import TrainingCallback

    class EpochCallback(TrainingCallback):  # type: ignore[misc]
        def post_epoch(self, epoch: int, epoch_loss: float, **kwargs: Any) -> None:
            progress.what = f"{what}, loss {epoch_loss:.4g}"
            progress.add(1)

    return EpochCallback()


def model_scorer(model: Any) -> Scorer:
    """Return the scores of a model."""
    import torch

    model.eval()

    def scores(triples: Rows, side: int) -> Any:
        batch = torch.from_numpy(triples).to(model.device)
        return model.score_t(batch[:, :2]) if side == TAIL else model.score_h(batch[:, 1:])

    return scores


def popularity_scorer(split: Split) -> Scorer:
    """Return scores that need no training: how often an entity is at that side of the relation."""
    import scipy.sparse as sp
    import torch

    shape = (len(split.names), len(split.rows))
    ones = np.ones(len(split.train), np.float32)
    counts = {
        side: sp.csr_array((ones, (split.train[:, 1], split.train[:, side])), shape=shape)
        for side in (TAIL, HEAD)
    }

    def scores(triples: Rows, side: int) -> Any:
        return torch.from_numpy(counts[side][triples[:, 1]].toarray())

    return scores


def rank_test_triples(score: Scorer, split: Split, dims: int, what: str = "ranking") -> Float64s:
    """Rank each test triple's tail, then each one's head, among all entities: (2 t, 3).

    Columns are those of ranking.METRICS. Other true answers, of training and test, are left out
    first (filtered, Bordes et al. 2013). `what` names it in the log. Raises InputError when scores
    aren't finite.
    """
    import torch

    every = np.concatenate([split.train, split.test])
    size = max(1, SCORES_AT_ONCE // (len(split.rows) * dims))
    found = []
    with Progress(what, 2 * len(split.test), "queries") as progress:
        for side in (TAIL, HEAD):
            queries = every[:, 1] * len(split.rows) + every[:, TAIL - side]
            order = np.argsort(queries, kind="stable")
            queries, answers = queries[order], every[order, side]
            for first in range(0, len(split.test), size):
                some = split.test[first : first + size]
                asked = some[:, 1] * len(split.rows) + some[:, TAIL - side]
                low, high = (np.searchsorted(queries, asked, side=end) for end in ("left", "right"))
                with torch.inference_mode():
                    scores = score(some, side)
                    above, tied = count_above_and_tied(scores, some[:, side], answers, low, high)
                found.append(expected_metrics(above, tied))
                progress.add(len(some))
    return np.concatenate(found)


def count_above_and_tied(
    scores: Any, asked: Rows, answers: Rows, low: Rows, high: Rows
) -> tuple[Rows, Rows]:
    """Return, for each asked answer (b,), how many others score higher, and how many are tied.

    `scores` is (b, n); answers[low[i]:high[i]] are the true ones of query i, which don't count.
    Tied ones include the asked one itself.
    """
    import torch

    lengths = high - low
    rows = np.repeat(np.arange(len(asked)), lengths)
    others = answers[np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - high, lengths)]
    each = torch.arange(len(asked))
    mine = scores[each, torch.from_numpy(asked)]
    if not torch.isfinite(scores).all():
        raise InputError(
            "evaluate.link_prediction: training gave numbers that aren't finite. Lower its"
            " learning_rate."
        )
    scores[torch.from_numpy(rows), torch.from_numpy(others)] = -torch.inf
    scores[each, torch.from_numpy(asked)] = mine
    above, tied = scores > mine[:, None], scores == mine[:, None]
    return above.sum(dim=1).cpu().numpy(), tied.sum(dim=1).cpu().numpy()
