"""The demo's own small graph: whole, in BioMedGPS's form, and nothing in it twice by accident."""

import csv
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[1] / "resources" / "sample"
TABLES = ["entities.tsv", "relation_types.tsv", "triples.tsv"]
ID = re.compile(r"^[A-Za-z0-9\-]+:[a-z0-9A-Z\.\-_]+$")  # the rule BioMedGPS's server checks
# The only texts that two entities share: complaints that are also diseases, without description.
SHARED = {"Anemia", "Hypoglycemia", "Insomnia"}


def read(name):
    with (SAMPLE / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", strict=True))


ENTITIES, RELATION_TYPES, TRIPLES = (read(name) for name in TABLES)
NODES = {f"{row['label']}::{row['id']}": row for row in ENTITIES}
DESCRIBED = [row for row in ENTITIES if row["description"]]


def words(text):
    return re.findall(r"\w+", text.lower())


def without_own_name(row):
    text = row["description"].lower()
    for name in [row["name"], *filter(None, row["synonyms"].split("|"))]:
        text = re.sub(rf"\b{re.escape(name.lower())}\b", "itsname", text)
    return words(text)


@pytest.mark.parametrize("name", TABLES)
def test_files_are_plain_utf8_lines(name):
    data = (SAMPLE / name).read_bytes()
    text = data.decode("utf-8")
    assert not data.startswith(b"\xef\xbb\xbf")
    assert "\r" not in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    widths = {len(row) for row in csv.reader(text.splitlines(True), delimiter="\t", strict=True)}
    assert len(widths) == 1


@pytest.mark.parametrize("name", TABLES)
def test_a_field_is_quoted_only_where_needed(name):
    for line in (SAMPLE / name).read_text(encoding="utf-8").splitlines():
        for field in line.split("\t"):
            assert ('"' in field[1:-1]) == field.startswith('"')


@pytest.mark.parametrize("name", TABLES)
def test_no_field_has_stray_blanks_or_control_characters(name):
    for row in read(name):
        for value in row.values():
            assert value == " ".join(value.split())
            assert value.isprintable()


def test_columns_are_those_of_biomedgps():
    heads = [(SAMPLE / name).read_text(encoding="utf-8").split("\n")[0] for name in TABLES]
    assert [head.replace("\t", " ") for head in heads] == [
        "id name label resource description synonyms pmids taxid xrefs",
        "relation_type raw_description formatted_relation_type description prompt_template"
        " resource abbr source_type target_type annotation",
        "head relation tail",
    ]


def test_readme_tells_the_counts():
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    labels = {row["label"] for row in ENTITIES}
    assert f"{len(ENTITIES):,} entities under {len(labels)} labels" in readme
    assert f"{len(RELATION_TYPES)} relation types" in readme
    assert f"{len(TRIPLES):,} facts" in readme


def test_the_graph_is_as_large_as_promised():
    assert len(ENTITIES) >= 300
    assert len({row["label"] for row in ENTITIES}) >= 10
    assert min(Counter(row["label"] for row in ENTITIES).values()) >= 10
    assert len(RELATION_TYPES) >= 30
    assert len({row["resource"] for row in RELATION_TYPES}) >= 2
    assert len(TRIPLES) >= 1000


def test_ids_names_and_labels_keep_the_rules():
    assert len(NODES) == len(ENTITIES)
    for row in ENTITIES:
        assert ID.match(row["id"])
        assert len(row["id"]) <= 64
        assert re.fullmatch(r"[A-Za-z]+", row["label"])
        assert 1 <= len(row["name"]) <= 255
        assert row["resource"]


def test_names_and_synonyms_are_unique_within_a_label():
    named = Counter((row["label"], row["name"].lower()) for row in ENTITIES)
    assert max(named.values()) == 1
    for row in ENTITIES:
        synonyms = row["synonyms"].split("|") if row["synonyms"] else []
        assert all(synonyms), row["name"]
        assert len({row["name"], *synonyms}) == len(synonyms) + 1


def test_a_description_is_one_or_two_sentences():
    for row in DESCRIBED:
        assert 12 <= len(row["description"].split()) <= 60, row["name"]
        assert row["description"].endswith("."), row["name"]


def test_some_entities_have_a_name_only():
    bare = [row for row in ENTITIES if not row["description"]]
    assert 10 <= len(bare) <= 15


def test_only_the_intended_entities_share_a_text():
    by_text = defaultdict(list)
    for row in ENTITIES:
        by_text[row["description"] or row["name"]].append(row["label"])
    shared = {text: sorted(labels) for text, labels in by_text.items() if len(labels) > 1}
    assert shared == {name: ["Disease", "Symptom"] for name in SHARED}


def test_no_description_is_a_template_with_another_name():
    opening = Counter(tuple(without_own_name(row)[:4]) for row in DESCRIBED)
    assert [start for start, times in opening.items() if times > 1] == []
    seen = {}
    for row in DESCRIBED:
        text = without_own_name(row)
        for start in range(len(text) - 5):
            run = tuple(text[start : start + 6])
            assert seen.setdefault(run, row["name"]) == row["name"], run


def test_relation_types_say_what_they_link():
    labels = {row["label"] for row in ENTITIES}
    names = [row["relation_type"] for row in RELATION_TYPES]
    assert len(set(names)) == len(names)
    assert len({row["description"] for row in RELATION_TYPES}) == len(names)
    for row in RELATION_TYPES:
        resource, kind, pair = row["relation_type"].split("::")
        assert resource == row["resource"]
        assert re.fullmatch(r"[A-Z_]+", kind)
        assert pair == f"{row['source_type']}:{row['target_type']}"
        assert {row["source_type"], row["target_type"]} <= labels
        assert len(row["relation_type"]) <= 64
        assert len(row["formatted_relation_type"]) <= 64
        assert len(words(row["description"])) >= 8
        assert row["description"].endswith(".")
        for end in (row["source_type"], row["target_type"]):
            assert f"#{end}#" in row["prompt_template"]


def test_abbreviations_are_unique_within_a_resource():
    abbr = Counter((row["resource"], row["abbr"]) for row in RELATION_TYPES)
    assert max(abbr.values()) == 1


def test_triples_fit_nodes_and_relation_types():
    types = {row["relation_type"]: row for row in RELATION_TYPES}
    for row in TRIPLES:
        relation = types[row["relation"]]
        assert NODES[row["head"]]["label"] == relation["source_type"]
        assert NODES[row["tail"]]["label"] == relation["target_type"]
        assert row["head"] != row["tail"]
    assert {row["relation"] for row in TRIPLES} == set(types)


def test_no_triple_is_there_twice():
    assert len({tuple(row.values()) for row in TRIPLES}) == len(TRIPLES)


@pytest.mark.parametrize("kind", ["SUBTYPE_OF", "PART_OF"])
def test_parts_and_subtypes_have_no_cycle(kind):
    parents = defaultdict(set)
    for row in TRIPLES:
        if f"::{kind}::" in row["relation"]:
            parents[row["head"]].add(row["tail"])
    for start in list(parents):
        above, seen = set(parents[start]), set()
        while above:
            seen |= above
            above = {up for node in above for up in parents.get(node, ())} - seen
        assert start not in seen


@pytest.mark.parametrize("kind", ["RESEMBLES", "INTERACTS_WITH"])
def test_symmetric_relations_are_told_once(kind):
    ends = [
        frozenset((row["head"], row["tail"])) for row in TRIPLES if f"::{kind}::" in row["relation"]
    ]
    assert ends
    assert len(set(ends)) == len(ends)


def test_a_gene_is_either_mutated_or_associated_in_a_disease():
    mutated, associated = (
        {(row["head"], row["tail"]) for row in TRIPLES if f"::{kind}::" in row["relation"]}
        for kind in ("MUTATED_IN", "ASSOCIATED_WITH")
    )
    assert mutated
    assert not mutated & associated


def test_no_drug_is_both_given_for_and_forbidden_in_a_disease():
    given, forbidden = (
        {(row["head"], row["tail"]) for row in TRIPLES if f"::{kind}::" in row["relation"]}
        for kind in ("TREATS", "CONTRAINDICATED_IN")
    )
    assert forbidden
    assert not given & forbidden


def test_most_entities_occur_and_a_few_are_hubs():
    degree = Counter(node for row in TRIPLES for node in (row["head"], row["tail"]))
    assert len(degree) >= 0.9 * len(ENTITIES)
    ordered = sorted(degree.values())
    assert ordered[-1] >= 5 * ordered[len(ordered) // 2]
    assert ordered[len(ordered) // 10] < ordered[len(ordered) // 2]
