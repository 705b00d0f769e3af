"""collect_scores: the scores of many spaces in one tidy table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.records import read_unedited

SCORE_TABLE_COLUMNS = (
    *("model", "table", "space", "dims", "score", "by", "group", "method", "metric"),
    *("value", "low", "high", "n"),
)


def collect_scores(
    scores: Annotated[
        Sequence[Path], "files that evaluate-space, predict-links or probe-model wrote"
    ] = (),
    *,
    out: Annotated[Path, "scores.tsv to write"],
) -> None:
    """Collect the scores of many spaces in one table: a header, then a row per number.

    Columns: see SCORE_TABLE_COLUMNS. Rows are sorted; a missing interval is two empty fields.
    Raises InputError when a file is absent or damaged, or two have the same score of one space.
    """
    lines: list[tuple[str, ...]] = []
    seen: dict[tuple[str, str, str, str], Path] = {}
    for file in scores:
        card = read_unedited(file)
        try:
            space = (str(card["model"]), str(card["table"]), str(card["space"]))
            here = list(table_lines(card))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{file}: not a file of evaluate-space or predict-links ({error!r}). Delete it and"
                " rerun."
            ) from None
        for score in card["scores"]:
            if (*space, score) in seen:
                raise InputError(
                    f"{file}: has {score} of {', '.join(space)}, as {seen[*space, score]} has. Name"
                    " each once."
                )
            seen[*space, score] = file
        lines += here
    lines.sort()
    with whole_file(out, record_digest=True) as part:
        part.write_text(
            "\n".join("\t".join(line) for line in [SCORE_TABLE_COLUMNS, *lines]) + "\n", "utf-8"
        )


def table_lines(card: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield a tuple of fields, as in SCORE_TABLE_COLUMNS, for each number of a scores.json."""
    space = (card["model"], card["table"], card["space"], str(card["dims"]))
    for score, by_what in card["scores"].items():
        for by, groups in by_what.items():
            for group, methods in groups.items():
                for method, metrics in methods.items():
                    for metric, found in metrics.items():
                        low, high = found["interval"] or (None, None)
                        numbers = [six_digits(number) for number in (found["value"], low, high)]
                        names = (*space, score, by, group, method, metric)
                        yield (*map(one_field, names), *numbers, str(found["n"]))


def six_digits(number: float | None) -> str:
    """Write a number with six significant digits; nothing for None."""
    return "" if number is None else f"{number:.6g}"


def one_field(text: str) -> str:
    """Return a text without what would break a line of the table."""
    return " ".join(str(text).split())
