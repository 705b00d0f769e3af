"""Texts to words."""

import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis.strategies import lists, sampled_from, text

from kgtextvec.encoders.elmo.splitting import WHITE_SPACE, split_all
from kgtextvec.encoders.elmo.words import TOKENS, audit_vocabulary, read_word_list, split_words
from kgtextvec.errors import InputError

TREEBANK = {
    # The examples of the Treebank's own description of its tokenization, and of its sed script.
    "They'll save and invest more.": "They 'll save and invest more .",
    "hi, my name can't hello,": "hi , my name ca n't hello ,",
    '"I beg to differ," he said.': "`` I beg to differ , '' he said .",
    "Good muffins cost $3.88 in New (York).": "Good muffins cost $ 3.88 in New ( York ) .",
    "the children's parents' house": "the children 's parents ' house",
    "I cannot -- gonna go": "I can not -- gon na go",
    "wait... what?": "wait ... what ?",
    # Words of the trade.
    "1,25(OH)2D3 at 1,000 ng/ml": "1,25 ( OH ) 2D3 at 1,000 ng/ml",
    "binds E. coli (e.g. K-12). The end": "binds E. coli ( e.g. K-12 ) . The end",
    "as in Fig. 1 of Smith et al. 2010.": "as in Fig. 1 of Smith et al. 2010 .",
    "U.S. Food. And": "U.S. Food . And",
    "Alzheimer’s “disease”": "Alzheimer ’s “ disease ”",
}


@pytest.mark.parametrize(("told", "words"), TREEBANK.items())
def test_treebank_rules_split_as_the_treebank_does(told, words):
    assert split_words(told, "treebank") == words.split()


@pytest.mark.parametrize(
    ("told", "words"),
    {
        "IL-2-mediated TNF-alpha": "IL - 2 - mediated TNF - alpha",
        "5'-UTR of X-linked, non-coding RNA.": "5' - UTR of X - linked , non - coding RNA .",
        "a -- b --- -2": "a -- b --- - 2",
    }.items(),
)
def test_treebank_hyphen_makes_each_hyphen_a_word(told, words):
    assert split_words(told) == words.split()


def test_whitespace_takes_a_text_as_it_is():
    assert split_words(" a-b,  (c).\u00a0d\n", "whitespace") == ["a-b,", "(c).", "d"]


@given(text(), sampled_from(TOKENS))
def test_nothing_is_lost_but_white_space_and_quotes(told, tokens):
    words = split_words(told, tokens)
    assert all(words)
    for sign in ('"', "`", "'"):
        told = told.replace(sign, "")
        words = [word.replace(sign, "") for word in words]
    assert "".join(words) == "".join(told.split())


odd_texts = text(
    sampled_from("aB1. ,-'’\"([)]\u00a0\u1680\u2003\u2028\u205f\u3000\u00ffα\ud800\x00\x1f🧬")
)


@given(lists(text() | odd_texts, max_size=6), sampled_from(TOKENS))
def test_many_texts_have_the_words_that_each_has_alone(texts, tokens):
    each = [split_words(told, tokens) for told in texts]
    found = split_all(texts, tokens)
    assert found.n_words.tolist() == [len(words) for words in each]
    assert [found.distinct[number] for number in found.numbers] == [w for own in each for w in own]
    assert found.distinct == list(dict.fromkeys(word for own in each for word in own))


def test_what_python_takes_for_white_space_separates_words():
    every = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    assert every == WHITE_SPACE
    assert split_all(["a" + "b".join(every) + "c"], "whitespace").n_words.tolist() == [
        len(every) + 1
    ]


def test_a_period_belongs_to_its_sentence_in_each_text():
    """The same piece has other words at the end of a text and before a capital."""
    texts = ["of the gene.", "gene. The gene. the", "", "the gene. "]
    words = ["of the gene .", "gene . The gene. the", "", "the gene ."]
    found = split_all(texts, "treebank")
    assert [found.distinct[number] for number in found.numbers] == " ".join(words).split()
    assert found.n_words.tolist() == [4, 5, 0, 3]


def test_a_text_without_spaces_takes_no_longer_than_it_is_long():
    assert len(split_words("a-" * 50_000)) == 100_000
    assert len(split_words("." * 100_000 + "x")) > 0


def test_an_unknown_rule_is_named():
    with pytest.raises(InputError, match=r"'nltk' is not one of treebank_hyphen"):
        split_words("a", "nltk")


def test_the_audit_counts_words_and_names_what_is_missing(tmp_path):
    path = tmp_path / "vocabulary.txt"
    path.write_text("<S>\nthe\nα\n", "utf-8")
    counts = Counter({"the": 2, "α": 1, "gene": 3, "x": 1})
    audit = audit_vocabulary(counts, read_word_list(path))
    assert (audit.words, audit.known, audit.distinct, audit.distinct_known) == (7, 3, 4, 2)
    assert audit.unknown == [("gene", 3), ("x", 1)]
    assert audit.summary_line().startswith("42.86 % of 7 words")


def test_a_vocabulary_that_is_none_is_named(tmp_path):
    path = tmp_path / "vocabulary.txt"
    with pytest.raises(InputError, match=r"vocabulary\.txt: no such"):
        read_word_list(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"not UTF-8"):
        read_word_list(path)
