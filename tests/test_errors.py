"""Every error that a user can correct says where it is, what is wrong and what to do."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow/lib").glob("*.py")]
# Values that end in advice of their own, and messages that are the end of another's.
ADVICE = r"advice|ADVICE|OTHER_MODEL|RIGHT_FILE|CUT|error|message|what|hint|why|fault|unfit|choices"
RAISED = {"InputError", "MissingRowError"}
FRAGMENTS = {"signals.py", "server_address.py"}
CHOICES = r"one of|none of|is not hub:|: not downloaded yet|absent_column"


def text_of(node: ast.expr) -> str:
    """The text of a string, with its values in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text_of, node.values))
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return f"{{{ast.unparse(node.value if isinstance(node, ast.FormattedValue) else node)}}}"


def messages() -> dict[str, str]:
    """Every message of an error for users in the source, by its place."""
    found = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if name in RAISED and node.args and path.name not in FRAGMENTS:
                found[f"{path.name}:{node.lineno}"] = text_of(node.args[0])
    return found


def without_values(message: str) -> str:
    for _ in range(2):  # a value may hold braces
        message = re.sub(r"\{[^{}]*\}", "X", message)
    return message


@pytest.mark.parametrize(("place", "message"), messages().items(), ids=lambda value: value[:40])
def test_an_error_says_what_to_do(place, message):
    assert "\n" not in message
    assert not re.match(r"[A-Z](?!yKEEN|-SNE)[a-z]", message), "it begins with the place"
    if re.search(rf"\{{[^{{}}]*(?:{ADVICE})[^{{}}]*\}}\.?$|{CHOICES}|\.strip\(\)\}}$", message):
        return
    bare = without_values(message)
    assert re.search(r"[.?…)X\]-]$|\.txt$", bare), "a message is a sentence"
    assert re.search(r"[.;?] [A-Z`a-z]|must |: .*: |: say which|needs? |: take ", bare), (
        "what to do"
    )
