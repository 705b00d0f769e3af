"""ELMo as a transformers model: its config and its network, in one file.

The network is the bidirectional language model of Peters et al. (2018), "Deep contextualized word
representations", in the form that the bilm-tf programs train and write: a character CNN, highway
layers, a projection, and two stacks of LSTMs (one per direction) with projected, clipped states.
BioELMo (Jin et al., 2019, "Probing biomedical embeddings from language models") is such a model.

Weights keep the layout of bilm-tf's files (gate order i, j, f, o; no forget bias inside), so that
an export back is the same bytes. Letters at the shapes: B texts, T words, S = T + 2 with the two
boundaries, C characters, E character dims, P projection, H cell, n any number of words.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutput

from kgtextvec.encoders.elmo.tokenizer import BOUNDARIES, PAD, ElmoTokenizer, character_ids

FORGET_BIAS = 1.0
ACTIVATIONS = ("relu", "tanh")
STATES = ("warm", "zeros", "carried")
WARM_TEXT = (
    "The protein encoded by this gene binds to the receptor and regulates cell growth , and"
    " mutations in this gene have been found in patients with cancer ."
)
WARM_ROUNDS = 4

LayerState = tuple[Tensor, Tensor]  # h (B, P), c (B, H)
State = list[list[LayerState]]  # [direction][layer]; direction 0 reads forward, 1 backward


class ElmoConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes and switches of an ELMo; the defaults are those of the original (and of BioELMo).

    `bilm_options` is the options.json that the weights came with, kept complete for an export.
    Raises ValueError when the values contradict each other.
    """

    model_type = "elmo"

    char_dim: int = 16
    filters: list[list[int]] | None = None
    activation: str = "relu"
    num_highways: int = 2
    max_characters: int = 50
    cell_size: int = 4096
    projection_size: int = 512
    num_hidden_layers: int = 2
    cell_clip: float | int | None = 3.0
    projection_clip: float | int | None = 3.0
    skip_connections: bool = True
    initializer_range: float = 0.02
    bilm_options: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill what follows from the other values, then check them."""
        kwargs.pop("hidden_size", None)
        if self.filters is None:
            self.filters = [[1, 32], [2, 32], [3, 64], [4, 128], [5, 256], [6, 512], [7, 1024]]
        self.hidden_size = 2 * self.projection_size
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}, must be one of {ACTIVATIONS}")
        if self.projection_size > self.cell_size:
            raise ValueError(
                f"projection_size {self.projection_size} is over cell_size {self.cell_size}"
            )
        if not self.filters or max(width for width, _ in self.filters) > self.max_characters:
            raise ValueError(f"filters {self.filters} don't fit {self.max_characters} characters")
        super().__post_init__(**kwargs)

    @property
    def filter_dims(self) -> int:
        """Dims of a word after the filters, before the projection."""
        return sum(number for _, number in self.filters or [])

    @property
    def projects_words(self) -> bool:
        """Whether there is a projection between the highways and the first LSTM."""
        return self.filter_dims != self.projection_size

    @property
    def projects_state(self) -> bool:
        """Whether the LSTM's output is projected (and clipped) before it is fed back."""
        return self.projection_size != self.cell_size


class Affine(nn.Module):
    """x @ weight + bias, the weight as bilm-tf writes it: (in, out)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(n, in) -> (n, out)."""
        return F.linear(x, self.weight.t(), self.bias)


class Filter(nn.Module):
    """One width of the character CNN, with its maximum over the positions."""

    def __init__(self, width: int, inputs: int, number: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, width, inputs, number))
        self.bias = nn.Parameter(torch.empty(number))

    def forward(self, x: Tensor) -> Tensor:
        """(n, E, C) -> (n, number)."""
        weight = self.weight[0].permute(2, 1, 0)  # (number, E, width)
        return F.conv1d(x, weight, self.bias).amax(-1)


class Highway(nn.Module):
    """y = g * relu(x Wt + bt) + (1 - g) * x with g = sigmoid(x Wc + bc)."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.carry = Affine(dims, dims)
        self.transform = Affine(dims, dims)

    def forward(self, x: Tensor) -> Tensor:
        """(n, dims) -> (n, dims)."""
        gate = torch.sigmoid(self.carry(x))
        return gate * torch.relu(self.transform(x)) + (1 - gate) * x


class Cell(nn.Module):
    """One LSTM layer of one direction, with clipped cell and projected, clipped output."""

    def __init__(self, config: ElmoConfig) -> None:
        super().__init__()
        inputs, cell = config.projection_size, config.cell_size
        self.cell_clip, self.projection_clip = config.cell_clip, config.projection_clip
        self.kernel = nn.Parameter(torch.empty(2 * inputs, 4 * cell))  # rows: x, then h
        self.bias = nn.Parameter(torch.empty(4 * cell))
        self.projection = nn.Parameter(torch.empty(cell, inputs)) if config.projects_state else None

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> LayerState:
        """Give the new h, c from x, h (B, P) and c (B, H)."""
        size = x.shape[1]
        return self.update(x @ self.kernel[:size] + h @ self.kernel[size:] + self.bias, c)

    def update(self, gates: Tensor, c: Tensor) -> LayerState:
        """Give the new h, c from the gates before their nonlinearity, (B, 4H), and c (B, H)."""
        i, j, f, o = gates.chunk(4, 1)
        c = torch.sigmoid(f + FORGET_BIAS) * c + torch.sigmoid(i) * torch.tanh(j)
        if self.cell_clip is not None:
            c = c.clamp(-self.cell_clip, self.cell_clip)
        h = torch.sigmoid(o) * torch.tanh(c)  # (B, H)
        if self.projection is not None:
            h = h @ self.projection  # (B, P)
            if self.projection_clip is not None:
                h = h.clamp(-self.projection_clip, self.projection_clip)
        return h, c

    def forward(self, x: Tensor, lengths: Tensor, state: LayerState) -> tuple[Tensor, LayerState]:
        """Read x (B, S, P) of lengths (B,): outputs (B, S, P), zero past the end, and the state."""
        h, c = state
        outputs = []
        for t in range(x.shape[1]):
            live = (t < lengths)[:, None]  # (B, 1)
            new_h, new_c = self.step(x[:, t], h, c)
            h, c = torch.where(live, new_h, h), torch.where(live, new_c, c)
            outputs.append(new_h * live)
        return torch.stack(outputs, 1), (h, c)


class ElmoModel(PreTrainedModel):  # type: ignore[misc]
    """The network. `forward` gives layers + 1 tensors: the word layer, then each LSTM layer."""

    config_class = ElmoConfig
    config: ElmoConfig
    base_model_prefix = "elmo"
    main_input_name = "input_ids"

    def __init__(self, config: ElmoConfig) -> None:
        super().__init__(config)
        dims = config.filter_dims
        self.char_embed = nn.Parameter(torch.empty(PAD + 1, config.char_dim))
        self.filters = nn.ModuleList(
            Filter(width, config.char_dim, number) for width, number in config.filters or []
        )
        self.highways = nn.ModuleList(Highway(dims) for _ in range(config.num_highways))
        self.projection = Affine(dims, config.projection_size) if config.projects_words else None
        self.cells = nn.ModuleList(
            nn.ModuleList(Cell(config) for _ in range(config.num_hidden_layers)) for _ in range(2)
        )
        self.carried: State | None = None
        self._warm: tuple[Any, State] | None = None
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Draw fresh weights: normal numbers, biases zero."""
        for name, parameter in module.named_parameters(recurse=False):
            if getattr(parameter, "_is_hf_initialized", False):
                continue
            if name == "bias":
                parameter.zero_()
            else:
                parameter.normal_(0.0, self.config.initializer_range)

    def embed(self, ids: Tensor) -> Tensor:
        """Character numbers (n, C) -> word vectors (n, P), without any context."""
        longest = int((ids != PAD + 1).sum(1).max()) if len(ids) else 1
        widest = max(width for width, _ in self.config.filters or [])
        # One window of nothing but padding must stay, as it takes part in the maximum.
        ids = ids[:, : longest + widest]
        table = F.pad(self.char_embed, (0, 0, 1, 0))  # (262, E), row 0 is "no word"
        x = table[ids].transpose(1, 2)  # (n, E, C)
        act = torch.relu if self.config.activation == "relu" else torch.tanh
        x = torch.cat([act(part(x)) for part in self.filters], 1)  # (n, sum of filters)
        for highway in self.highways:
            x = highway(x)
        return self.projection(x) if self.projection is not None else x  # (n, P)

    def embed_words(self, words: Sequence[str]) -> Tensor:
        """Word vectors (n, P) of n words given as text, without any context."""
        ids = torch.from_numpy(character_ids(words, self.config.max_characters))
        return self.embed(ids.to(self.char_embed.device))

    def boundaries(self) -> Tensor:
        """Word vectors of the two text boundaries, (2, P)."""
        return self.embed_words(list(BOUNDARIES))

    def zero_state(self, rows: int) -> State:
        """Give the state before any text."""
        cell, inputs = self.config.cell_size, self.config.projection_size
        new = self.char_embed.new_zeros
        return [
            [(new(rows, inputs), new(rows, cell)) for _ in range(self.config.num_hidden_layers)]
            for _ in range(2)
        ]

    @torch.no_grad()
    def warm_state(self) -> State:
        """Give the state (of one row) after one fixed sentence, read four times from zero."""
        key = tuple((p.data_ptr(), p._version, p.dtype) for p in self.parameters())
        if self._warm is None or self._warm[0] != key:
            words = self.embed_words(WARM_TEXT.split())[None]
            lengths = torch.tensor([words.shape[1]], device=words.device)
            state = self.zero_state(1)
            for _ in range(WARM_ROUNDS):
                _, state = self.run(words, lengths, state)
            self._warm = (key, state)
        return self._warm[1]

    def reset_state(self) -> None:
        """Forget what `carried` has carried so far."""
        self.carried = None

    def state_for(self, initial_state: str | State, rows: int) -> State:
        """Give the state that a batch of `rows` texts starts from."""
        if not isinstance(initial_state, str):
            return initial_state
        if initial_state not in STATES:
            raise ValueError(f"initial_state is {initial_state!r}, must be one of {STATES}")
        if initial_state == "warm":
            warm = self.warm_state()
            return [[(h.expand(rows, -1), c.expand(rows, -1)) for h, c in one] for one in warm]
        zeros = self.zero_state(rows)
        if initial_state == "zeros" or self.carried is None:
            return zeros
        return [
            [
                (torch.cat([h, zero_h[len(h) :]])[:rows], torch.cat([c, zero_c[len(c) :]])[:rows])
                for (h, c), (zero_h, zero_c) in zip(one, zero, strict=True)
            ]
            for one, zero in zip(self.carried, zeros, strict=True)
        ]

    def carry(self, state: State) -> None:
        """Keep the state of this batch's rows for the next one; further rows stay as they are."""
        old = self.carried or state
        self.carried = [
            [
                (torch.cat([h, old_h[len(h) :]]).detach(), torch.cat([c, old_c[len(c) :]]).detach())
                for (h, c), (old_h, old_c) in zip(one, before, strict=True)
            ]
            for one, before in zip(state, old, strict=True)
        ]

    def run(self, words: Tensor, lengths: Tensor, state: State) -> tuple[list[Tensor], State]:
        """Read the words (B, T, P) of `lengths` (B,) in both directions, boundaries added.

        Returns one (B, S, 2P) tensor per LSTM layer, boundaries included, and the last state.
        """
        begin, end = self.boundaries()
        rows = torch.arange(len(words), device=words.device)
        x = F.pad(words, (0, 0, 1, 1))  # (B, S, P)
        x[:, 0] = begin
        x[rows, lengths + 1] = end
        lengths = lengths + 2
        steps = torch.arange(x.shape[1], device=x.device)[None]  # (1, S)
        flipped = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
        layers: list[list[Tensor]] = [[], []]
        last: State = [[], []]
        for direction in range(2):
            cells: Any = self.cells[direction]
            turn = (rows[:, None], flipped) if direction else (rows[:, None], steps)
            inputs = x[turn]  # (B, S, P), in reading order
            for k, cell in enumerate(cells):
                outputs, layer_state = cell(inputs, lengths, state[direction][k])
                if k and self.config.skip_connections:
                    outputs = outputs + inputs
                last[direction].append(layer_state)
                layers[direction].append(outputs[turn])
                inputs = outputs
        return [torch.cat(pair, 2) for pair in zip(*layers, strict=True)], last

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        initial_state: str | State = "warm",
        return_dict: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput | tuple[Any, ...]:
        """Give every word's vectors in its text.

        `input_ids` is (B, T, C) without boundaries, `attention_mask` (B, T) with the words first.
        `initial_state` is `warm`, `zeros`, `carried` (each row goes on where the last batch's row
        stopped; the vectors then depend on what came before) or a State of B rows.
        Returns hidden_states: layers + 1 tensors (B, T, 2P), zero where there is no word.
        """
        if attention_mask is None:
            attention_mask = (input_ids > 0).any(-1)
        mask = attention_mask.bool()  # (B, T)
        lengths = mask.sum(1)  # (B,)
        places = torch.arange(mask.shape[1], device=mask.device)[None]
        if not torch.equal(mask, places < lengths[:, None]):
            raise ValueError("attention_mask must be 1 for the first words of a text, then 0")
        words = self.char_embed.new_zeros(*mask.shape, self.config.projection_size)
        words[mask] = self.embed(input_ids[mask])  # (B, T, P)
        layers, last = self.run(words, lengths, self.state_for(initial_state, len(words)))
        if isinstance(initial_state, str) and initial_state == "carried":
            self.carry(last)
        kept = mask[:, :, None]
        hidden = [torch.cat([words, words], 2), *(layer[:, 1:-1] * kept for layer in layers)]
        output = BaseModelOutput(last_hidden_state=hidden[-1], hidden_states=tuple(hidden))
        return output.to_tuple() if return_dict is False else output


AutoConfig.register("elmo", ElmoConfig, exist_ok=True)
AutoModel.register(ElmoConfig, ElmoModel, exist_ok=True)
AutoTokenizer.register(ElmoConfig, slow_tokenizer_class=ElmoTokenizer, exist_ok=True)
