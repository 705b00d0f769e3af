"""A model's own recipe: vectors are those of sentence-transformers; what can't be is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_folders import PACKAGE, sentence_folder
from tiny_decoders import tiny_gemma, tiny_gpt2, tiny_qwen3, tiny_t5
from tiny_models import tiny_bert, tiny_modernbert, write

from kgtextvec.embed.fingerprint import choices_for, fingerprint_of, resolve, stored_dims
from kgtextvec.encoders import load_encoder
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.errors import InputError
from kgtextvec.models.convert import convert_model
from kgtextvec.models.known import files_in, wanted
from kgtextvec.models.recipe import read_recipe
from kgtextvec.settings.models import Embed, EncoderOptions, Mode

TEXTS = [
    "TP53",
    "Gene receptor Protein",
    "a progressive disorder of the central nervous system",
    "the cell cycle gene relation " * 30,
    "Gene receptor kinase",
]
# Sums in another order, relative to the largest number: float32 has 1.2e-7.
TOLERANCE = 1e-5
PROMPTS = {"query": "Instruct: find the gene\nQuery: ", "passage": ""}


def convert(folder: Path, **entry) -> Path:
    out = folder.with_name(f"{folder.name}-out")
    convert_model(folder, out=out, model="m", entry=json.dumps(entry))
    return out


def vectors_of(out: Path, texts=TEXTS, embed=None, **options) -> np.ndarray:
    record = read_model_folder(out)
    chosen = EncoderOptions(**options)
    settings = resolve(record, chosen, embed or Embed(precision="float32"), Mode(), "cpu")
    encoder = load_encoder(out, record, settings)
    assert encoder.dims == stored_dims(record, settings)
    found = np.full((len(texts), encoder.dims), np.nan, dtype=np.float32)
    for part in encoder.encode(texts):
        found[part.rows] = part.vectors
    return found


def theirs(folder: Path, texts=TEXTS, **settings) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    kwargs = {"dtype": torch.float32}
    model = SentenceTransformer(str(folder), device="cpu", model_kwargs=kwargs, **settings)
    return model.encode(texts, batch_size=1, show_progress_bar=False)


def assert_close(ours: np.ndarray, exact: np.ndarray) -> None:
    assert ours.shape == exact.shape
    assert np.abs(ours - exact).max() <= TOLERANCE * np.abs(exact).max()


def bert(folder: Path) -> Path:
    return tiny_bert(folder, tokenizer_config=True)


FOLDERS = {
    "cls": (bert, {"pooling": ["cls"]}),
    "short_and_lower": (bert, {"heads": [], "max_seq_length": 16, "do_lower_case": True}),
    "dense": (bert, {"pooling": ["cls"], "heads": ["Dense", "Normalize"]}),
    "two_poolings": (bert, {"pooling": ["cls", "mean", "max"], "heads": []}),
    "norm_then_dense": (bert, {"heads": ["LayerNorm", "Normalize", "Dense"]}),
    "in_a_folder": (bert, {"pooling": ["mean_sqrt_len"], "inside": "0_Transformer"}),
    "default_prompt": (bert, {"prompts": PROMPTS, "default_prompt": "query"}),
    "prompt_not_pooled": (
        bert,
        {"prompts": PROMPTS, "default_prompt": "query", "include_prompt": False},
    ),
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
    "misspelt_prompt": ({"prompt": "qurey"}, r"prompt: 'qurey' is no prompt .*query, passage"),
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


def changed(name: str, **values):
    """Return a change of a JSON file of a folder."""

    def change(folder: Path) -> None:
        before = json.loads((folder / name).read_text())
        write(folder / name, {**before, **values})

    return change


def other_modules(*kinds: str):
    """Return a change of modules.json."""

    def change(folder: Path) -> None:
        listed = [{"path": "", "type": kind} for kind in kinds]
        write(folder / "modules.json", listed)

    return change


REFUSED_FILES = {
    "custom_module": (other_modules("custom_st.Transformer"), r"custom_st\.Transformer can't be"),
    "unknown_module": (
        other_modules(f"{PACKAGE}.Transformer", f"{PACKAGE}.WordWeights"),
        r"WordWeights can't be honoured",
    ),
    "no_pooling": (other_modules(f"{PACKAGE}.Transformer"), "no Pooling follows"),
    "sparse": (
        changed("config_sentence_transformers.json", model_type="SparseEncoder"),
        "SparseEncoder does not give one vector per text",
    ),
    "no_such_prompt": (
        changed("config_sentence_transformers.json", default_prompt_name="x"),
        "default_prompt_name 'x' is none",
    ),
    "unknown_pooling": (changed("1_Pooling/config.json", pooling_mode="top"), "mode 'top'"),
    "own_function": (
        changed("2_Dense/config.json", activation_function="evil.run"),
        r"evil\.run is no function of torch\.nn",
    ),
    "other_task": (
        changed("sentence_bert_config.json", transformer_task="fill-mask"),
        "transformer_task 'fill-mask' can't be honoured",
    ),
    "config_changes": (
        changed("sentence_bert_config.json", config_args={"rope_scaling": {"factor": 2}}),
        "rope_scaling .* can't be honoured",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED_FILES.values(), ids=list(REFUSED_FILES))
def test_what_a_model_asks_for_and_cannot_get_is_refused_by_name(tmp_path, change, message):
    folder = sentence_folder(bert(tmp_path / "b"), heads=["Dense"])
    change(folder)
    with pytest.raises(InputError, match=message) as caught:
        read_recipe(files_in(folder))
    assert "\n" not in str(caught.value)


def test_cls_of_a_causal_model_is_refused_at_conversion(tmp_path):
    folder = sentence_folder(tiny_qwen3(tmp_path / "q"), pooling=["cls"])
    with pytest.raises(InputError, match=r"pooling: cls is not for m, a causal model"):
        convert(folder)


def test_an_adapter_beside_its_base_is_not_left_out_in_silence(tmp_path):
    folder = bert(tmp_path / "b")
    write(folder / "adapter_config.json", {"peft_type": "LORA"})
    with pytest.raises(InputError, match="holds an adapter"):
        convert(folder)


def lora(folder: Path, base: Path, build, **settings) -> Path:
    """Save a LoRA with random weights for the model in `base`, as peft saves it."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    config = LoraConfig(r=4, lora_alpha=8, task_type="FEATURE_EXTRACTION", **settings)
    model = get_peft_model(build.from_pretrained(str(base)), config)
    for name, value in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(value, std=0.2)
    model.save_pretrained(str(folder))
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("head", [False, True], ids=["of_an_encoder", "of_a_model_with_a_head"])
def test_an_adapter_is_merged_into_its_model(tmp_path, head):
    from peft import PeftModel
    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

    base = tiny_qwen3(tmp_path / "q")
    sentence_folder(base, pooling=["lasttoken"], heads=[])
    kind = AutoModelForCausalLM if head else AutoModel
    adapter = lora(tmp_path / "lora", base, kind, target_modules=["q_proj", "v_proj"])
    out = tmp_path / "merged"
    convert_model(adapter, out=out, model="m", adapted=convert(base))
    tuned = PeftModel.from_pretrained(kind.from_pretrained(str(base)), str(adapter)).eval()
    encoder = tuned.base_model.model.model if head else tuned
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    exact = []
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")
        with torch.inference_mode():
            exact.append(encoder(**ids).last_hidden_state[0, -1].numpy())
    found = vectors_of(out)
    assert_close(found, np.array(exact))
    assert np.abs(found - vectors_of(tmp_path / "q-out")).max() > 0.01


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_of_another_model_is_refused(tmp_path):
    from transformers import AutoModel

    base, other = tiny_qwen3(tmp_path / "q"), bert(tmp_path / "b")
    adapter = lora(tmp_path / "lora", base, AutoModel, target_modules=["q_proj"])
    with pytest.raises(InputError, match="adapter does not fit its model"):
        convert_model(adapter, out=tmp_path / "x", model="m", adapted=convert(other))
    deeper = tiny_qwen3(tmp_path / "deep", layers=5)
    with pytest.raises(InputError, match="trained on another model"):
        convert_model(adapter, out=tmp_path / "x", model="m", adapted=convert(deeper))


def test_a_model_with_code_of_its_own_is_loaded_by_transformers_class(tmp_path, capfd):
    folder = bert(tmp_path / "b")
    plain = vectors_of(convert(folder))
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", {**config, "auto_map": {"AutoModel": "evil.Model"}})
    (folder / "evil.py").write_text("raise SystemExit")
    assert np.array_equal(vectors_of(convert(folder)), plain)
    assert "not run; transformers' own bert takes its place" in capfd.readouterr().err


def test_causal_models_with_code_of_their_own_are_refused(tmp_path):
    """gte-Qwen2's code attends in both directions; transformers' Qwen2 does not."""
    folder = tiny_qwen3(tmp_path / "q")
    config = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", {**config, "auto_map": {"AutoModel": "modeling.Model"}})
    with pytest.raises(InputError, match=r"auto_map.*class is causal"):
        convert(folder)


def test_all_files_of_a_recipe_are_fetched_and_weights_of_one_form_only():
    names = [
        "modules.json", "config.json", "model.safetensors", "pytorch_model.bin", "README.md",
        "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/pytorch_model.bin",
        "2_Dense/model.safetensors", "onnx/model.onnx", "onnx/config.json",
        "sentence_bert_config.json", "config_sentence_transformers.json", "a/1_Pooling/config.json",
    ]  # fmt: skip
    assert wanted(names) == [
        "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "config.json",
        "config_sentence_transformers.json", "model.safetensors", "modules.json",
        "sentence_bert_config.json",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_are_saved_in_their_own_precision(tmp_path, dtype):
    from tiny_models import change_weights, read_weights

    folder = change_weights(bert(tmp_path / "b"), lambda name, value: (name, value.to(dtype)))
    exact = vectors_of(convert(folder))
    record = read_model_folder(tmp_path / "b-out")
    assert record["dtype"] == str(dtype).removeprefix("torch.")
    assert {value.dtype for value in read_weights(tmp_path / "b-out").values()} == {dtype}
    change_weights(folder, lambda name, value: (name, value.float()))
    assert np.array_equal(vectors_of(convert(folder)), exact)


def test_weights_of_several_precisions_are_saved_in_float32(tmp_path):
    from tiny_models import change_weights

    folder = change_weights(
        bert(tmp_path / "b"),
        lambda name, value: (name, value.bfloat16() if "query" in name else value),
    )
    assert read_model_folder(convert(folder))["dtype"] == "float32"


def test_a_protein_model_is_tried_with_its_own_tokens(tmp_path, capfd):
    from tiny_models import encoder_size, save, write_lines
    from transformers import EsmConfig, EsmModel

    folder = tmp_path / "esm"
    folder.mkdir()
    acids = list("LAGVSERTIDPKQNFYMHWC")
    tokens = ["<cls>", "<pad>", "<eos>", "<unk>", *acids, "<mask>"]
    write_lines(folder / "vocab.txt", tokens)
    write(folder / "tokenizer_config.json", {"tokenizer_class": "EsmTokenizer"})
    config = EsmConfig(
        vocab_size=len(tokens),
        pad_token_id=1,
        mask_token_id=len(tokens) - 1,
        max_position_embeddings=130,
        position_embedding_type="rotary",
        token_dropout=True,
        **encoder_size(32, 2),
    )
    save(folder, EsmModel, config, 0, "safetensors", 0.3)
    out = convert(folder)
    assert "no vocabulary of words" in capfd.readouterr().err
    texts = ["LAGVSERT", "MKQNFYLAGVLAGVSERTHWC", "LA"]
    model_texts = vectors_of(out, texts)
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(str(folder)), AutoModel.from_pretrained(folder)
    exact = []
    for text in texts:
        with torch.inference_mode():
            given = tokenizer(text, return_tensors="pt")
            exact.append(model.eval()(**given).last_hidden_state[0].mean(0).numpy())
    assert_close(model_texts, np.array(exact))
