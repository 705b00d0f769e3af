"""Triton's kernels against float64, a text at a time: on a GPU, or with TRITON_INTERPRET=1."""

import os

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.gpu
DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
LENGTHS = [33, 20, 20, 7, 64, 3, 1, 90, 5]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 8])
@pytest.mark.parametrize(
    ("heads", "key_heads", "dims"), [(2, 2, 64), (4, 2, 32), (2, 1, 24), (2, 2, 80)]
)
def test_attention_of_short_texts_is_that_of_each_alone(heads, key_heads, dims, window, causal):
    from kgtextvec.encoders.transformer.kernels import short_attention

    torch.manual_seed(0)
    ends = np.cumsum(LENGTHS)
    begins = ends - LENGTHS
    spans = [torch.from_numpy(np.repeat(each, LENGTHS)).int() for each in (begins, ends)]
    q, k, v = (
        torch.randn(int(ends[-1]), n, dims, dtype=torch.float16)
        for n in (heads, key_heads, key_heads)
    )
    found = short_attention(
        *(each.to(DEVICE) for each in (q, k, v, *spans)), dims**-0.5, window, causal
    ).cpu()
    k, v = (each.repeat_interleave(heads // key_heads, 1) for each in (k, v))
    for begin, end in zip(begins, ends, strict=True):
        one = [each[begin:end].double().transpose(0, 1) for each in (q, k, v)]
        scores = one[0] @ one[1].transpose(1, 2) * dims**-0.5
        place = torch.arange(end - begin)
        if window:
            scores[:, (place[:, None] - place).abs() >= window] = -torch.inf
        if causal:
            scores[:, place[None] > place[:, None]] = -torch.inf
        exact = (scores.softmax(-1) @ one[2]).transpose(0, 1)
        assert (found[begin:end].double() - exact).abs().max() < 2e-3


@pytest.mark.parametrize("dims", [96, 1024])
def test_a_residual_and_its_norm_in_one_pass_are_those_of_float64(dims):
    from kgtextvec.encoders.transformer.kernels import add_norm

    torch.manual_seed(0)
    norm = torch.nn.LayerNorm(dims).half().requires_grad_(False)
    norm.weight.normal_()
    norm.bias.normal_()
    x, residual = torch.randn(2, 1, 50, dims).half()
    weight, bias = norm.weight.double(), norm.bias.double()
    exact = torch.nn.functional.layer_norm(
        x.double() + residual.double(), (dims,), weight, bias, norm.eps
    )
    found = add_norm(x.to(DEVICE), residual.to(DEVICE), norm.to(DEVICE)).cpu()
    assert (found.double() - exact).abs().max() < 8e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_an_lstms_step_is_that_of_float64(dtype, clip):
    """Three rows of seven; two keep their state in slots that the step does not read."""
    from kgtextvec.encoders.elmo.kernels import gates, put_output, put_sums

    torch.manual_seed(0)
    size, out_size = 1100, 24
    source, target = torch.tensor([0, 1, 0, 2, 1, 0, 2]), torch.tensor([4, 3, 5, 4, 0, 0, 0])
    product, given = torch.randn(3, 4 * size).to(dtype), torch.randn(7, 4 * size).to(dtype)
    cells, total = torch.randn(6, size), torch.randn(7, 3, out_size).double()
    sums, projected = torch.randn(6, 3, out_size).double(), torch.randn(3, out_size).to(dtype)
    step, rows, slots = (2, 2), slice(2, 5), [each.to(DEVICE) for each in (source, target)]

    i, j, f, o = (product.double() + given[rows].double()).chunk(4, 1)
    c = cells.double()[source[rows]] * f.sigmoid() + i.sigmoid() * (j / 2).tanh()
    c = c if clip is None else c.clamp(-clip, clip)
    found, out = cells.to(DEVICE), torch.empty(3, size, dtype=dtype, device=DEVICE)
    gates(product.to(DEVICE), given.to(DEVICE), slots, found, out, step, clip)
    assert (out.cpu().double() - o.sigmoid() * c.tanh()).abs().max() < 4 * torch.finfo(dtype).eps
    exact = cells.double()
    exact[target[2:4]] = c[:2]
    assert (found.cpu().double() - exact).abs().max() < 1e-5

    outputs, states = torch.zeros(7, out_size), torch.zeros(6, out_size, dtype=dtype)
    given_out, given_states = outputs.to(DEVICE), states.to(DEVICE)
    put_output(projected.to(DEVICE), slots[1], given_out, given_states, step, clip)
    outputs[rows] = projected.float() if clip is None else projected.float().clamp(-clip, clip)
    states[target[2:4]] = outputs[2:4].to(dtype)
    assert torch.equal(given_out.cpu(), outputs) and torch.equal(given_states.cpu(), states)

    found_total, found_sums = total.to(DEVICE), sums.to(DEVICE)
    put_sums(found_total, slots, found_sums, 3, step)
    total[rows] += sums[source[rows]]
    sums[target[2:4]] = total[2:4]
    assert torch.equal(found_total.cpu(), total) and torch.equal(found_sums.cpu(), sums)
