"""Leakage: names are masked word for word, and a planted leak is found."""

import json
import re
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluate_fixtures import make_space, shards_of, write_triples
from hypothesis import given
from hypothesis.strategies import integers, lists, sampled_from

from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.evaluate.graph import graphs_of_files
from kgtextvec.evaluate.masking import (
    distinct_names,
    draw_spans,
    find_names,
    replace_spans,
    words_of,
)
from kgtextvec.evaluate.scorecard import evaluate_space
from kgtextvec.pairs import read_item_sums
from kgtextvec.report.compare.leakage import leakage_sentences
from kgtextvec.report.compare.scores import ComparedSpace, ScoreValue
from kgtextvec.settings.scores import Scoring
from kgtextvec.space import Space

DIMS = 64


def masked_by_pattern(text, names):
    """One alternation of all names, the longest first, at the borders of words."""
    parts = [r"[\W_]+".join(map(re.escape, name.split())) for name in names if len(name) >= 3]
    parts.sort(key=lambda part: -len(part.split(r"[\W_]+")))
    if not parts:
        return text
    borders = rf"(?<![^\W_])(?:{'|'.join(parts)})(?![^\W_])"
    return re.sub(borders, "something", text, flags=re.IGNORECASE)


@given(
    lists(sampled_from(["lung", "Lung", "cancer,", "of", "(EGFR)", "is_a", "LUNG-cancer"])),
    lists(sampled_from(["lung", "lung cancer", "of lung", "egfr", "is a", "of", "x"]), unique=True),
)
def test_names_are_masked_as_a_pattern_would(words, names):
    text = " ".join(words)
    spans = find_names(words_of(text), distinct_names(names))
    assert replace_spans(text, spans) == masked_by_pattern(text, names)


@given(integers(0, 40), integers(0, 5), integers(0, 99))
def test_other_words_are_as_many_and_never_those_of_names(n_words, n_names, seed):
    taken = [(3 * i, 3 * i + 1 + i % 3) for i in range(n_names) if 3 * i + 1 + i % 3 <= n_words]
    drawn = draw_spans(n_words, taken, np.random.default_rng(seed))
    places = [at for first, end in [*taken, *drawn] for at in range(first, end)]
    assert len(places) == len(set(places)) and all(at < n_words for at in places)
    if n_words >= 3 * sum(end - first for first, end in taken) + 9:
        lengths = [sorted(end - first for first, end in some) for some in (taken, drawn)]
        assert lengths[0] == lengths[1]


def test_synonyms_are_read_whole_from_their_column(tmp_path):
    table, out = tmp_path / "t.tsv", tmp_path / "s.parquet"
    rows = ["id\tname\tlabel\tdescription\tsynonyms", "1\ta\tGene\tx\tHER2|carcinoma, ductal"]
    table.write_text("\n".join([*rows, "2\tb\tGene\ty\t", "3\tc\tGene\tz\t neu |"]) + "\n")
    assert main(["read-synonyms", str(table), "--kind", "entities", "--out", str(out)]) == 0
    found = [tuple(row.values()) for row in pq.read_table(out).to_pylist()]
    her2, ductal, neu = (
        ("1", "Gene", "HER2"),
        ("1", "Gene", "carcinoma, ductal"),
        ("3", "Gene", "neu"),
    )
    assert found == [her2, ductal, neu]
    words = ["--kind", "entities", "--columns", json.dumps({"synonyms": "name"})]
    assert main(["read-synonyms", str(table), *words, "--out", str(out)]) == 0
    assert pq.read_table(out)["synonym"].to_pylist() == ["a", "b", "c"]
    table.write_text("id\tname\tlabel\tdescription\n1\ta\tGene\tx\n")
    assert main(["read-synonyms", str(table), "--kind", "entities", "--out", str(out)]) == 0
    assert pq.read_table(out).num_rows == 0


def bag_of_words(texts):
    """Vectors of texts: each word a random direction by its name."""

    def direction(word):
        seed = int.from_bytes(sha256(word.encode()).digest()[:4])
        return np.random.default_rng(seed).normal(size=DIMS)

    return np.array([sum(map(direction, text.lower().split())) for text in texts], np.float32)


def written(root, leaky, seed=0):
    """240 things of eight clusters; texts name the answer, or have a word of the cluster's own."""
    rng = np.random.default_rng(seed)
    answers = [f"answer{j}x" for j in range(8)]
    rows, triples = [], []
    for i in range(240):
        told = f"binds {answers[i % 8]} strongly" if leaky else f"colour{i % 8} of flowers"
        filler = " ".join(f"w{n}" for n in rng.integers(0, 60, 4))
        rows.append((str(i), f"t{i}", "Thing", f"{filler} {told}"))
        triples.append((f"Thing::{i}", "likes", f"Answer::{240 + i % 8}"))
    rows += [(str(240 + j), name, "Answer", name) for j, name in enumerate(answers)]
    table = root / "table.tsv"
    lines = ["id\tname\tlabel\tdescription", *map("\t".join, rows)]
    table.write_text("\n".join(lines) + "\n")
    graph = write_triples(root / "triples.tsv", triples)
    words = ["--table", "things", "--kind", "entities", "--out-dir", str(root / "texts/things")]
    assert main(["read-texts", str(table), *words]) == 0
    words = ["--triples", str(graph), "--out-dir", str(root / "texts/things-masked")]
    assert main(["mask-texts", str(root / "texts/things"), *words]) == 0
    return table, graph


def texts_in(folder):
    """The text of each row, and the row's id."""
    shard = pq.read_table(folder / "shards")
    by_key = dict(zip(*(shard[name].to_pylist() for name in ("text_sha256", "text")), strict=True))
    rows = pq.read_table(folder / "rows.parquet")
    return [by_key[key] for key in rows["text_sha256"].to_pylist()], rows["id"].to_pylist()


def spaces_of(root):
    """The things' space and that of their masked texts."""
    made = []
    for table in ("things", "things-masked"):
        texts, ids = texts_in(root / "texts" / table)
        labels = ["Answer" if int(one) >= 240 else "Thing" for one in ids]
        folder = make_space(root / "made", bag_of_words(texts), labels, texts, table=table)
        index = pq.read_table(folder / "index.parquet")
        nodes = [f"{label}::{one}" for label, one in zip(labels, ids, strict=True)]
        for name, column in (("id", ids), ("node_id", nodes)):
            place = index.column_names.index(name)
            index = index.set_column(place, name, pa.array(column))
        pq.write_table(index, folder / "index.parquet")
        made.append(folder)
    return made


def scored(root, graph):
    folder, masked = spaces_of(root)
    evaluate_space(
        folder,
        texts=shards_of(folder),
        out=folder / "scores.json",
        triples=[graph],
        masked=masked,
        masked_texts=shards_of(masked),
        scoring=Scoring(scores=("leakage",)),
        threads=1,
    )
    return folder, masked, json.loads((folder / "scores.json").read_text())


def mrr_by_loops(folder, masked, graph):
    """The MRR of things that ask with masked texts, by plain loops over the same split."""
    space, other = Space(folder), Space(masked)
    units = space.vectors / np.linalg.norm(space.vectors, axis=1, keepdims=True)
    asking = dict(zip(other.column("node_id").to_pylist()[:240], other.vectors[:240], strict=True))
    nodes = space.column("node_id").to_pylist()
    found = []
    for turn in graphs_of_files(space, [graph], (), None, 0)[0]:
        edges = np.stack([turn.sources, turn.answers], axis=1)
        known = {source: answer for source, answer in edges[turn.known].tolist() if source < 240}
        for source, answer in edges[turn.asked].tolist():
            vector = asking[nodes[source]] / np.linalg.norm(asking[nodes[source]])
            voters = sorted(known, key=lambda one: -float(units[one] @ vector))[:10]
            votes = dict.fromkeys(range(240, 248), 0.0)
            for place, voter in enumerate(voters):
                votes[known[voter]] += 1 / np.log2(2 + place)
            mine = votes[int(answer)]
            above = sum(one > mine + 1e-9 for one in votes.values())
            tied = sum(abs(one - mine) <= 1e-9 for one in votes.values())
            found.append(np.mean([1 / (above + 1 + i) for i in range(tied)]))
    return float(np.mean(found))


def test_a_planted_leak_is_found(tmp_path):
    _, graph = written(tmp_path, leaky=True)
    texts, ids = texts_in(tmp_path / "texts/things-masked")
    half = len(texts) // 2
    assert ids[:half] == ids[half:] == [str(i) for i in range(240)]
    assert all("binds something strongly" in text for text in texts[:half])
    assert not any("answer" in text for text in texts[:half])
    assert all(re.search(r"answer\dx", text) and "something" in text for text in texts[half:])
    folder, masked, card = scored(tmp_path, graph)
    found = card["scores"]["leakage"]
    own = found["all"]["all"]["vectors"]
    assert own["mrr"]["value"] > 0.9
    assert own["mrr_masked"]["value"] == pytest.approx(
        mrr_by_loops(folder, masked, graph), abs=0.02
    )
    assert own["mrr_masked"]["value"] < found["all"]["all"]["chance"]["mrr"]["value"] + 0.1
    assert own["mrr_drop"]["interval"][0] > 0.3 and own["mrr_read_off"]["interval"][0] > 0.3
    assert found["relation"]["likes"]["vectors"] == own
    assert found["all"]["all"]["tfidf_chars"]["mrr_drop"]["interval"][0] > 0.3
    assert card["counts"]["leakage"]["texts_with_names"] == 240
    assert "largest clear drops of MRR by relation: likes" in card["notes"][0]
    sums = read_item_sums(folder / "scores_by_row.parquet")["leakage"]
    total = sums.sums["vectors.mrr_masked"].sum() / sums.counts.sum()
    assert total == pytest.approx(own["mrr_masked"]["value"], abs=1e-6)
    (said,) = leakage_sentences([compared(found)])
    assert "so it reads these names" in said and f"drops by {own['mrr_drop']['value']:.3f}" in said


def compared(found):
    scores = {
        ("leakage", method, metric): ScoreValue(one["value"], *one["interval"])
        for method, metrics in found["all"]["all"].items()
        for metric, one in metrics.items()
    }
    return ComparedSpace("toy", "things", "full", scores=scores)


def test_texts_that_name_no_answer_lose_nothing(tmp_path):
    _, graph = written(tmp_path, leaky=False)
    _, _, card = scored(tmp_path, graph)
    found = card["scores"]["leakage"]
    own = found["all"]["all"]["vectors"]
    assert own["mrr"]["value"] > 0.9 and own["mrr_drop"]["value"] == 0
    assert list(found["text"]) == ["names none"]
    said = "With the names of neighbours masked in the texts, the MRR of toy full does not change."
    assert leakage_sentences([compared(found)]) == [said]


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        ((0.02, -0.01, 0.04), "does not clearly change: by -0.020 (-0.040 to +0.010)."),
        ((-0.02, -0.04, -0.01), "rises by 0.020 (+0.010 to +0.040): it does not come from these"),
    ],
)
def test_an_interval_is_that_of_the_change_in_the_sentence(drop, said):
    scores = {
        ("leakage", "vectors", name): ScoreValue(*drop) for name in ("mrr_drop", "mrr_read_off")
    }
    (sentence,) = leakage_sentences([ComparedSpace("toy", "things", "full", scores=scores)])
    assert said in sentence


def test_it_is_left_out_where_nothing_is_masked_and_refused_where_files_disagree(tmp_path):
    _, graph = written(tmp_path, leaky=True)
    folder, masked = spaces_of(tmp_path)
    common = {"texts": shards_of(folder), "out": folder / "scores.json", "threads": 1}
    scoring = Scoring(scores=("leakage",))
    evaluate_space(folder, scoring=scoring, triples=[graph], **common)
    (note,) = json.loads((folder / "scores.json").read_text())["notes"]
    assert note == "leakage: left out, texts that are names have no descriptions to mask"
    both = {"masked": folder, "masked_texts": shards_of(masked)}
    with pytest.raises(InputError, match=r"not made of this table's texts"):
        evaluate_space(folder, scoring=scoring, triples=[graph], **both, **common)
