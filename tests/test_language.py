"""Plain technical English: phrases that no engineer would write are found wherever users read."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What was found in texts of this project and replaced; the plain words are at the right.
PHRASES = {
    r"\b(is|are|be|was|were) told\b": "is reported, is said, gets",
    r"\btold (in|from|by|at|apart|as|with)\b": "described in, predicted from, recognised by",
    r"\bforetell|\bforetold\b": "predict",
    r"\bmend(s|ed|ing)?\b": "fix, correct",
    r"\bby lot\b": "at random",
    r"\blevel candidates\b": "tied candidates",
    r"\bin 100 are at most\b": "5th percentile",
    r"^#+ In words\b|<h\d[^>]*>In words": "Summary",
    r"what the models made": "tokenization by model",
    r"choose what is in view": "select visible",
    r"\bgoes on with nothing\b": "has nothing to continue",
    r"\bnothing odd was found\b": "no problem was found",
    r"\bafresh\b": "again, from the start",
    r"\ball whole\b|\bis whole\b|\bare whole\b": "is complete, is intact",
    r"\bhow much \w+ it takes, about\b": "an estimate of",
    r"\bAdam's\.": "learning rate of Adam",
}
# Fillers that a page can do without; names and comments in code may have them.
FILLERS = {
    r"\bbeside\b": "next to, in addition to, compared with",
    r"\b(stand|stands|stood) (in|side|apart|together|alone)\b": "is in, is separate, concatenated",
    r"\btold\b|\btells\b": "says, reports, distinguishes",
}
READ = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *(ROOT / f"{folder}/README.md" for folder in ("config", "results", "requirements")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "src").rglob("*.html")),
    *sorted((ROOT / "workflow").rglob("*.rst")),
    *sorted((ROOT / "workflow").rglob("*.ipynb")),
    *sorted((ROOT / "config").glob("*.yaml")),
    *sorted((ROOT / "src/kgtextvec").rglob("*.py")),
    *sorted((ROOT / "workflow/lib").rglob("*.py")),
]


def prose(path: Path) -> str:
    """What people read of a file: of code, its strings and docstrings."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        nodes = ast.walk(ast.parse(text))
        strings = (node.value for node in nodes if isinstance(node, ast.Constant))
        return "\n".join(string for string in strings if isinstance(string, str))
    if path.suffix == ".ipynb":
        return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return text


PAGES = [path for path in READ if path.suffix in {".md", ".html", ".rst", ".ipynb"}]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_do_without_fillers(path):
    text = re.sub(r"{#.*?#}", "", prose(path), flags=re.DOTALL)
    found = [match[0] for filler in FILLERS for match in re.finditer(filler, text, re.IGNORECASE)]
    assert not found, FILLERS


@pytest.mark.parametrize("path", READ, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_phrase_that_a_reader_stumbles_over(path):
    text = re.sub(r"\s+", " ", prose(path)) + "\n" + prose(path)
    found = {
        f"{match[0]!r}: write {better}"
        for phrase, better in PHRASES.items()
        for match in re.finditer(phrase, text, re.IGNORECASE | re.MULTILINE)
    }
    assert not found
