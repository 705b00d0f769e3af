"""Text as the language model reads it: rows, windows, passes, what is held out."""

import json

import numpy as np
import pytest
from finetune_models import SENTENCES, tiny_checkpoint

from kgtextvec.finetune.corpus import (
    Stream,
    hold_out,
    read_corpus,
    read_sentences,
    read_softmax_words,
)
from kgtextvec.finetune.source import open_source


@pytest.fixture
def source(tmp_path):
    return open_source(tiny_checkpoint(tmp_path / "model"))


def corpus_of(source, sentences, tokens="whitespace"):
    vocabulary = read_softmax_words(source.vocabulary, source.rows)
    return read_corpus(sentences, tokens, vocabulary, source.config.max_characters)


def test_a_row_takes_the_next_sentence_when_its_own_ends(source):
    corpus = corpus_of(source, ["the gene", "a", "of", "in the cell"])
    names = ["<S>", "</S>", "the", "gene", "a", "of", "in", "cell"]
    stream = Stream(corpus, 2, backward=True)
    words, following = stream.window(5)
    assert [[names[int(w)] for w in row] for row in words] == [
        ["</S>", "gene", "the", "</S>", "a"],
        ["</S>", "of", "</S>", "cell", "the"],
    ]
    assert [[names[int(w)] for w in row] for row in following] == [
        ["gene", "the", "<S>", "a", "<S>"],
        ["of", "<S>", "cell", "the", "in"],
    ]


@pytest.mark.parametrize("backward", [False, True])
def test_a_stream_goes_on_where_its_position_was_taken(source, backward):
    corpus = corpus_of(source, SENTENCES)
    stream = Stream(corpus, 3, backward, seed=5)
    for _ in range(7):
        stream.window(4)
    position = json.loads(json.dumps(stream.position()))
    again = Stream(corpus, 3, backward, seed=5)
    again.go_to(position)
    for _ in range(30):
        for ours, theirs in zip(again.window(4), stream.window(4), strict=True):
            assert np.array_equal(ours, theirs)
    assert stream.turn > 1


def test_every_pass_has_every_sentence_in_an_order_of_its_own(source):
    corpus = corpus_of(source, SENTENCES)
    streams = [Stream(corpus, 1, backward, seed=1) for backward in (False, True)]
    orders = [tuple(stream.draw()) for stream in streams]
    streams[0].turn = 1
    orders.append(tuple(streams[0].draw()))
    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len(set(orders)) == 3


def test_held_out_sentences_are_not_learned_from(source):
    corpus = corpus_of(source, [f"the {'gene ' * i}" for i in range(1, 41)])
    kept, held = hold_out(corpus, 0.2, seed=3)
    assert len(held.spans) == 8 and len(kept.spans) == 32
    assert sorted(map(tuple, [*kept.spans, *held.spans])) == list(map(tuple, corpus.spans))
    assert np.array_equal(hold_out(corpus, 0.2, seed=3)[1].spans, held.spans)
    assert not np.array_equal(hold_out(corpus, 0.2, seed=4)[1].spans, held.spans)


def test_words_outside_the_vocabulary_keep_their_characters(source):
    corpus = corpus_of(source, ["the α-synuclein gene", "of zzz"])
    vocabulary = read_softmax_words(source.vocabulary, source.rows)
    unknown = vocabulary.ids["<UNK>"]
    assert corpus.ids.tolist() == [0, 1, 3, unknown, 5, 4, unknown]
    assert not np.array_equal(corpus.chars[3], corpus.chars[6])
    assert corpus.unknown(vocabulary) == pytest.approx(2 / 5)
    assert corpus.predictions == 7
    split = corpus_of(source, ["the α-synuclein gene"], "treebank_hyphen")
    assert len(split.words) == 5 and split.ids[4] == vocabulary.ids["-"]


def test_lines_are_those_of_python_and_an_empty_one_is_an_empty_sentence(source, tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes("the gene\r\n\nof α\n".encode())
    corpus = corpus_of(source, read_sentences(path))
    assert [end - start for start, end in corpus.spans] == [2, 0, 2]
    assert corpus.sentence(1, backward=False).tolist() == [0, 1]
    assert corpus.sentence(1, backward=True).tolist() == [1, 0]


def test_a_vocabulary_is_read_as_bilm_tf_reads_it(tmp_path):
    """Lines stripped, one mark passed over, of a word that comes twice the last place."""
    path = tmp_path / "v.txt"
    path.write_text("<S>\n</S>\n<UNK>\n!!!MAXTERMID\n the \nof\nthe\n")
    found = read_softmax_words(path, 6)
    assert found.ids == {"<S>": 0, "</S>": 1, "<UNK>": 2, "the": 5, "of": 4}
    assert found.number("no such word") == 2
