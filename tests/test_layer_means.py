"""`layers`: a token's vector from several layers of a transformer, against transformers' own."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sentence_folders import bert, convert, sentence_folder, vectors_of
from tiny_decoders import tiny_bigbird, tiny_qwen3, tiny_t5
from tiny_models import tiny_bert, tiny_mpnet, tiny_roberta

from kgtextvec.embed.fingerprint import choices_for, fingerprint_of, resolve
from kgtextvec.embed.shard import embed_shard
from kgtextvec.encoders import EncoderSettings
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.encoders.pretrained import encoder_class
from kgtextvec.encoders.transformer.encoder import TransformerEncoder
from kgtextvec.errors import InputError
from kgtextvec.models.endpoint import check_keys_of_kind
from kgtextvec.settings.models import Embed, EncoderOptions, Mode, Model

TEXTS = ["TP53", "x", "disease " * 12, "protein kinase of the brain", "acute disease", "gene"]
# How a batch is laid out: packed, padded, or texts of equal length only.
FAMILIES = {
    "bert": (tiny_bert, "PackedBatches"),
    "roberta": (tiny_roberta, "PackedBatches"),
    "qwen3": (tiny_qwen3, "PackedBatches"),
    "mpnet": (tiny_mpnet, "PaddedBatches"),
    "t5": (tiny_t5, "PaddedBatches"),
    "bigbird": (tiny_bigbird, "UniformBatches"),
}
CHOICES = {
    "average": lambda states: torch.stack(states).mean(0),
    "first_last": lambda states: (states[1] + states[-1]) / 2,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return {
        name: convert(build(tmp_path_factory.mktemp("layers") / name))
        for name, (build, _) in FAMILIES.items()
    }


def alone(folder: Path, layers: str) -> np.ndarray:
    """Mean over tokens of the layers' mean, one text at a time, by output_hidden_states."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    vectors = []
    for text in TEXTS:
        model = encoder_class(folder).from_pretrained(str(folder)).eval()
        given = tokenizer(text, return_tensors="pt", truncation=True, max_length=64)
        with torch.no_grad():
            states = model(**given, output_hidden_states=True).hidden_states
        assert len(states) == model.config.num_hidden_layers + 1
        vectors.append(CHOICES[layers](states)[0].mean(0).numpy())
    return np.array(vectors)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layers", CHOICES)
@pytest.mark.parametrize("name", FAMILIES)
def test_layers_are_those_of_a_plain_loop(folders, name, layers):
    settings = EncoderSettings(layers=layers, max_tokens=64, batch_tokens=200)
    encoder = TransformerEncoder(folders[name], settings)
    assert type(encoder.run).__name__ == FAMILIES[name][1]
    vectors = np.full((len(TEXTS), encoder.dims), np.nan, np.float32)
    for part in encoder.encode(TEXTS):
        vectors[part.rows] = part.vectors
    exact = alone(folders[name], layers)
    assert np.abs(vectors - exact).max() <= 1e-5 * np.abs(exact).max()
    last = vectors_of(folders[name], TEXTS)
    assert np.abs(vectors - last).max() > 0.01 * np.abs(last).max(), "the last layer is another"


def test_last_is_the_default_and_leaves_no_trace_in_the_key(folders):
    record = read_model_folder(folders["bert"])

    def key(layers: str | None) -> str:
        given = EncoderOptions(layers=layers), Embed(), Mode()
        settings = resolve(record, *given, "cpu")
        return json.dumps(fingerprint_of(record, settings, *given), sort_keys=True)

    assert key(None) == key("last")
    assert "layers" not in key(None)
    assert len({key(None), key("average"), key("first_last")}) == 3
    assert np.array_equal(
        vectors_of(folders["bert"], TEXTS), vectors_of(folders["bert"], TEXTS, layers="last")
    )


def test_the_manifest_says_which_layers_were_asked_for(folders):
    record = read_model_folder(folders["bert"])
    chosen = choices_for(record, EncoderOptions(layers="first_last"), Mode()).to_dict()
    assert chosen["layers"] == {"value": "first_last", "by": "key"}
    assert "layers" not in choices_for(record, EncoderOptions(), Mode()).to_dict()


@pytest.mark.parametrize("layers", [None, "last", "average"])
def test_the_step_embeds_with_the_layers_of_its_flag(folders, tmp_path, layers):
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in TEXTS]
    order = np.argsort(keys)
    texts = {"text_sha256": sorted(keys), "text": [TEXTS[row] for row in order]}
    pq.write_table(pa.table(texts), tmp_path / "texts.parquet")
    embed_shard(
        tmp_path / "texts.parquet",
        model=folders["bert"],
        store=tmp_path / "store",
        out=tmp_path / "v.npy",
        options=EncoderOptions(layers=layers),
    )
    exact = vectors_of(folders["bert"], texts["text"], layers=layers)
    assert np.abs(np.load(tmp_path / "v.npy") - exact).max() < 1e-6


REFUSED = {
    "transformer": ({"layers": "top"}, r"m\.layers: 'top' is not for m, .*last, average"),
    "number": ({"layers": 3}, "layers: 3 is not for m"),
    "near": ({"layers": "firstlast"}, "Did you mean first_last"),
    "elmo": ({"kind": "elmo", "layers": "first_last"}, "kind elmo. Write one of average, top"),
    "endpoint": (
        {"kind": "endpoint", "layers": "average", "source": "https://x.org/v1", "model": "m"},
        r"m\.layers: does not apply to an endpoint",
    ),
}


@pytest.mark.parametrize(("entry", "message"), REFUSED.values(), ids=list(REFUSED))
def test_layers_that_a_kind_does_not_have_are_refused_before_a_run(entry, message):
    with pytest.raises(InputError, match=message):
        check_keys_of_kind("m", Model(**{"source": "path:x"} | entry))


def test_a_layer_trained_on_the_last_one_forbids_another(tmp_path):
    out = convert(sentence_folder(bert(tmp_path / "b"), heads=["Dense", "Normalize"]))
    with pytest.raises(InputError, match=r"layers: average is not for .* 2_Dense was trained"):
        vectors_of(out, layers="average")
    unit = vectors_of(convert(sentence_folder(bert(tmp_path / "u"), heads=["Normalize"])),
                      layers="average")  # fmt: skip
    assert np.abs(np.linalg.norm(unit, axis=1) - 1).max() < 1e-6
