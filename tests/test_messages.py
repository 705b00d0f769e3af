"""Every error that a user can correct says where, what is wrong, and what to do."""

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src/kgtextvec"
RAISED = {"InputError", "MissingRowError"}
# What a message may leave to a variable at its end: advice made elsewhere, another error's words.
ENDS_WITH_ADVICE = re.compile(r"\{[^{}]*\}\.?$")
SECOND_SENTENCE = re.compile(
    r"[.;)?}] (?:[A-Z`{]|if |free |ask |make |run |give |export|save |take )"
)


# A message is made of these and of what is to be done about all of them.
PIECES = {"{}: not downloaded yet, and the run is offline"}


def words_of(node: ast.expr) -> str | None:
    """A literal's text, {} for what is computed; None for what isn't a literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
        )
    return None


def messages() -> list[tuple[str, str]]:
    """Place and text of each message that is written where it is raised."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED and node.args:
                words = words_of(node.args[0])
                if words is not None:
                    found.append((f"{path.relative_to(SOURCE)}:{node.lineno}", words))
    return found


MESSAGES = messages()


def test_there_are_messages():
    assert len(MESSAGES) > 300


@pytest.mark.parametrize(("place", "words"), MESSAGES, ids=[place for place, _ in MESSAGES])
def test_a_message_is_one_line_that_says_what_to_do(place, words):
    assert "\n" not in words
    assert words[0].islower() or words[0] in "{-K" or words.startswith(("PyKEEN", "t-SNE")), (
        "it begins with the place"
    )
    said = SECOND_SENTENCE.search(words) or ENDS_WITH_ADVICE.search(words) or "must be " in words
    assert said or words in PIECES, f"what is to be done? {words}"
