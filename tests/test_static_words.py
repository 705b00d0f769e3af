"""`kind: words`: static vectors from word2vec's files; a text is the mean of its words."""

import gzip
import hashlib
import json
import lzma
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from probe_corpora import write_ner

from kgtextvec.embed.shard import embed_shard
from kgtextvec.encoders.folder import read_model_folder
from kgtextvec.errors import InputError
from kgtextvec.files import read_json, write_json
from kgtextvec.models.convert import convert_model
from kgtextvec.models.download import find_files
from kgtextvec.models.endpoint import check_keys_of_kind
from kgtextvec.models.unpack import unpack_model
from kgtextvec.probe.cache import cache_tokens
from kgtextvec.probe.run import probe_model
from kgtextvec.settings.models import Device, EncoderOptions, Model
from kgtextvec.settings.training import ProbeTraining

DIMS = 7
WORDS = ["gene", "binds", "the", "IL", "-", "2", "Alzheimer", "β-catenin", "of", "TP53", "tp53"]
VECTORS = np.random.default_rng(5).normal(size=(len(WORDS), DIMS)).astype(np.float32)
TABLE = dict(zip(WORDS, VECTORS, strict=True))
TEXTS = {
    "The gene binds IL-2": ["the", "gene", "binds", "IL", "-", "2"],
    "GENE gene unheard": ["gene", "gene"],
    "TP53 of Alzheimer": ["TP53", "of", "Alzheimer"],
    "nothing known": [],
}


def binary(feed: bytes = b"\n") -> bytes:
    """word2vec's own code ends each vector with a line feed, gensim with nothing."""
    packed = [
        word.encode() + b" " + struct.pack(f"<{DIMS}f", *vector) + feed
        for word, vector in TABLE.items()
    ]
    return f"{len(WORDS)} {DIMS}\n".encode() + b"".join(packed)


def text(header: bool = True) -> bytes:
    rows = [f"{word} {' '.join(map(repr, map(float, TABLE[word])))}\n" for word in WORDS]
    return ((f"{len(WORDS)} {DIMS}\n" if header else "") + "".join(rows)).encode()


FORMS = {
    "binary": ("v.bin", binary()),
    "binary_of_gensim": ("v.bin", binary(b"")),
    "packed": ("v.bin.gz", gzip.compress(binary())),
    "xz": ("v.txt.xz", lzma.compress(text())),
    "text": ("v.txt", text()),
    "glove": ("v.txt", text(header=False)),
    "vec": ("v.vec", text().replace(b"\n", b" \n")),
}


def converted(folder: Path, name: str, data: bytes, **entry) -> Path:
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / name).write_bytes(data)
    entry = json.dumps({"kind": "words"} | entry)
    convert_model(folder / "raw", out=folder / "model", model="w2v", entry=entry)
    return folder / "model"


def embedded(model: Path, folder: Path, texts: list[str], **options):
    """Run the step on texts; return their vectors and the columns of its table, by text."""
    keys = {hashlib.sha256(text.encode()).hexdigest(): text for text in texts}
    rows = {"text_sha256": sorted(keys), "text": [keys[key] for key in sorted(keys)]}
    pq.write_table(pa.table(rows), folder / "texts.parquet")
    embed_shard(
        folder / "texts.parquet", model=model, store=folder / "store", out=folder / "v.npy",
        options=EncoderOptions(**options),
    )  # fmt: skip
    vectors = dict(zip(rows["text"], np.load(folder / "v.npy"), strict=True))
    return vectors, pq.read_table(folder / "v.parquet").to_pydict() | rows


def mean(words: list[str]) -> np.ndarray:
    if not words:
        return np.zeros(DIMS, np.float32)
    return np.mean([TABLE[word].astype(np.float64) for word in words], axis=0)


@pytest.mark.parametrize(("name", "data"), FORMS.values(), ids=list(FORMS))
def test_every_form_gives_the_mean_of_a_texts_words(tmp_path, name, data, capsys):
    model = converted(tmp_path, name, data)
    record = read_model_folder(model)
    assert (record["dims"], record["parameters"]) == (DIMS, DIMS * len(WORDS))
    vectors, table = embedded(model, tmp_path, list(TEXTS))
    for given, words in TEXTS.items():
        assert np.abs(vectors[given] - mean(words)).max() < 1e-6
    unknown = dict(zip(table["text"], table["n_unknown"], strict=True))
    assert unknown == dict(zip(TEXTS, (0, 1, 0, 2), strict=True))
    assert "1 of 4 texts have no word that the model knows" in capsys.readouterr().err


def test_gensim_reads_the_same_vectors(tmp_path):
    """gensim writes the file, and gives the vectors that the mean is taken of."""
    models = pytest.importorskip("gensim.models")
    theirs = models.KeyedVectors(DIMS)
    theirs.add_vectors(WORDS, VECTORS)
    for place, is_binary in enumerate((True, False)):
        theirs.save_word2vec_format(str(tmp_path / f"v{place}.bin"), binary=is_binary)
        data = (tmp_path / f"v{place}.bin").read_bytes()
        model = converted(tmp_path / str(place), "v.bin", data)
        vectors, _ = embedded(model, tmp_path / str(place), list(TEXTS))
        for given, words in TEXTS.items():
            known = theirs.get_mean_vector(words, pre_normalize=False) if words else mean([])
            assert np.abs(vectors[given] - known).max() < 1e-6


def test_how_a_text_is_split_is_a_setting_and_part_of_the_key(tmp_path):
    model = converted(tmp_path, "v.bin", binary())
    given = "β-catenin of IL-2"
    split, _ = embedded(model, tmp_path, [given])
    whole, _ = embedded(model, tmp_path, [given], tokens="whitespace")
    assert np.abs(split[given] - mean(["-", "of", "IL", "-", "2"])).max() < 1e-6
    assert np.abs(whole[given] - mean(["β-catenin", "of"])).max() < 1e-6


def test_another_order_of_words_is_another_model(tmp_path):
    one = read_model_folder(converted(tmp_path / "a", "v.txt", text()))
    changed = text().replace(b"gene ", b"genes ")
    other = read_model_folder(converted(tmp_path / "b", "v.txt", changed))
    assert one["weights_sha256"] == other["weights_sha256"]
    assert one["tokenizer_sha256"] != other["tokenizer_sha256"]


def test_a_file_is_fetched_unpacked_and_converted_by_its_steps(tmp_path):
    (tmp_path / "PubMed.bin.gz").write_bytes(gzip.compress(binary()))
    entry = Model(kind="words", source=f"file:{tmp_path / 'PubMed.bin.gz'}", dims=DIMS)
    found = find_files("w2v", entry, tmp_path / "lock.yaml", tmp_path / "downloads", offline=True)
    write_json(tmp_path / "w2v.json", found)
    unpack_model(tmp_path / "w2v.json", out=tmp_path / "files")
    convert_model(
        tmp_path / "files", out=tmp_path / "model", model="w2v", entry='{"kind": "words"}',
        downloaded=tmp_path / "w2v.json",
    )  # fmt: skip
    vectors, _ = embedded(tmp_path / "model", tmp_path, ["gene"])
    assert np.array_equal(vectors["gene"], TABLE["gene"])


def test_a_probe_reads_the_words_of_its_corpus(tmp_path):
    model = converted(tmp_path, "v.bin", binary())
    train, test = (write_ner(tmp_path / name, 4, seed) for seed, name in enumerate(("a", "b")))
    cache_tokens("ner", model=model, train=[train], test=[test], out=tmp_path / "tokens.npy")
    about, vectors = read_json(tmp_path / "tokens.json"), np.load(tmp_path / "tokens.npy")
    assert vectors.shape == (about["words"], 1, DIMS)
    kept = {vector.tobytes() for vector in vectors[:, 0]}
    assert kept == {TABLE[word].astype(vectors.dtype).tobytes() for word in WORDS[:4]}


def write_tagged(path: Path, n_sentences: int, seed: int) -> Path:
    """Write sentences in which every `gene` is an entity, whatever comes before."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(n_sentences):
        words = rng.choice(WORDS[:4], rng.integers(4, 10))
        lines += [f"{word}\t{'B-X' if word == 'gene' else 'O'}" for word in words] + [""]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_a_probe_learns_what_the_word_alone_tells(tmp_path):
    model = converted(tmp_path, "v.bin", binary())
    files = {
        "train": [write_tagged(tmp_path / "a", 120, 0)],
        "test": [write_tagged(tmp_path / "b", 40, 1)],
    }
    cache_tokens("ner", model=model, **files, out=tmp_path / "tokens.npy")
    probe_model(
        "ner",
        model=model,
        vectors=tmp_path / "tokens.npy",
        **files,
        out=tmp_path / "ner.json",
        training=ProbeTraining(least_steps=150, seeds=(0,), controls=(), batch_size=8),
        device=Device(device="cpu"),
        threads=1,
    )
    scores = read_json(tmp_path / "ner.json")["scores"]["entity_probe"]["all"]["all"]
    assert scores["vectors"]["f1"]["value"] > 0.95


REFUSED = {
    "cut": ("v.bin", binary()[:-20], "cut short: it claims 11 words and ends in number 11"),
    "cut_text": ("v.txt", text()[: text().rindex(b"tp53")], "claims 11 words and has 10"),
    "cut_gzip": (
        "v.bin.gz",
        gzip.compress(binary())[:-9],
        r"gzip can't be read|cut short: it claims",
    ),
    "more": ("v.bin", binary() + b"tail", "more follows its 11 words"),
    "claims": ("v.bin", b"1000000000 300\n" + binary(), "claims 1000000000 words of 300 dims"),
    "other_dims": ("v.txt", b"gene 1 2\nof 1\n", "line 2: not a word and 2 numbers"),
    "no_vectors": ("v.txt", b"gene\nprotein\n", "line 1: not a word"),
    "nan": ("v.txt", b"1 2\ngene nan 1\n", "vectors of 1 word hold NaN.*'gene'"),
    "fasttext": ("v.bin", b"\xba\x16\x4f\x2f" + bytes(50), r"fastText's own .* Take its \.vec"),
    "none": ("v.npy", b"x", "holds 0 files of word vectors"),
    "dims": ("v.txt", text(), r"w2v\.dims: 8, but the model's vectors have 7"),
}


@pytest.mark.parametrize(("name", "data", "message"), REFUSED.values(), ids=list(REFUSED))
def test_a_faulty_file_is_refused_and_nothing_is_left(tmp_path, name, data, message):
    more = {"dims": 8} if "dims: 8" in message else {}
    with pytest.raises(InputError, match=message):
        converted(tmp_path, name, data, **more)
    assert not (tmp_path / "model").exists()


def test_a_repeated_word_keeps_its_first_vector(tmp_path, capsys):
    data = b"gene 1 2\ngene 3 4\nof 5 6\n"
    vectors, _ = embedded(converted(tmp_path, "v.txt", data), tmp_path, ["gene of"])
    assert np.array_equal(vectors["gene of"], [3, 4])
    assert "1 repeated words" in capsys.readouterr().err


@pytest.mark.parametrize(
    "entry", [{"pooling": "cls"}, {"layers": "average"}, {"max_tokens": 64}, {"prompt": "query: "}]
)
def test_keys_that_word_vectors_do_not_have_are_refused(entry):
    (key,) = entry
    with pytest.raises(InputError, match=rf"w2v\.{key}: does not apply to word vectors"):
        check_keys_of_kind("w2v", Model(kind="words", source="file:v.bin", **entry))
