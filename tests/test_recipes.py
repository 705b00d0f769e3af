"""A model's own recipe: vectors are those of sentence-transformers; what can't be is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from sentence_folders import TEXTS, assert_close, bert, convert, sentence_folder, theirs, vectors_of
from tiny_decoders import tiny_gemma, tiny_gpt2, tiny_qwen3, tiny_t5
from tiny_models import tiny_modernbert, tiny_roberta

from kgtextvec.embed.fingerprint import choices_for, fingerprint_of, resolve
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.encoders.transformer.tokens import Tokenizer
from kgtextvec.errors import InputError
from kgtextvec.settings.models import Embed, EncoderOptions, Mode

PROMPTS = {"query": "Instruct: find the gene\nQuery: ", "passage": ""}


FOLDERS = {
    "cls": (bert, {"pooling": ["cls"]}),
    "short_and_lower": (bert, {"heads": [], "max_seq_length": 16, "do_lower_case": True}),
    "longer_than_its_positions": (tiny_roberta, {"max_seq_length": 514}),
    "dense": (bert, {"pooling": ["cls"], "heads": ["Dense", "Normalize"]}),
    "two_poolings": (bert, {"pooling": ["cls", "mean", "max"], "heads": []}),
    "norm_then_dense": (bert, {"heads": ["LayerNorm", "Normalize", "Dense"]}),
    "in_a_folder": (bert, {"pooling": ["mean_sqrt_len"], "inside": "0_Transformer"}),
    "default_prompt": (bert, {"prompts": PROMPTS, "default_prompt": "query"}),
    "prompt_not_pooled": (
        bert,
        {"prompts": PROMPTS, "default_prompt": "query", "include_prompt": False},
    ),
    "no_prompt_to_leave_out": (bert, {"pooling": ["cls", "mean"], "include_prompt": False}),
    "modernbert": (tiny_modernbert, {"pooling": ["cls"]}),
    "qwen3": (tiny_qwen3, {"pooling": ["lasttoken"], "max_seq_length": 40}),
    "gemma": (tiny_gemma, {"heads": ["Plain", "Normalize"], "prompts": PROMPTS}),
    "sgpt": (tiny_gpt2, {"pooling": ["weightedmean"], "heads": []}),
    "sentence_t5": (tiny_t5, {"heads": ["Plain", "Normalize"]}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FOLDERS)
def test_vectors_are_those_of_sentence_transformers(tmp_path, name):
    build, settings = FOLDERS[name]
    folder = sentence_folder(build(tmp_path / name), **settings)
    assert_close(vectors_of(convert(folder)), theirs(folder))


@pytest.fixture(scope="module")
def decoder(tmp_path_factory) -> tuple[Path, Path]:
    """A folder as Qwen3-Embedding's, and the same converted."""
    folder = tiny_qwen3(tmp_path_factory.mktemp("decoder") / "q")
    sentence_folder(folder, pooling=["lasttoken"], prompts=PROMPTS)
    return folder, convert(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("ours", "settings"),
    [
        ({"prompt": "query"}, {"default_prompt_name": "query"}),
        ({"prompt": "my own: "}, {"prompts": {"x": "my own: "}, "default_prompt_name": "x"}),
        ({"truncate_dims": 12}, {"truncate_dim": 12}),
    ],
    ids=["prompt_by_name", "prompt_by_text", "truncated"],
)
def test_keys_of_the_catalogue_overrule_the_model(decoder, ours, settings):
    folder, out = decoder
    assert_close(vectors_of(out, **ours), theirs(folder, **settings))


def test_normalize_scales_what_was_truncated_and_can_be_off(decoder):
    _, out = decoder
    plain = vectors_of(out, truncate_dims=12)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    assert lengths.max() < 0.99
    assert_close(vectors_of(out, truncate_dims=12, normalize=True), plain / lengths)
    raw = vectors_of(out, normalize=False)
    assert_close(raw / np.linalg.norm(raw, axis=1, keepdims=True), vectors_of(out))


def test_windows_and_batches_change_no_vector_but_those_of_long_texts(decoder):
    _, out = decoder
    embed = Embed(precision="float32", long_text="window", batch_tokens=60)
    windowed = vectors_of(out, embed=embed, max_tokens=50, prompt="query")
    plain = vectors_of(out, prompt="query", max_tokens=50)
    assert_close(windowed[:3], plain[:3])
    assert np.abs(windowed[3] - plain[3]).max() > 1e-3
    assert_close(np.linalg.norm(windowed, axis=1), np.ones(len(TEXTS)))


@pytest.mark.filterwarnings("ignore")
def test_a_text_without_a_token_beyond_a_prompt_that_is_not_pooled_is_refused(tmp_path):
    """GPT-2 reads the prompt's last space and "a" as one token; sentence-transformers gives 0."""
    prompts = {"query": "search query: "}
    folder = sentence_folder(
        tiny_gpt2(tmp_path / "g"),
        prompts=prompts,
        default_prompt="query",
        include_prompt=False,
        heads=[],
    )
    out = convert(folder)
    assert_close(vectors_of(out), theirs(folder))
    assert not theirs(folder, ["a"]).any()
    with pytest.raises(InputError, match="no token of the text 'a' is left to pool"):
        vectors_of(out, ["TP53", "a"])
    windowed = Embed(precision="float32", long_text="window")
    prompt = len(Tokenizer(out, "literal", None, "search query: ").prompt_ids)
    assert np.isfinite(vectors_of(out, embed=windowed, max_tokens=prompt + 1)).all()


def test_manifests_say_who_chose(decoder):
    record = read_model_folder(decoder[1])
    found = choices_for(record, EncoderOptions(prompt="query"), Mode()).to_dict()
    assert found == {
        "pooling": {"value": "lasttoken", "by": "model"},
        "normalize": {"value": True, "by": "model"},
        "max_tokens": {"value": 2048, "by": "default"},
        "prompt": {"value": PROMPTS["query"], "by": "key"},
    }
    plain = choices_for(record, EncoderOptions(), Mode(mode="faithful"))
    assert (plain.pooling, plain.heads, plain.prompt) == ("mean", (), "")


def test_the_stores_key_of_a_plain_model_is_what_it_was(tmp_path):
    """Those of the first stores: a new setting at its default leaves no trace."""
    out = convert(bert(tmp_path / "b"))
    record = read_model_folder(out)
    settings = resolve(record, EncoderOptions(), Embed(), Mode(), "cpu")
    key = fingerprint_of(record, settings, EncoderOptions(), Embed(), Mode())
    names = ("pooling", "max_tokens", "long_text", "precision", "special_tokens", "lower_case")
    digests = ("weights_sha256", "tokenizer_sha256")
    assert set(key) == {"kind", "recipe", *digests, *names}
    assert key["pooling"] == "mean"


def test_what_changes_a_vector_is_in_the_stores_key(decoder):
    record = read_model_folder(decoder[1])

    def key(**options) -> str:
        given = EncoderOptions(**options)
        settings = resolve(record, given, Embed(), Mode(), "cpu")
        return json.dumps(fingerprint_of(record, settings, given, Embed(), Mode()))

    different = [
        {}, {"prompt": "query"}, {"normalize": False}, {"truncate_dims": 8}, {"pooling": "mean"},
        {"normalize": True},
    ]  # fmt: skip
    assert len({key(**one) for one in different}) == len(different)
    assert key(prompt="query") == key(prompt=PROMPTS["query"]), "the text counts, not its name"
    assert key(pooling="lasttoken") == key()


REFUSED_KEYS = {
    "misspelt_prompt": ({"prompt": "qurey"}, r"prompt: 'qurey' is not a prompt .*query, passage"),
    "cls": ({"pooling": "cls"}, r"pooling: cls is not for m, a causal model: .*lasttoken"),
    "too_many_dims": ({"truncate_dims": 33}, r"truncate_dims: 33 is more than the 32 dims"),
    "too_many_tokens": ({"max_tokens": 5000}, r"max_tokens: 5000 is more than m can take"),
}


@pytest.mark.parametrize(("options", "message"), REFUSED_KEYS.values(), ids=list(REFUSED_KEYS))
def test_a_key_that_cannot_be_honoured_is_refused_before_the_model_loads(decoder, options, message):
    record = read_model_folder(decoder[1])
    with pytest.raises(InputError, match=message):
        resolve(record, EncoderOptions(**options), Embed(), Mode(), "cpu")


def test_a_pooling_that_a_dense_layer_does_not_take_is_refused(tmp_path):
    out = convert(sentence_folder(bert(tmp_path / "b"), heads=["Dense"]))
    with pytest.raises(InputError, match=r"pooling: cls\+mean gives 64 dims, and 2_Dense .* 32"):
        resolve(read_model_folder(out), EncoderOptions(pooling="cls+mean"), Embed(), Mode(), "cpu")
