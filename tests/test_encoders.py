"""Transformer encoders against the plain loop: one text at a time, nothing padded."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_loop import plain_loop
from tiny_models import (
    as_converted,
    tiny_bert,
    tiny_deberta_v2,
    tiny_distilbert,
    tiny_electra,
    tiny_modernbert,
    tiny_mpnet,
    tiny_roberta,
)

from kgtextvec.device import choose_precision
from kgtextvec.encoders import EncoderSettings, ResumeContext
from kgtextvec.encoders.transformer.encoder import TransformerEncoder
from kgtextvec.encoders.transformer.packed import NotPackableError, PackedBatches
from kgtextvec.encoders.transformer.padded import PaddedBatches
from kgtextvec.errors import InputError
from kgtextvec.registry import POOLINGS

BUILDERS = {
    "bert": tiny_bert,
    "roberta": tiny_roberta,
    "mpnet": tiny_mpnet,
    "distilbert": tiny_distilbert,
    "electra": tiny_electra,
    "deberta_v2": tiny_deberta_v2,
    "modernbert": tiny_modernbert,
}
TEXTS = [
    "TP53",
    "a progressive disorder of the central nervous system",
    "gene gene receptor protein, kinase (beta) of the cell",
    "x",
    "disease " * 40,
    'acute disease of the brain with 5" marks and </s> [SEP] <pad> inside',
    "protein kinase " * 300,
]
# Sums in another order: float32 has 1.2e-7 of relative precision and the vectors are of size 1.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """Each tiny model, saved as convert-model saves it: safetensors beside its tokenizer."""
    return {
        name: as_converted(build(tmp_path_factory.mktemp(name) / "raw"))
        for name, build in BUILDERS.items()
    }


def encoded(encoder: TransformerEncoder, texts: list[str]) -> np.ndarray:
    vectors = np.full((len(texts), encoder.dims), np.nan, dtype=np.float32)
    for part in encoder.encode(texts):
        assert np.isnan(vectors[part.rows]).all(), "a text came twice"
        vectors[part.rows] = part.vectors
    assert not np.isnan(vectors).any(), "a text is missing"
    return vectors


def make(folder: Path, **settings) -> TransformerEncoder:
    return TransformerEncoder(folder, EncoderSettings(**({"max_tokens": 64} | settings)))


@pytest.mark.parametrize("name", BUILDERS)
def test_a_batch_gives_what_its_texts_give_alone(folders, name):
    vectors = encoded(make(folders[name]), TEXTS)
    assert np.abs(vectors - plain_loop(folders[name], TEXTS, 64)).max() <= TOLERANCE


@pytest.mark.parametrize("name", BUILDERS)
def test_texts_are_packed_where_the_model_allows_it_and_else_padded(folders, name, capfd):
    """MPNet and DeBERTa don't ask the attention interface: packed, they would be wrong."""
    encoder = make(folders[name])
    padded = name in {"mpnet", "deberta_v2"}
    assert isinstance(encoder.run, PaddedBatches if padded else PackedBatches)
    assert ("padded, not packed" in capfd.readouterr().err) == padded


def test_packed_attention_never_takes_a_padded_batch(folders):
    encoder = make(folders["bert"])
    ids = torch.tensor([[5, 6, 7], [5, 6, 0]])
    with pytest.raises(NotPackableError):
        encoder.run.model(input_ids=ids, attention_mask=(ids > 0).long())


def test_texts_longer_than_an_attention_window_are_exact_too(folders):
    """ModernBERT's local layers see 64 tokens to each side."""
    texts = ["protein kinase " * 140, "gene " * 200, "gene receptor"]
    encoder = make(folders["modernbert"], max_tokens=300)
    exact = plain_loop(folders["modernbert"], texts, 300)
    assert np.abs(encoded(encoder, texts) - exact).max() <= TOLERANCE


@pytest.mark.parametrize("name", ["bert", "roberta"])
@pytest.mark.parametrize("pooling", ["cls", "max", "mean_no_special"])
def test_every_pooling_is_that_of_the_plain_loop(folders, name, pooling):
    vectors = encoded(make(folders[name], pooling=pooling), TEXTS)
    assert np.abs(vectors - plain_loop(folders[name], TEXTS, 64, pooling)).max() <= TOLERANCE


def test_an_unknown_pooling_is_refused_before_the_model_loads(tmp_path):
    with pytest.raises(InputError, match=r"'median' is not a known pooling\. Choose one of cls"):
        make(tmp_path / "no such folder", pooling="median")


def test_every_pooling_is_one_module_with_its_description():
    plain = ["cls", "lasttoken", "max", "mean", "mean_no_special", "mean_sqrt_len", "weightedmean"]
    assert POOLINGS.names() == plain
    assert len({POOLINGS[name].description for name in plain}) == len(plain)


@pytest.mark.parametrize("batch_tokens", [64, 100, 4000])
def test_vectors_do_not_depend_on_batch_or_order(folders, batch_tokens):
    plain = encoded(make(folders["roberta"]), TEXTS)
    encoder = make(folders["roberta"], batch_tokens=batch_tokens)
    assert np.abs(encoded(encoder, TEXTS) - plain).max() <= TOLERANCE
    assert np.abs(encoded(encoder, TEXTS[::-1])[::-1] - plain).max() <= TOLERANCE


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("long_text", ["truncate", "window"])
def test_texts_may_come_in_chunks(folders, long_text, ahead):
    """As on a GPU: a chunk is tokenized while the one before it is computed."""
    texts = [f"{text} {number}" for number in range(3) for text in TEXTS]
    whole = make(folders["roberta"], long_text=long_text)
    plain = encoded(whole, texts)
    if long_text == "truncate":
        assert np.abs(plain - plain_loop(folders["roberta"], texts, 64)).max() <= TOLERANCE
    encoder = make(folders["roberta"], long_text=long_text)
    encoder.chunk_texts, encoder.ahead = 4, ahead
    assert np.abs(encoded(encoder, texts) - plain).max() <= TOLERANCE
    counts = {int(row): int(n) for part in encoder.encode(texts) for row, n in known(part)}
    assert counts == {int(row): int(n) for part in whole.encode(texts) for row, n in known(part)}
    assert list(encoder.encode([])) == []


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("precision", "limit"), [("float32", 1e-6), ("float16", 1e-4), ("bfloat16", 1e-3)]
)
@pytest.mark.parametrize("name", BUILDERS)
def test_a_gpu_gives_what_the_plain_loop_gives(folders, name, precision, limit):
    texts = TEXTS * 5
    encoder = make(folders[name], device="cuda", precision=precision)
    encoder.chunk_texts = 8
    found, exact = encoded(encoder, texts), plain_loop(folders[name], texts, 64)
    cosine = (found * exact).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)
    assert (1 - cosine).max() <= limit


def known(part):
    return zip(part.rows, part.n_tokens, strict=True)


def test_chunks_of_resumed_work_are_those_of_undisturbed_work(folders):
    """Half a chunk and two whole ones are missing: the whole ones' batches stay as they were."""
    texts = [text for _ in range(6) for text in TEXTS]
    encoder = make(folders["bert"], batch_tokens=100)
    encoder.chunk_texts = 8
    n_tokens = np.zeros(len(texts), dtype=np.int32)
    for part in encoder.encode(texts):
        n_tokens[part.rows] = part.n_tokens
    rows = np.arange(12, 32)
    undisturbed = batches_of(encoder, texts, ResumeContext(np.arange(len(texts)), n_tokens))
    resumed = batches_of(encoder, [texts[row] for row in rows], ResumeContext(rows, n_tokens))
    assert resumed[1:] == undisturbed[2:4] and len(resumed) == 3


def test_the_first_chunks_are_small_so_that_a_gpu_does_not_wait(folders):
    encoder = make(folders["bert"])
    assert list(encoder.chunk_edges(10_000)) == [(0, 10_000)], "on a CPU all at once"
    encoder.chunk_texts, encoder.first_texts = 40, 10
    assert list(encoder.chunk_edges(130)) == [(0, 10), (10, 30), (30, 70), (70, 110), (110, 130)]
    assert list(encoder.chunk_edges(0)) == []


def batches_of(encoder, texts, resume):
    """Rows of each batch, by chunk."""
    return [
        [resume.rows[chunk.first + chunk.pieces.text[batch]].tolist() for batch in chunk.plan]
        for chunk in encoder.chunks(texts, resume)
    ]


def test_roberta_takes_512_tokens_and_cuts_the_rest(folders):
    """Positions start at 2 of 514: a 513th token would be a device assert on a GPU."""
    encoder = make(folders["roberta"], max_tokens=512)
    texts = ["gene " * 505, "gene " * 700, "gene"]
    parts = list(encoder.encode(texts))
    cut = {
        int(row): bool(t)
        for part in parts
        for row, t in zip(part.rows, part.truncated, strict=True)
    }
    assert cut[1] and not cut[2]
    assert (
        np.abs(encoded(encoder, texts) - plain_loop(folders["roberta"], texts, 512)).max()
        <= TOLERANCE
    )


def test_a_windowed_text_is_the_mean_of_its_windows(folders):
    """Each window is a text of its own: 22 tokens beside 2 special ones are cut 7 + 7 + 8."""
    encoder = make(folders["bert"], max_tokens=10, long_text="window")
    words = ["gene", "protein", "disease", "cell"]
    text = [words[i % 4] for i in range(22)]
    parts = [" ".join(text[:7]), " ".join(text[7:14]), " ".join(text[14:])]
    windows = plain_loop(folders["bert"], parts, 64)
    (vector,) = encoded(encoder, [" ".join(text)])
    assert np.abs(vector - windows.mean(0)).max() <= TOLERANCE
    assert not any(part.truncated.any() for part in encoder.encode([" ".join(text)]))


def test_control_tokens_in_a_text_are_text_unless_asked(folders):
    text = ["gene </s> <pad> gene"]
    literal = encoded(make(folders["roberta"]), text)
    control = encoded(make(folders["roberta"], special_tokens="control"), text)
    assert np.abs(literal - control).max() > 1e-3


def test_counts_are_those_of_the_whole_text(folders):
    (part,) = make(folders["bert"], max_tokens=8).encode(["gene " * 20])
    assert part.n_tokens.tolist() == [22]
    assert part.truncated.tolist() == [True]


def test_unknown_tokens_are_counted(folders):
    (part,) = make(folders["bert"]).encode(["gene ☃☃ gene"])
    assert part.n_unknown.tolist() == [1]


def test_bfloat16_is_close_to_float32(folders):
    exact = encoded(make(folders["bert"]), TEXTS)
    rough = encoded(make(folders["bert"], precision="bfloat16"), TEXTS)
    cosine = (exact * rough).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rough, axis=1)
    assert cosine.min() >= 0.999
    assert not np.array_equal(exact, rough)


def test_nan_names_the_text(folders, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(str(folders["bert"]))
    tokenizer = AutoTokenizer.from_pretrained(str(folders["bert"]))
    with torch.no_grad():
        row = tokenizer.convert_tokens_to_ids("kinase")
        model.embeddings.word_embeddings.weight[row] = torch.nan
    model.save_pretrained(str(tmp_path))
    tokenizer.save_pretrained(str(tmp_path))
    encoder = make(tmp_path)
    for encoder.chunk_texts in (None, 1):
        with pytest.raises(InputError, match=r"NaN or Inf .*first at row 1 \('a kinase'\)"):
            encoded(encoder, ["gene", "a kinase"])
    with pytest.raises(InputError, match=r"for 2 of 9 texts of a batch, first at row 4 "):
        encoded(make(tmp_path), ["gene"] * 4 + ["kinase"] + ["gene"] * 3 + ["kinase"])


def test_run_nan_output_is_computed_again_in_float32(folders, tmp_path, capfd):
    """70,000 is a number to float32 and infinity to float16: one word's texts are lost there."""
    from transformers import AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(str(folders["bert"]))
    tokenizer = AutoTokenizer.from_pretrained(str(folders["bert"]))
    with torch.no_grad():
        row = tokenizer.convert_tokens_to_ids("kinase")
        model.embeddings.word_embeddings.weight[row, 0] = 70_000
    model.save_pretrained(str(tmp_path))
    tokenizer.save_pretrained(str(tmp_path))
    exact = plain_loop(tmp_path, ["gene", "a kinase"], 64)
    vectors = encoded(make(tmp_path, precision="float16"), ["gene", "a kinase"])
    assert np.abs(vectors[1] - exact[1]).max() <= TOLERANCE
    assert np.abs(vectors[0] - exact[0]).max() > 0, "the other text stays in float16"
    assert "1 text: NaN or Inf in float16, computed again in float32" in capfd.readouterr().err


def test_a_device_is_leased_once_the_weights_are_in_memory(folders, tmp_path):
    """The weights' file is gone by the time that a device is asked for."""
    shutil.copytree(folders["bert"], tmp_path / "model")
    asked = []

    def lease(device):
        (tmp_path / "model/model.safetensors").unlink()
        asked.append(device)
        return "cpu"

    encoder = TransformerEncoder(tmp_path / "model", EncoderSettings("cuda", max_tokens=64), lease)
    assert asked == ["cuda"] and encoder.device.type == "cpu"
    assert np.abs(encoded(encoder, TEXTS) - plain_loop(folders["bert"], TEXTS, 64)).max() <= (
        TOLERANCE
    )


def test_a_batch_smaller_than_a_text_is_told(folders):
    with pytest.raises(InputError, match=r"batch_tokens: 32 is below max_tokens \(64\)"):
        make(folders["bert"], batch_tokens=32)


@pytest.mark.parametrize(
    ("asked", "device", "mends", "dtype", "precision"),
    [
        ("auto", "cuda:0", True, None, "float16"),
        ("auto", "cuda:0", True, "float32", "float16"),
        ("auto", "cuda:0", True, "bfloat16", "bfloat16"),
        ("auto", "cuda", False, None, "bfloat16"),
        ("auto", "cpu", True, "bfloat16", "float32"),
        ("bfloat16", "cuda", True, "float16", "bfloat16"),
        ("float16", "cuda", True, "bfloat16", "float16"),
    ],
)
def test_half_precision_is_the_finer_one_where_an_overflow_is_mended(
    asked, device, mends, dtype, precision
):
    """A model trained in bfloat16 exceeds float16 too often for that."""
    assert choose_precision(asked, device, mends, dtype) == precision
