"""Settings: read from a config or from flags, written as flags, refused by name."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta

from kgtextvec.__main__ import main
from kgtextvec.cli import call
from kgtextvec.errors import InputError
from kgtextvec.settings.base import (
    Settings,
    changed,
    flags,
    pick,
    read_settings,
    settings_of,
    value_of_word,
)
from kgtextvec.settings.config import Config
from kgtextvec.settings.models import Device, Embed, EncoderOptions
from kgtextvec.settings.scores import Scoring
from kgtextvec.settings.spaces import Alignment
from kgtextvec.settings.tables import Reading
from kgtextvec.settings.training import FineTuning, ProbeTraining

TABLES = {"tables": {"genes": {"file": "genes.tsv", "kind": "entities"}}}


def config(**more: object) -> Config:
    return read_settings(Config, TABLES | more, "config, ")


def test_what_is_not_given_is_at_its_default():
    found = config()
    assert found.embed == Embed()
    assert found.tables["genes"].shards == 1
    assert changed(found, acts="vectors") == {}


@pytest.mark.parametrize(
    "given,message",
    [
        ({"modles": ["x"]}, r"^config, modles: there is no such key\. Did you mean models\?$"),
        ({"embed": {"presicion": 1}}, r"^config, embed\.presicion: .* Did you mean precision\?$"),
        ({"embed": {"precision": "fp16"}}, r"^config, embed\.precision: 'fp16' .* float16"),
        ({"embed": {"batch_tokens": 2}}, r"^config, embed\.batch_tokens: 2 .* >= 8"),
        ({"embed": []}, r"^config, embed: \[\] must be a mapping\. Write embed: {key: value}, wit"),
        (
            {"graph": "e.tsv"},
            r"^config, graph: 'e\.tsv' must be a map.*Write graph: {file: e\.tsv}",
        ),
        (
            {"tables": "e.tsv"},
            r"^config, tables: 'e\.tsv' must be .* tables: {a name of yours: …}\.",
        ),
        ({"spaces": "full"}, r"^config, spaces: 'full' must be a list\. Write spaces: \[full\]\.$"),
        ({"report": {"named": "x"}}, r"^config, report\.named: 'x' .* Write named: \[x\]\.$"),
        ({"spaces": ["full", "pca0"]}, r"^config, spaces: 'pca0' is unknown\. .* pcaN"),
        ({"models": ["a", "a"]}, r"^config, models: .* twice"),
        ({"finetune": {"new": {"from": "bioelmo"}}}, r"^config, finetune\.new\.text: missing"),
        ({"catalogue": {"x": {"source": "path:x", "pooling": "pooler"}}}, r"pooling: 'pooler' is"),
        ({"probe": {"ner": {"train": {"genes": "g"}, "test": "t"}}}, r"ner\.train\.sentences: mis"),
        (
            {"tables": {"a b": {"file": "x", "kind": "entities"}}},
            r"^config, tables: 'a b' can't be a name\. Use letters, digits and _ -, and",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_key(given, message):
    with pytest.raises(InputError, match=message):
        config(**given)


def test_a_table_or_section_that_is_null_is_left_out():
    found = config(tables=TABLES["tables"] | {"other": None}, align=None)
    assert list(found.tables) == ["genes"]
    assert found.align is None


@pytest.mark.parametrize(
    "settings",
    [
        Embed(long_text="window", precision="bfloat16"),
        Reading(kind="entities", text=("name", "description"), allow_empty=True),
        Reading(kind="relation_types", text="{name}: 'quoted', {description}"),
        Alignment(form="dglke", scale=(-0.5, 0.5), missing="random", seed=3),
        Alignment(form="pykeen", scale="unit"),
        FineTuning(held_out="a file.txt", tokens="whitespace", dropout=0.25),
        FineTuning(held_out=0.1, epochs=2.5),
        ProbeTraining(seeds=(3, 1), controls=()),
        ProbeTraining(seeds=5),
        ProbeTraining(seeds=(5,)),
        Scoring(scores=("labels",), neighbours=3),
        EncoderOptions(layers=2, pooling="cls"),
    ],
)
def test_flags_give_the_same_settings_back(settings):
    import shlex

    kind = type(settings)
    got = []

    def verb(*, given: kind) -> None:
        got.append(given)

    verb.__annotations__["given"] = kind
    call(verb, "verb", shlex.split(flags(settings, acts="vectors")))
    text = getattr(settings, "text", None)
    if isinstance(text, tuple):  # on the command line columns are one word, with commas
        assert got[0].text == ",".join(text)
    else:
        assert got == [settings]


def test_settings_at_their_defaults_leave_no_flags():
    assert flags(Embed(), EncoderOptions(), acts="vectors") == ""
    assert flags(Embed(device="cpu"), acts="vectors") == ""
    assert flags(Embed(device="cpu", part_seconds=5), acts="run") == "--device cpu --part-seconds 5"


def test_settings_for_another_kind_of_model_are_left_out():
    given = Embed(long_text="window"), EncoderOptions(tokens="whitespace", pooling="max")
    assert changed(*given, acts="vectors", kind="elmo") == {
        "tokens": "whitespace",
        "pooling": "max",
    }
    assert changed(*given, acts="vectors", kind="transformer") == {
        "long_text": "window",
        "pooling": "max",
    }


def test_a_part_is_picked_from_the_whole():
    assert pick(Device, Embed(device="mps", precision="float16")) == Device(device="mps")


class Sweets(Settings):
    """What a test's verb takes."""

    flavour: Literal["mint", "lemon"] = "mint"
    """How they taste."""
    number: Annotated[int, Meta(ge=1)] = 10
    """How many."""
    sour: bool = False
    """Whether they are sour."""


def test_a_verbs_help_and_choices_follow_from_its_signature(capsys):
    def buy(shop: Annotated[str, "where"], *, sweets: Sweets = Sweets()) -> None:
        """Buy sweets."""

    with pytest.raises(SystemExit):
        call(buy, "buy", ["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "usage: kgtextvec buy",
        "Buy sweets.",
        "--flavour {mint,lemon} How they taste. (default: mint)",
        "--sour, --no-sour",
        "shop where",
    ):
        assert words in shown


def test_a_flag_out_of_its_limits_is_refused_by_name():
    def buy(*, sweets: Sweets = Sweets()) -> None:
        """Buy sweets."""

    with pytest.raises(InputError, match=r"^--number: '0' .* >= 1.*How many"):
        call(buy, "buy", ["--number", "0"])
    with pytest.raises(InputError, match=r"^--flavour: 'salt' .* mint, lemon"):
        call(buy, "buy", ["--flavour", "salt"])


@pytest.mark.parametrize(
    ("key", "word", "value"),
    [
        ("columns", "{label: type, name: label}", {"label": "type", "name": "label"}),
        ("columns", '{"label": "type", "name": ["a", "b"]}', {"label": "type", "name": ["a", "b"]}),
        ("columns", "{description: [a, b c]}", {"description": ["a", "b c"]}),
        ("columns", "label=type,description=a|b", {"label": "type", "description": ["a", "b"]}),
        ("text", "[name, id]", ["name", "id"]),
        ("text", "{name} ({id})", "{name} ({id})"),
    ],
)
def test_lists_and_mappings_are_written_on_the_command_line_as_in_a_config(key, word, value):
    assert value_of_word(settings_of(Reading)[key], word) == value


def test_a_mapping_that_cant_be_read_is_refused_in_one_line(capsys, tmp_path):
    words = ["lint", str(tmp_path / "t.tsv"), "--kind", "entities", "--columns"]
    for word in ("{name: [a", "{" + "[" * 5000, "name"):
        assert main([*words, word]) == 2
        assert capsys.readouterr().err.startswith("ERROR: --columns: not readable (")


@pytest.mark.parametrize(
    ("verb", "advice"),
    [("export-tabel", "Did you mean export-table?"), ("x", "kgtextvec --help lists the verbs.")],
)
def test_an_unknown_verb_is_one_line(capsys, verb, advice):
    assert main([verb, "--out", "x"]) == 2
    assert capsys.readouterr().err == f"ERROR: kgtextvec {verb}: there is no such verb. {advice}\n"
