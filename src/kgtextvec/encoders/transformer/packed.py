"""A batch without padding: texts end to end in one row, each attending to itself alone.

The row goes through the model as if it were one text with positions that start again at every
text; only attention has to know where texts end. transformers lets a model's attention be replaced
by name (`AttentionInterface`). Half precision on CUDA takes torch's `varlen_attn`; everything
else takes plain attention once per run of texts of equal length, of which a sorted plan has few.
Not every model asks the interface, and some add terms that we don't know: `packed` tries the
model on a few texts first and gives None where the numbers are not those of each text alone.
"""

import inspect
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kgtextvec.batches import Planner, plan_packs
from kgtextvec.encoders.choices import LAST
from kgtextvec.encoders.memory import moved, why_not
from kgtextvec.encoders.onednn import agrees
from kgtextvec.encoders.poolings import PoolFunction
from kgtextvec.encoders.transformer.attention import attention_for, grouped
from kgtextvec.encoders.transformer.fused import has_kernels
from kgtextvec.encoders.transformer.layers import TokenBatches, token_vectors
from kgtextvec.encoders.transformer.tokens import Pieces, Tokenizer
from kgtextvec.encoders.transformer.trial import (
    CHECKED_LENGTHS,
    hidden_alone,
    selects_tokens,
    takes,
    text_config,
    trial_ids,
    trial_lengths,
    unchanged,
)
from kgtextvec.errors import InputError
from kgtextvec.progress import say

NAME = "kgtextvec_packed"
SHORT_TEXT = 384  # tokens; up to here several texts share a tile of attention on CUDA
POSITIONS = ("max_position_embeddings", "n_positions")  # a config's number of positions
# Terms of attention scores that a model may pass and that we would leave out.
FOREIGN = ("softcap", "s_aux", "position_bias", "cache")


class NotPackableError(Exception):
    """This model's attention needs what packed texts can't give."""


class ReachedAttentionError(Exception):
    """A model took a row as far as its first attention, which was what the row was for."""


@dataclass
class Pack:
    """Where texts lie in a row: `lengths` in order, `ends` (n + 1,) int32 on the device.

    `spans`, two (tokens,) int32: where each token's text begins and ends, if attention is our
    kernel's for short texts. `runs` are (first token, texts, tokens of each) of neighbours of equal
    length; `calls` counts the attention layers that asked. `stops`: the first one raises
    ReachedAttentionError.
    """

    lengths: list[int]
    ends: Tensor
    spans: tuple[Tensor, Tensor] | None = None
    calls: int = 0
    stops: bool = False

    def __post_init__(self) -> None:
        self.longest = max(self.lengths)
        self.runs = []
        start = 0
        for length, same in groupby(self.lengths):
            count = len(list(same))
            self.runs.append((start, count, length))
            start += count * length


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    pack: Pack | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention within each text of a pack, in the form that transformers asks for.

    `query` (1, heads, tokens, dims of a head), `key` and `value` likewise, or with fewer heads,
    each shared by a group of the query's; returns (1, tokens, heads, dims of a head).
    `sliding_window` w lets a token see those less than w away. In a causal model a token sees
    itself and those before it. Raises NotPackableError.
    """
    if pack is not None and pack.stops:
        raise ReachedAttentionError
    foreign = [name for name in FOREIGN if more.get(name) is not None]
    causal = more.get("is_causal")
    if causal is None:
        causal = getattr(module, "is_causal", True)
    if pack is None or attention_mask is not None or foreign or more.get("dropout"):
        raise NotPackableError("a mask, or a term that packing does not know")
    if query.shape[0] != 1 or query.shape[2] != key.shape[2]:
        raise NotPackableError("keys of other tokens than the queries")
    pack.calls += 1
    q, k, v = (each[0].transpose(0, 1) for each in (query, key, value))
    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    if pack.spans is not None:
        from kgtextvec.encoders.transformer.kernels import short_attention

        return short_attention(q, k, v, *pack.spans, scale, sliding_window, causal)[None], None
    if has_varlen(q):
        return varlen(q, k, v, pack, scaling, sliding_window, causal)[None], None
    parts = []
    for start, count, length in pack.runs:
        own = slice(start, start + count * length)
        q_own, k_own, v_own = (
            each[own].view(count, length, *each.shape[1:]).transpose(1, 2) for each in (q, k, v)
        )
        band = None
        if sliding_window is not None and length > sliding_window:
            place = torch.arange(length, device=q.device)
            band = (place[:, None] - place).abs() < sliding_window
            if causal:
                band &= place[:, None] >= place
        if causal or k.shape[1] != q.shape[1]:
            seen = grouped(q_own, k_own, v_own, band, scale, causal)
        else:
            seen = attention_for(q, length, band)(q_own, k_own, v_own, band, scale)
        parts.append(seen.transpose(1, 2).reshape(count * length, *seen.shape[1::2]))
    return (torch.cat(parts) if len(parts) > 1 else parts[0])[None], None


def has_varlen(q: Tensor) -> bool:
    """Return whether torch's kernel takes such tensors: half precision, from Ampere on."""
    return (
        q.is_cuda
        and q.dtype in (torch.float16, torch.bfloat16)
        and q.shape[-1] % 8 == 0
        and torch.cuda.get_device_capability(q.device) >= (8, 0)
    )


def varlen(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    pack: Pack,
    scaling: float | None,
    window: int | None,
    causal: bool,
) -> Tensor:
    """Flash attention over texts of any lengths; (tokens, heads, dims of a head), half precision.

    The names of its settings differ between versions of torch. Raises NotPackableError.
    """
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    more: dict[str, Any] = {}
    if scaling is not None and scaling != q.shape[-1] ** -0.5:
        more["scale"] = scaling
    if window is not None or (causal and "window_size" in known):
        before = -1 if window is None else window - 1
        more["window_size"] = (before, 0 if causal else before)
    elif causal:
        more["is_causal"] = True
    if k.shape[1] != q.shape[1]:
        if "enable_gqa" in known:
            more["enable_gqa"] = True
        else:
            k, v = (each.repeat_interleave(q.shape[1] // k.shape[1], 1) for each in (k, v))
    if not set(more) <= set(known):
        raise NotPackableError(f"this torch's varlen_attn has no {', '.join(more)}")
    seen = varlen_attn(q, k, v, pack.ends, pack.ends, pack.longest, pack.longest, **more)
    if not isinstance(seen, Tensor):
        raise NotPackableError("this torch's varlen_attn gives more than one tensor")
    return seen


class PackedBatches(TokenBatches):
    """How to plan, cost and run packs; `model` is on `device` and attends by `attend`."""

    plan: Planner = staticmethod(plan_packs)
    shares_tiles = False

    @cached_property
    def takes_types(self) -> bool:
        """Whether the model takes token types; GPT-2 does without having any, and isn't given any.

        It would add the vector of token 0.
        """
        return hasattr(self.model.config, "type_vocab_size") and takes(self.model, "token_type_ids")

    @cached_property
    def first_position(self) -> int:
        """The number of a text's first position."""
        return first_position(self.model)

    def cost(self, lengths: NDArray[np.int64]) -> int:
        """Tokens that a pack of these lengths holds."""
        return int(lengths.sum())

    def hidden(self, ids: NDArray[np.int64], pack: Pack) -> Tensor:
        """Return the tokens' vectors of a row of texts, (tokens, dims) float32."""
        lengths = np.array(pack.lengths)
        positions = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        row = moved(ids, self.device)[None]
        inputs = {
            "input_ids": row,
            "position_ids": moved(positions + self.first_position, self.device)[None],
            "pack": pack,
        }
        if self.takes_types:
            inputs["token_type_ids"] = torch.zeros_like(row)
        return token_vectors(self.model, self.layers, **inputs)[0].float()

    def alone(self, ids: NDArray[np.int64]) -> Tensor:
        """Return the tokens' vectors of one text, (tokens, dims) float32."""
        return self.hidden(ids, self.pack(np.array([len(ids)])))

    def pack(self, lengths: NDArray[np.int64]) -> Pack:
        """Lay texts of these lengths end to end."""
        ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        spans = None
        if self.shares_tiles and lengths.max() <= SHORT_TEXT:
            begin, end = (np.repeat(each, lengths) for each in (ends[:-1], ends[1:]))
            spans = (moved(begin, self.device), moved(end, self.device))
        return Pack(lengths.tolist(), moved(ends, self.device), spans)

    @torch.inference_mode()
    def run_batch(self, pieces: Pieces, batch: NDArray[np.int64]) -> Tensor:
        """Run pieces through the model at once; (n_in_batch, dims) float32 on the device."""
        pack = self.pack(pieces.lengths[batch])
        hidden = self.hidden(pieces.ids_of(batch).astype(np.int64), pack)
        before, after = len(self.tokenizer.prefix), len(self.tokenizer.suffix)
        unpooled = self.tokenizer.unpooled
        pooled = []
        for start, count, length in pack.runs:
            own = hidden[start : start + count * length].view(count, length, -1)
            place = torch.arange(length, device=self.device).expand(count, -1)
            special = (place < before) | (place >= length - after)
            pooled.append(self.pool(own, place >= unpooled, special))
        return torch.cat(pooled)


def first_position(model: Any) -> int:
    """Position of a text's first token: 0, but RoBERTa and its kin count on from the padding id."""
    embeddings = getattr(model, "embeddings", None)
    counts_on = hasattr(embeddings, "create_position_ids_from_input_ids")
    return int(embeddings.padding_idx) + 1 if embeddings and counts_on else 0


def packable(
    model: Any,
    tokenizer: Tokenizer,
    pool: PoolFunction,
    device: torch.device,
    layers: str = LAST,
    max_tokens: int | None = None,
    row_tokens: int = 0,
) -> PackedBatches | None:
    """Return `model` made to take packs, or None (and the model as it was) if it can't.

    It can when a pack of made-up texts gives what each of them gives alone; with `max_tokens`, one
    of them is longer than the model's attention window, if its texts can be. It must also take
    packs of up to `row_tokens` tokens, more than it has positions.
    """
    if not takes(model, "position_ids") or isinstance(getattr(model, "attention_type", None), str):
        return None
    if selects_tokens(model, max_tokens):
        return None
    usual = model.config._attn_implementation
    lengths = trial_lengths(model, max_tokens, device)
    ids = trial_ids(model, lengths)
    try:
        alone = hidden_alone(model, ids, lengths, device, layers)
        register()
        model.set_attn_implementation(NAME)
        run = PackedBatches(model, tokenizer, pool, device, layers)
        run.token_dims = alone.shape[1]
        if packs_rightly(run, ids, lengths, alone):
            check_long_row(run, row_tokens)
            if has_kernels(model.dtype, device):
                share_tiles(run, ids, lengths, alone)
            return run
        why = "a pack does not give what each text gives alone"
    except InputError:
        raise
    # Whatever goes wrong inside a model that was not made for this, the padded path remains.
    except Exception as error:
        why = why_not(error)
    say(f"texts are padded, not packed: {why}")
    model.set_attn_implementation(usual)
    return None


def packs_rightly(
    run: PackedBatches, ids: NDArray[np.int64], lengths: NDArray[np.int64], alone: Tensor
) -> bool:
    """Return whether a pack gives what each of its texts gives alone, by our attention."""
    pack = run.pack(lengths)
    with torch.inference_mode(), unchanged(run.model):
        right = agrees(run.hidden(ids, pack), alone, run.model.dtype)
    return right and pack.calls > 0


def check_long_row(run: PackedBatches, row_tokens: int) -> None:
    """Raise what a model raises at a row with more tokens than it has positions, if it does.

    CLIP, for one, compares the two. The row goes no further than the first attention.
    """
    config = text_config(run.model)
    most = next((n for name in POSITIONS if isinstance(n := getattr(config, name, None), int)), 0)
    if not 0 < most < row_tokens:
        return
    length = min(CHECKED_LENGTHS)
    lengths = np.full(most // length + 1, length)
    pack = run.pack(lengths)
    pack.stops = True
    with torch.inference_mode(), unchanged(run.model), suppress(ReachedAttentionError):
        run.hidden(trial_ids(run.model, lengths), pack)


def share_tiles(
    run: PackedBatches, ids: NDArray[np.int64], lengths: NDArray[np.int64], alone: Tensor
) -> None:
    """Let short texts share tiles of attention, if that gives the same."""
    run.shares_tiles = True
    try:
        if packs_rightly(run, ids, lengths, alone):
            return
        why = "the results differ"
    except Exception as error:  # whatever Triton meets on this machine, torch's kernel remains
        why = why_not(error)
    run.shares_tiles = False
    say(f"short texts don't share tiles of attention: {why}")


def register() -> None:
    """Make `attend` known to transformers."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
