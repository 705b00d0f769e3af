"""The table of RESULTS.md with the rows of e2e: one for each work, a block for each processor."""

from pathlib import Path
from typing import Any

TABLES = Path(__file__).parent / "RESULTS.md"
ROWS = ("e2e", "again", "demo", "tsv", "plan")  # what is measured: bench_e2e says of what
PAIR_HEAD = "| what | rounds | kgtextvec | script | ratio | target |\n|---|---|---|---|---|---|\n"
HEAD = "| what | CPU s | wall s | MB, largest process | target |\n|---|---|---|---|---|\n"
BEGIN = "<!-- written by python -m benchmarks e2e -->"
END = "<!-- end of what is written -->"


def write_table(rows: list[dict[str, Any]]) -> None:
    """Write the rows between the two marks of RESULTS.md; the text around them stays."""
    before, _, rest = TABLES.read_text("utf-8").partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{TABLES}: the lines {BEGIN} and {END} are not both there")
    TABLES.write_text(f"{before}{BEGIN}\n{as_markdown(rows)}{END}{after}", "utf-8")


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """Return the tables, in the order of processors, pairs by size before what has no peer."""
    text = ""
    for processor in dict.fromkeys(row["processor"] for row in rows):
        own = [row for row in rows if row["processor"] == processor]
        paired = sorted((row for row in own if "texts" in row), key=lambda row: row["texts"])
        alone = [row for row in own if "texts" not in row]
        text += f"{processor}, {', '.join(sorted({row['date'] for row in own}))}:\n\n"
        if paired:
            text += PAIR_HEAD
        for row in paired:
            numbers = f"{row['rounds']} | {row['ours']} | {row['theirs']} | {row['ratio']}"
            text += f"| {row['name']} | {numbers} | {row['target'] or ''} |\n"
        text += "\n" if paired else ""
        if alone:
            text += (
                "| what | CPU s | wall s | MB, largest process | target |\n|---|---|---|---|---|\n"
            )
        for row in alone:
            name = row["name"].removesuffix(", CPU seconds")
            numbers = f"{row['ours']} | {row['wall']} | {row['peak_mb']}"
            text += f"| {name} | {numbers} | {row['target']} |\n"
        text += "\n" if alone else ""
    return text
