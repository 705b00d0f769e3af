"""What makes a CPU fast, against numpy in float64 and against the layers it replaces."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel

from kgtextvec.encoders.onednn import PackedLinear
from kgtextvec.encoders.transformer.attention import attention_for, fused, head_by_head, in_products
from kgtextvec.encoders.transformer.packed import Pack, attend
from kgtextvec.encoders.transformer.prepack import prepacked

# oneDNN has no bfloat16 products for processors without AVX-512: the plain layers stay there.
HAS_BFLOAT16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
SMALL = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def exact_attention(q, k, v, scale):
    q, k, v = (each.double().numpy() for each in (q, k, v))
    scores = np.einsum("nhid,nhjd->nhij", q, k) * scale
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("nhij,nhjd->nhid", shares / shares.sum(-1, keepdims=True), v)


@pytest.mark.parametrize("attention", [fused, in_products, head_by_head])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("length", [1, 5, 200])
def test_every_way_of_attention_gives_the_same(attention, dtype, tolerance, length):
    if attention is head_by_head and dtype == torch.bfloat16 and not HAS_BFLOAT16:
        pytest.skip("oneDNN's products in bfloat16 need AVX-512")
    torch.manual_seed(length)
    # As a model gives them: heads are a view of a row of tokens.
    q, k, v = (torch.randn(3, length, 4, 8).to(dtype).transpose(1, 2) for _ in range(3))
    with torch.inference_mode():
        ours = attention(q, k, v, None, 0.3)
    assert ours.dtype == dtype
    assert np.abs(ours.double().numpy() - exact_attention(q, k, v, 0.3)).max() <= tolerance


def test_a_text_gets_the_same_bits_whatever_its_neighbours_are():
    """Else a text that is embedded again after an edit would differ from all others' run."""
    torch.manual_seed(0)
    lengths = [3, 3, 3, 5, 5, 9, 17, 200, 200]
    pack = [torch.randn(1, 4, sum(lengths), 8) for _ in range(3)]
    numbers = [each.numpy().copy() for each in pack]
    with torch.inference_mode():
        together = attention_of_pack(pack, lengths)
        start = 0
        for length in lengths:
            own = slice(start, start + length)
            alone = [torch.from_numpy(each[:, :, own].copy()) for each in numbers]
            assert torch.equal(together[:, own], attention_of_pack(alone, [length]))
            start += length


def attention_of_pack(pack, lengths):
    """(1, tokens, heads, dims): what the engine's attention gives for texts end to end."""
    ends = torch.tensor(np.concatenate([[0], np.cumsum(lengths)]))
    return attend(None, *pack, None, pack=Pack(lengths, ends), is_causal=False)[0]


def test_a_mask_is_heeded_whatever_the_dtype_and_length():
    q = torch.randn(1, 2, 300, 8)
    mask = torch.eye(300, dtype=torch.bool)
    for dtype in (torch.float32, torch.bfloat16):
        own = q.to(dtype)
        seen = attention_for(own, 300, mask)(own, own, own, mask, 1.0)
        assert torch.equal(seen, own), "each token sees itself alone"


def test_a_gelu_apart_has_the_bits_of_one_inside_its_layer():
    torch.manual_seed(0)
    plain = nn.Linear(48, 96)
    layer, x = PackedLinear(plain.weight, plain.bias, "gelu"), torch.randn(2, 7, 48)
    found = []
    with torch.inference_mode():
        exact = nn.functional.gelu(plain.double()(x.double()))
        for layer.apart in (False, True):
            found.append(layer(x))
    assert torch.equal(*found)
    assert (found[0] - exact).abs().max() <= 2e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("model", "layer", "fuses"),
    [
        (BertModel(BertConfig(**SMALL)), "encoder.layer.0.intermediate.dense", True),
        (
            BertModel(BertConfig(**SMALL, hidden_act="gelu_new")),
            "encoder.layer.0.intermediate.dense",
            False,
        ),
        (
            DistilBertModel(DistilBertConfig(vocab_size=40, dim=32, n_heads=4, n_layers=1)),
            "transformer.layer.0.ffn.lin1",
            True,
        ),
    ],
)
def test_an_exact_gelu_is_taken_into_its_layer(model, layer, fuses, dtype):
    import copy

    model = copy.deepcopy(model).to(dtype).eval().requires_grad_(False)
    ids = torch.arange(2, 30).reshape(4, 7)
    with torch.inference_mode():
        plain = model(ids).last_hidden_state.float()
        ours = prepacked(model)(ids).last_hidden_state.float()
    packed = model.get_submodule(layer)
    if dtype == torch.bfloat16 and not HAS_BFLOAT16:
        assert isinstance(packed, nn.Linear)
    else:
        assert isinstance(packed, PackedLinear)
        assert (packed.then == "gelu") == fuses
    assert (ours - plain).abs().max() <= {torch.float32: 1e-5, torch.bfloat16: 5e-2}[dtype]


class Late(nn.Module):
    """Has a GELU beside a layer, but applies something else between the two."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(8, 8)
        self.intermediate_act_fn = nn.GELU()

    def forward(self, x):
        return self.intermediate_act_fn(-self.dense(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(40, 8)
        self.late = Late()
        self.config = BertConfig(vocab_size=40)

    def forward(self, input_ids, attention_mask, return_dict):
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=self.late(self.words(input_ids)))


def test_a_model_whose_numbers_would_change_stays_as_it_was(capfd):
    model = Model().requires_grad_(False)
    before = dict(model.named_modules())
    assert dict(prepacked(model).named_modules()) == before
    assert "prepacked linear layers are off" in capfd.readouterr().err
