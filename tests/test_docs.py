"""The docs hold: links lead somewhere, commands and configs are read by what they are for."""

import ast
import re
import runpy
import shlex
import sys
from importlib import import_module
from inspect import signature
from itertools import chain
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser

import kgtextvec
from kgtextvec.__main__ import VERBS
from kgtextvec.cli import arguments_of, passes_on
from kgtextvec.errors import InputError
from kgtextvec.settings.base import read_settings
from kgtextvec.settings.config import Config

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(ROOT / f"{name}/README.md" for name in ("config", "results", "requirements")),
    ROOT / "benchmarks/RESULTS.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SHELL = {"sh", "bash"}
LANGUAGES = SHELL | {"yaml", "python", "toml", "text", "snakemake", "json"}
# Programs that a block may call besides ours: they belong to the shell, or to Python.
OTHERS = {"cd", "cp", "mkdir", "export", "pip", "python", "python3", "git", "head", "."}
OTHERS |= {"docker", "podman", "buildah", "apptainer", "xxhsum"}
# What a config needs and a block may leave out.
REST = {"tables": {"entities": {"file": "entities.tsv", "kind": "entities"}}, "models": ["bioelmo"]}


def blocks(languages: set[str]) -> list:
    """Each fenced block in these languages, known by its page and line."""
    return [
        pytest.param(match[2], id=f"{path.relative_to(ROOT)}:{line_of(text, match)}")
        for path in PAGES
        for text in [path.read_text("utf-8")]
        for match in BLOCK.finditer(text)
        if match[1] in languages
    ]


def line_of(text: str, match: re.Match) -> int:
    return text.count("\n", 0, match.start()) + 1


def anchors(path: Path) -> set[str]:
    """The anchors that a page's headings have, as GitHub and the site make them."""
    text = BLOCK.sub("", path.read_text("utf-8"))
    found = []
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading)
        found.append(re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-"))
    return set(found)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(path):
    dead = []
    text = re.sub(r"`[^`\n]*`", "", BLOCK.sub("", path.read_text("utf-8")))
    for target in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert not dead


def test_a_dead_link_would_be_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One heading: `x`\n\n```\n# no heading\n```\n")
    assert anchors(page) == {"one-heading-x"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_says_its_language(path):
    assert {match[1] for match in BLOCK.finditer(path.read_text("utf-8"))} <= LANGUAGES


def commands(block: str) -> list[list[str]]:
    """The commands of a block as words, without comments; && joins two."""
    lines = block.replace("\\\n", " ").splitlines()
    split = [shlex.split(line, comments=True) for line in lines]
    found: list[list[str]] = []
    for words in filter(None, split):
        found.append([])
        for word in words:
            if word == "&&":
                found.append([])
            else:
                found[-1].append(word)
    return found


def read_command(words: list[str]) -> None:
    """Read a command by the parser of its program. Raises InputError; argparse exits."""
    program = words[0].rpartition("/")[2]
    if program.startswith("--"):  # more options of kgtextvec run
        program, words = "snakemake", ["snakemake", *words]
    if program == "kgtextvec" and not words[1].startswith("-"):
        assert words[1] in VERBS, words
        module = import_module(f"kgtextvec.{VERBS[words[1]][0]}")
        function = getattr(module, words[1].replace("-", "_"))
        if not passes_on(function):
            arguments_of(function, words[1], words[2:])
            return
        program, words = "snakemake", words[1:]
        if "--config" in words:
            words[words.index("--config")] = "--configfile"
    if program == "snakemake":
        get_argument_parser().parse_args(words[1:])
    elif program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets)
    elif program != "kgtextvec":
        assert program in OTHERS, words


@pytest.mark.parametrize("block", blocks(SHELL))
def test_commands_are_read_by_their_programs(block):
    assert commands(block)
    for words in commands(block):
        read_command(words)


def test_a_wrong_command_would_be_found():
    for words in ("kgtextvec lint t.tsv --kind gene", "kgtextvec embed", "snakemake --corse 4"):
        with pytest.raises((SystemExit, AssertionError, InputError)):
            read_command(words.split())


def test_every_verb_has_an_example():
    used = {
        words[1]
        for param in blocks(SHELL)
        for words in commands(param.values[0])
        if words[0] == "kgtextvec"
    }
    assert set(VERBS) - used == set()


def configs(block: str) -> list[dict]:
    """The configs of a block: lines of one top-level key each are alternatives if keys repeat."""
    keys = re.findall(r"^(\w+):", block, re.MULTILINE)
    parts = (
        re.split(r"^(?=\w)", block, flags=re.MULTILINE) if len(set(keys)) < len(keys) else [block]
    )
    return [yaml.safe_load(part) for part in parts if part.strip()]


@pytest.mark.parametrize("block", blocks({"yaml"}))
def test_configs_are_read_as_configs(block):
    for given in configs(block):
        read_settings(Config, REST | given, "config, ")


@pytest.mark.parametrize("block", blocks({"python"}))
def test_python_calls_what_there_is(block):
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("kgtextvec"):
            module = import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("kgtextvec."):
            function = getattr(kgtextvec, ast.unparse(node.func).removeprefix("kgtextvec."))
            named = {word.arg: None for word in node.keywords if word.arg}
            signature(function).bind(*node.args, **named)


def test_the_sites_pages_are_put_together(tmp_path, monkeypatch):
    """docs/site/assemble.py, whose links mkdocs checks again: `make docs`."""
    monkeypatch.setattr(sys, "argv", ["assemble.py", str(tmp_path / "pages")])
    runpy.run_path(str(ROOT / "docs/site/assemble.py"), run_name="__main__")
    commands_page = (tmp_path / "pages/reference/commands.md").read_text("utf-8")
    assert re.findall(r"^## (.*)$", commands_page, re.MULTILINE) == list(VERBS)
    nav = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), yaml.BaseLoader)["nav"]  # noqa: S506
    pages = {str(path.relative_to(tmp_path / "pages")) for path in tmp_path.rglob("*.md")}
    assert set(leaves(nav)) <= pages


def leaves(nav: object) -> list[str]:
    """The pages of a navigation."""
    if isinstance(nav, str):
        return [nav]
    values = nav.values() if isinstance(nav, dict) else nav
    return list(chain.from_iterable(map(leaves, values)))
