"""What is found in a table: gathered while reading, reported all at once."""

from dataclasses import dataclass, field
from typing import Any

from kgtextvec.errors import InputError, without_escapes

LISTED = 20
LINES_SKIPPED = "Skipped, as bad_lines: skip says"


class TableError(InputError):
    """A table that can't be read at all: `kind` and `line` (None: the whole file) say where."""

    def __init__(self, kind: str, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.kind, self.line = kind, line


def plain(text: str, longest: int = 80) -> str:
    """Return `text` for a message: one line, control characters escaped, not over `longest`."""
    shown = without_escapes(text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


@dataclass
class Finding:
    """All findings of one kind: number, first line, first messages, how to correct them."""

    kind: str
    error: bool
    title: str
    hint: str
    count: int = 0
    items: list[tuple[int | None, str]] = field(default_factory=list)

    @property
    def line(self) -> int | None:
        """The first line concerned; None when the finding is about the file."""
        return min((line for line, _ in self.items if line is not None), default=None)

    def message(self) -> str:
        """Return one line: a warning's `title xN (first …)`, or the first messages of many."""
        if self.title and not self.error:
            first = self.items[0][1] or (f"line {self.line}" if self.line else "")
            text = f"{self.title} x{self.count}" + (f" (first: {first})" if first else "")
        else:
            text = f"{self.title}: " if self.title else ""
            text += "; ".join(message.rstrip(".") for _, message in self.items)
            if self.count > len(self.items):
                text += f"; and {self.count - len(self.items)} more"
        return f"{text}. {self.hint}" if self.hint else text

    def as_json(self) -> dict[str, Any]:
        """Return {kind, level, count, line, lines, message}; `lines` are the first ones."""
        return {
            "kind": self.kind,
            "level": "error" if self.error else "warn",
            "count": self.count,
            "line": self.line,
            "lines": [line for line, _ in self.items if line is not None],
            "message": self.message(),
        }


class Findings:
    """Gathers findings by kind; keeps the first LISTED of each, counts all."""

    def __init__(self) -> None:
        self.kinds: dict[str, Finding] = {}
        self.notes: list[str] = []  # warnings about the file, which say nothing against its rows
        self.starts: list[tuple[int, str]] = []  # of several files: lines before each, its name

    def add(
        self,
        kind: str,
        line: int | None,
        message: str = "",
        *,
        error: bool = False,
        title: str = "",
        hint: str = "",
        count: int = 1,
    ) -> None:
        """Count one more of `kind` (or `count` more, the first of which is reported).

        With `title` the kind is reported as `title xN (first: …)`, otherwise message by message.
        The kind's level, title and hint are those of its first call.
        """
        found = self.kinds.setdefault(kind, Finding(kind, error, title, hint))
        found.count += count
        if len(found.items) < LISTED:
            found.items.append((line, message))

    def bad_line(self, kind: str, line: int, what: str, hint: str, policy: str) -> None:
        """Count a line that can't be used, an error unless `policy` (bad_lines) is skip."""
        skip = policy == "skip"
        hint = LINES_SKIPPED if skip else hint
        self.add(kind, line, f"line {line} {what}", error=not skip, hint=hint)

    @property
    def outcome(self) -> str:
        """`ok`, `warn` (something to know) or `error` (the table can't be used as it is)."""
        if any(found.error for found in self.kinds.values()):
            return "error"
        return "warn" if self.kinds else "ok"

    def as_json(self) -> list[dict[str, Any]]:
        """Return all findings, by first line."""
        return [found.as_json() for found in sorted(self.kinds.values(), key=by_line)]

    def warnings(self) -> list[str]:
        """Return the notes, then the messages of what isn't an error, by first line."""
        kinds = sorted(self.kinds.values(), key=by_line)
        found = [one.message() for one in kinds if not one.error]
        return [*self.notes, *found, *(self.counted_through() if found else [])]

    def counted_through(self) -> list[str]:
        """Return how lines of several files are counted; [] for one file."""
        if len(self.starts) < 2:
            return []
        shown = ", ".join(f"{plain(name)} begins at {n + 1}" for n, name in self.starts[:LISTED])
        return [f"Line numbers run through all files: {shown}"]

    def later_file(self) -> str:
        """Return the name of the file that is read, with a colon; "" for the first one."""
        return f"{plain(self.starts[-1][1])}: " if len(self.starts) > 1 else ""

    def error_message(self) -> str:
        """Return all errors in one line: the first LISTED by line, how many more, the hints."""
        errors = sorted((found for found in self.kinds.values() if found.error), key=by_line)
        items = [
            (line or 0, f"{found.title}: {message}" if found.title and message else message)
            for found in errors
            for line, message in found.items
        ]
        items.sort(key=lambda item: item[0])
        text = "; ".join(message.rstrip(".") for _, message in items[:LISTED])
        total = sum(found.count for found in errors)
        if total > min(len(items), LISTED):
            text += f"; and {total - min(len(items), LISTED)} more"
        hints = list(dict.fromkeys(found.hint for found in errors if found.hint))
        hints += self.counted_through()
        return " ".join(sentence(one) for one in [text, *hints])


def sentence(words: str) -> str:
    """End words with a full stop, unless they are a question."""
    words = words.rstrip(".")
    return words if words.endswith("?") else f"{words}."


def by_line(found: Finding) -> int:
    """Sort key: the first line; what concerns the whole file comes first."""
    return found.line or 0
