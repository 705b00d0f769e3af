"""The scores of many spaces in one tidy table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kgtextvec.errors import InputError
from kgtextvec.files import read_json, whole_file

COLUMNS = (
    *("model", "table", "space", "dims", "score", "by", "group", "method", "metric"),
    *("value", "low", "high", "n"),
)


def write_table(files: list[Path], out: Path) -> None:
    """Write the scores in `files` as tab-separated lines, sorted, to `out`."""
    lines: list[tuple[str, ...]] = []
    seen: dict[tuple[str, str, str, str], Path] = {}
    for file in files:
        card = read_json(file)
        try:
            space = (str(card["model"]), str(card["table"]), str(card["space"]))
            here = list(lines_of(card))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{file}: not a file of evaluate-space or predict-links ({error!r}). Delete it and"
                " rerun."
            ) from None
        for score in card["scores"]:
            if (*space, score) in seen:
                raise InputError(
                    f"{file}: tells of {', '.join(space)}, as {seen[*space, score]} does. Name each"
                    " once."
                )
            seen[*space, score] = file
        lines += here
    lines.sort()
    with whole_file(out) as part:
        part.write_text("\n".join("\t".join(line) for line in [COLUMNS, *lines]) + "\n", "utf-8")


def lines_of(card: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield a tuple of fields, as in COLUMNS, for each number of a scores.json."""
    space = (card["model"], card["table"], card["space"], str(card["dims"]))
    for score, by_what in card["scores"].items():
        for by, groups in by_what.items():
            for group, methods in groups.items():
                for method, metrics in methods.items():
                    for metric, found in metrics.items():
                        low, high = found["interval"] or (None, None)
                        numbers = [as_text(number) for number in (found["value"], low, high)]
                        names = (*space, score, by, group, method, metric)
                        yield (*map(one_field, names), *numbers, str(found["n"]))


def as_text(number: float | None) -> str:
    """Write a number with six significant digits; nothing for None."""
    return "" if number is None else f"{number:.6g}"


def one_field(text: str) -> str:
    """Return a text without what would break a line of the table."""
    return " ".join(str(text).split())
