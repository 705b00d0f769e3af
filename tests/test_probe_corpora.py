"""The users' corpora: what is read, and what is refused with file and line, before any model."""

import json
from pathlib import Path

import pytest

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.probe.corpora import read_pairs, read_tagged

CONLL = "-DOCSTART- O\n\nThe\tO\nTP53\tB-Gene\ngene\tI-Gene\n\nIt\tO\nbinds\tO\n"
SENTENCES = (
    "A1 Comparison with alkaline phosphatases and 5-nucleotidase\nA2 p53-like (BRCA1)\nA3 none\n"
)
GENES = "A1|14 33|alkaline phosphatases\nA1|37 50|5-nucleotidase\nA2|9 13|BRCA1\n"
PAIR = {"premise": "IL-2 binds.", "hypothesis": "It binds", "label": "entailment"}


def files(folder: Path, *contents: str | bytes) -> list[Path]:
    found = []
    for number, content in enumerate(contents):
        found.append(folder / f"corpus{number}.txt")
        found[-1].write_bytes(content if isinstance(content, bytes) else content.encode())
    return found


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_conll_files_are_read(tmp_path, end, mark):
    found = read_tagged(files(tmp_path, mark + CONLL.replace("\n", end)))
    assert found.sentences == [("The", "TP53", "gene"), ("It", "binds")]
    assert found.entities == [[(1, 3, "Gene")], []]
    assert found.kinds == ["Gene"]


def test_columns_may_be_parted_by_spaces_and_the_tag_is_the_last(tmp_path):
    found = read_tagged(files(tmp_path, "EU NNP B-NP S-ORG\nrejects VBZ B-VP O"))
    assert found.sentences == [("EU", "rejects")]
    assert found.entities == [[(0, 1, "ORG")]]


def test_tags_without_a_type_are_of_one_type(tmp_path):
    found = read_tagged(files(tmp_path, "a\tB\nb\tI\nc\tO\n"))
    assert found.entities == [[(0, 2, "entity")]]


def test_a_tag_without_an_entity_to_continue_is_an_error_or_is_repaired(tmp_path):
    paths = files(tmp_path, "a\tO\nb\tI-X\nc\tI-X\n")
    with pytest.raises(
        InputError, match=r"corpus0.txt, line 2: I-X has no entity to continue.*repair"
    ):
        read_tagged(paths)
    found = read_tagged(paths, repair=True)
    assert found.entities == [[(1, 3, "X")]]
    assert found.counts == {"tags_repaired": 1}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a\tO\nb\tX-Gene\n", "line 2: the tag 'X-Gene' is not one of"),
        ("a\tO\n\nb\tB-\n", "line 3: the tag 'B-' is not one of"),
        ("a\tO\nb\n", "line 2: 1 columns, 2 are needed"),
        ("a\nb\n", "line 1: 1 columns, 2 are needed"),
        ("a x O\nb O\n", "line 2: 2 columns, 3 are needed"),
        ("a\tO\n\tO\n", "line 2: 2 columns"),
        ("a\tB-X\nb\tE-X\nc\tB-X\nd\tO", "line 3: the entity X is not ended"),
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("-DOCSTART- O\n\n", "holds no sentence"),
        (b"a\tO\nb\xff\tO\n", "line 2: not UTF-8"),
    ],
)
def test_a_faulty_conll_file_is_refused_with_its_line(tmp_path, content, told):
    with pytest.raises(InputError) as error:
        read_tagged(files(tmp_path, content))
    assert told in str(error.value)
    assert "corpus0.txt" in str(error.value)
    assert "\n" not in str(error.value)


def test_bc2gm_counts_characters_without_spaces(tmp_path):
    found = read_tagged(files(tmp_path, SENTENCES, GENES))
    words = ("Comparison", "with", "alkaline", "phosphatases", "and", "5", "-", "nucleotidase")
    assert found.sentences == [words, ("p53", "-", "like", "(", "BRCA1", ")"), ("none",)]
    assert found.entities == [[(2, 4, "GENE"), (5, 8, "GENE")], [(4, 5, "GENE")], []]
    assert found.counts == {"widened": 0, "overlapping": 0}


def test_bc2gm_mentions_take_whole_words_and_the_longest_of_those_that_overlap(tmp_path):
    genes = "A2|0 1|p5\nA2|0 3|p53-\nA2|0 7|p53-like\nA2|0 7|p53-like\n"
    found = read_tagged(files(tmp_path, SENTENCES, genes))
    assert found.entities[1] == [(0, 3, "GENE")]
    assert found.counts == {"widened": 1, "overlapping": 3}


@pytest.mark.parametrize(
    ("sentences", "genes", "told"),
    [
        (SENTENCES, "A9|0 1|p5\n", "corpus1.txt, line 1: no sentence has the id A9"),
        (SENTENCES, "A2|0 2|p53\nA2|1 3|p53\n", "corpus1.txt, line 2: characters 1 to 3"),
        (SENTENCES, "A2|90 99|p53\n", "corpus1.txt, line 1: characters 90 to 99"),
        (SENTENCES, "A2|3 1|p53\n", "corpus1.txt, line 1: characters 3 to 1"),
        (SENTENCES, "A2 0 2 p53\n", "corpus1.txt, line 1: not of the form"),
        (SENTENCES, "A2|0-2|p53\n", "corpus1.txt, line 1: not of the form"),
        ("A1 x\nA1 y\n", GENES, "corpus0.txt, line 2: A1 came before"),
        ("A1 x\nA2\n", GENES, "corpus0.txt, line 2: not an id, a space and a text"),
        (SENTENCES, "", "corpus1.txt: is empty"),
    ],
)
def test_faulty_bc2gm_files_are_refused_with_their_line(tmp_path, sentences, genes, told):
    with pytest.raises(InputError) as error:
        read_tagged(files(tmp_path, sentences, genes))
    assert told in str(error.value)


def test_pairs_are_read_under_our_names_or_those_of_mednli(tmp_path):
    theirs = {"sentence1": "a b", "sentence2": "c", "gold_label": "neutral", "pairID": "1"}
    lines = "\n".join([json.dumps(PAIR), "", json.dumps(theirs), ""])
    found = read_pairs(files(tmp_path, lines))
    assert found.premises == [("IL", "-", "2", "binds", "."), ("a", "b")]
    assert found.hypotheses == [("It", "binds"), ("c",)]
    assert found.labels == [0, 1]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{not json", "not valid JSON"),
        ("[1, 2]", "no text 'premise'"),
        (
            json.dumps(PAIR | {"label": "maybe"}),
            "the label 'maybe' is not one of entailment, neutral",
        ),
        (json.dumps(PAIR | {"label": "-"}), "the label '-' is not one of"),
        (json.dumps({k: v for k, v in PAIR.items() if k != "label"}), "no text 'label'"),
        (json.dumps(PAIR | {"hypothesis": None}), "no text 'hypothesis'"),
        (json.dumps(PAIR | {"premise": " "}), "a text without words"),
    ],
)
def test_a_faulty_pair_is_refused_with_its_line(tmp_path, line, told):
    with pytest.raises(InputError) as error:
        read_pairs(files(tmp_path, json.dumps(PAIR) + "\n" + line + "\n"))
    assert f"corpus0.txt, line 2: {told}" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("probe", "train", "test", "told"),
    [
        ("ner", "a\tO\nb\tZ-X\n", CONLL, "corpus0.txt, line 2: the tag"),
        ("ner", CONLL, "a\tI-X\n", "corpus1.txt, line 1: I-X has no entity to continue"),
        ("ner", "a\tO\n", CONLL, "corpus0.txt: holds no entity"),
        ("ner", CONLL, "a\tO\n", "corpus1.txt: holds no entity"),
        ("ner", CONLL, "", "corpus1.txt: is empty"),
        ("nli", json.dumps(PAIR), "{", "corpus1.txt, line 1: not valid JSON"),
        ("nli", json.dumps(PAIR | {"label": "x"}), "{", "corpus0.txt, line 1: the label 'x'"),
    ],
)
def test_both_verbs_stop_with_one_line_before_a_model_loads(
    tmp_path, capsys, probe, train, test, told
):
    """The model folder doesn't exist: whoever looked at it first would say so."""
    paths = files(tmp_path, train, test)
    words = [probe, "--model", tmp_path / "none", "--train", paths[0], "--test", paths[1]]
    for verb, more in (
        ("cache-tokens", ["--out", tmp_path / "out.npy"]),
        ("probe-model", ["--vectors", tmp_path / "none.npy", "--out", tmp_path / "out.json"]),
    ):
        assert main([verb, *map(str, words + more)]) == 2
        shown = capsys.readouterr().err.splitlines()
        assert [line for line in shown if told in line and line.startswith("ERROR: ")] == shown[-1:]
        assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nli", "--train", "a", "b", "--test", "c"], "probe.nli: b is one file too many"),
        (["ner", "--train", "a", "b", "c", "d", "--test", "d"], "probe.ner: 4 files were given"),
        (["nli", "--train", "a"], "probe.nli: no file to test"),
        (["ner", "--train", "nowhere.tsv", "--test", "a"], "nowhere.tsv: can't be read"),
    ],
)
def test_wrong_numbers_of_files_are_refused(words, told, capsys):
    assert main(["cache-tokens", *words, "--model", "none", "--out", "none.npy"]) == 2
    assert capsys.readouterr().err.startswith(f"ERROR: {told}")
