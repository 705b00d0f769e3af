"""Decoders and other models unlike BERT: a batch gives what each text gives alone."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_decoders import DECODERS, tiny_bart, tiny_qwen3

from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.transformer.encoder import TransformerEncoder
from kgtextvec.encoders.transformer.loading import load_transformer
from kgtextvec.encoders.transformer.overflow import OverflowWatch
from kgtextvec.encoders.transformer.packed import PackedBatches
from kgtextvec.encoders.transformer.padded import PaddedBatches
from kgtextvec.encoders.transformer.trial import unchanged
from kgtextvec.encoders.transformer.uniform import UniformBatches
from kgtextvec.errors import InputError

TEXTS = [
    "gene receptor protein",
    "TP53",
    "disease of the brain",
    "protein kinase binding " * 12,
    "a progressive disorder of the central nervous system",
    "the cell cycle gene relation " * 40,
    "gene receptor kinase",
]
# Sums in another order, relative to the largest number: float32 has 1.2e-7.
TOLERANCE = 1e-5


def alone(folder: Path, texts: list[str], pooling: str, max_tokens: int = 400) -> np.ndarray:
    """One text at a time, by transformers alone; a BigBird, which changes, is loaded anew."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    kind = transformers.T5EncoderModel if folder.name == "t5" else transformers.AutoModel
    rows, model = [], None
    for text in texts:
        if model is None or folder.name == "bigbird":
            model = kind.from_pretrained(str(folder)).eval()
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=max_tokens)
        with torch.no_grad():
            hidden = model(**ids).last_hidden_state[0]
        weights = torch.arange(1, len(hidden) + 1.0)[:, None]
        parts = {
            "cls": hidden[0],
            "lasttoken": hidden[-1],
            "mean": hidden.mean(0),
            "max": hidden.max(0).values,
            "mean_sqrt_len": hidden.sum(0) / len(hidden) ** 0.5,
            "weightedmean": (hidden * weights).sum(0) / weights.sum(),
        }
        rows.append(torch.cat([parts[name] for name in pooling.split("+")]).numpy())
    return np.array(rows)


def make(folder: Path, **settings) -> TransformerEncoder:
    return TransformerEncoder(folder, EncoderSettings(**({"max_tokens": 200} | settings)))


def encoded(encoder: TransformerEncoder, texts: list[str]) -> np.ndarray:
    vectors = np.full((len(texts), encoder.dims), np.nan, dtype=np.float32)
    for part in encoder.encode(texts):
        vectors[part.rows] = part.vectors
    return vectors


def assert_close(ours: np.ndarray, exact: np.ndarray) -> None:
    assert ours.shape == exact.shape
    assert np.abs(ours - exact).max() <= TOLERANCE * np.abs(exact).max()


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("decoders")
    return {name: build(place / name) for name, build in DECODERS.items()}


@pytest.mark.parametrize("name", DECODERS)
def test_a_batch_gives_what_its_texts_give_alone(folders, name):
    encoder = make(folders[name], pooling="lasttoken+mean", batch_tokens=600)
    assert_close(encoded(encoder, TEXTS), alone(folders[name], TEXTS, "lasttoken+mean", 200))


@pytest.mark.parametrize("name", DECODERS)
def test_which_batches_a_model_gets(folders, name):
    kinds = {"t5": PaddedBatches, "bigbird": UniformBatches}
    assert isinstance(make(folders[name]).run, kinds.get(name, PackedBatches))


@pytest.mark.parametrize("name", ["qwen3", "mistral", "gemma"])
def test_padded_batches_of_decoders_are_exact_too(folders, name):
    """What a model gets that can't be packed, whatever side its tokenizer pads."""
    encoder = make(folders[name], pooling="lasttoken")
    parts = (load_transformer(folders[name], "float32", encoder.device), encoder.tokenizer)
    encoder.run = PaddedBatches(*parts, encoder.pool, encoder.device)
    encoder.run.watch = OverflowWatch(encoder.run.model, encoder.device)
    encoder.run.model.set_attn_implementation("sdpa")
    assert_close(encoded(encoder, TEXTS), alone(folders[name], TEXTS, "lasttoken", 200))


@pytest.mark.parametrize("pooling", ["weightedmean", "mean_sqrt_len", "lasttoken+mean+max"])
@pytest.mark.parametrize("name", ["qwen3", "t5"])
def test_every_pooling_is_that_of_the_plain_loop(folders, name, pooling):
    vectors = encoded(make(folders[name], pooling=pooling), TEXTS)
    assert_close(vectors, alone(folders[name], TEXTS, pooling, 200))


def test_a_decoder_is_packed_in_bfloat16_too(folders):
    exact = alone(folders["qwen3"], TEXTS, "lasttoken", 200)
    rough = encoded(make(folders["qwen3"], precision="bfloat16", pooling="lasttoken"), TEXTS)
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert cosine.min() >= 0.995


def test_windows_of_a_long_text_begin_with_the_prompt(folders):
    """Each window has 20 tokens: the prompt's, a part of the text, the end token."""
    prompt = "gene protein: "
    encoder = make(
        folders["qwen3"], prompt=prompt, max_tokens=20, long_text="window", pooling="lasttoken"
    )
    tokenizer = encoder.tokenizer.tokenizer
    text = "kinase disease cell receptor " * 9
    lead = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    both = tokenizer(prompt + text, add_special_tokens=False)["input_ids"]
    while both[: len(lead)] != lead:  # its last space joins the first word
        lead.pop()
    body, room = both[len(lead) :], 20 - 1 - len(lead)
    n_windows = -(-len(body) // room)
    assert n_windows > 2 and lead
    edges = [len(body) * i // n_windows for i in range(n_windows + 1)]
    model = load_transformer(folders["qwen3"], "float32", encoder.device)
    rows = []
    for start, end in pairwise(edges):
        ids = torch.tensor([[*lead, *body[start:end], tokenizer.eos_token_id]])
        with torch.no_grad():
            rows.append(model(input_ids=ids).last_hidden_state[0, -1].numpy())
    assert_close(encoded(encoder, [text]), np.mean(rows, axis=0)[None])


def test_a_short_text_does_not_turn_bigbird_to_full_attention(folders):
    encoder = make(folders["bigbird"])
    long = [text for text in TEXTS if len(text) > 500]
    first = encoded(encoder, long)
    encoded(encoder, ["gene"])
    assert np.array_equal(encoded(encoder, long), first)
    assert encoder.run.model.attention_type == "block_sparse"


def test_a_trial_leaves_a_model_as_it_was():
    class Turning(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kind, self.inner = "sparse", torch.nn.Linear(2, 2)
            self.register_buffer("seen", torch.zeros(1))

        def forward(self) -> None:
            self.kind, self.inner, self.more = "full", torch.nn.Identity(), 1
            self.seen = torch.ones(3)

    model = Turning()
    inner = model.inner
    with unchanged(model):
        model()
        assert model.kind == "full"
    assert (model.kind, model.inner, tuple(model.seen.shape)) == ("sparse", inner, (1,))
    assert not hasattr(model, "more")


def test_a_text_without_a_token_is_refused_by_name(tmp_path):
    """A decoder that appends nothing has no vector for an empty text."""
    encoder = make(tiny_qwen3(tmp_path / "q", end=False))
    with pytest.raises(InputError, match="the text '' has no token"):
        encoded(encoder, ["gene", ""])


def test_a_prompt_with_control_tokens_is_refused(folders):
    with pytest.raises(InputError, match=r"prompt: .*control tokens"):
        make(folders["qwen3"], prompt="<|im_end|>query: ")


def test_a_prompt_that_leaves_no_room_is_refused(folders):
    encoder = make(folders["qwen3"], prompt="gene protein disease " * 10, max_tokens=20)
    with pytest.raises(InputError, match=r"max_tokens: 20 leaves no room .* a prompt of \d+"):
        encoded(encoder, ["gene"])


def test_clamped_infinities_are_computed_again_in_float32(tmp_path, capfd):
    """BART's layers turn what overflows in float16 into finite numbers: no NaN would show it."""
    folder = tiny_bart(tmp_path / "bart")
    found = encoded(make(folder, precision="float16"), TEXTS)
    assert_close(found, alone(folder, TEXTS, "mean", 200))
    assert "computed again in float32" in capfd.readouterr().err
