"""Progress of long work: one changing line on a terminal, a plain line now and then in a log."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any


def say(message: str) -> None:
    """Print one line to standard error, at once."""
    # In one piece, with its end: jobs that share a log would write between the two.
    print(f"{message}\n", end="", file=sys.stderr, flush=True)


def plural(n: int, what: str) -> str:
    """Write a count of things: 1 text, 2,000 texts."""
    return f"{n:,} {what}" + ("" if n == 1 else "s")


class Progress:
    """Counts units (texts, rows, bytes) and prints rates and the time left.

    On a terminal the line is rewritten at most five times a second, and in a notebook a bar is
    drawn; elsewhere a plain line is printed every `every` seconds and at the end.
    """

    def __init__(self, what: str, total: int, unit: str = "texts", every: float = 10.0) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self.extra: dict[str, int] = {}
        self.terminal = sys.stderr.isatty()
        self.bar = notebook_bar()
        self.every = 0.2 if self.terminal or self.bar else every
        self.start = self.shown = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        if self.done:
            self.show(last=True)

    def add(self, n: int, **extra: int) -> None:
        """Count `n` more units; `extra` are further counters, such as tokens=1024."""
        self.done += n
        for key, value in extra.items():
            self.extra[key] = self.extra.get(key, 0) + value
        if time.monotonic() - self.shown >= self.every:
            self.show()

    def show(self, last: bool = False) -> None:
        """Print the line now."""
        now = time.monotonic()
        self.shown = now
        seconds = max(now - self.start, 1e-9)
        rates = [f"{self.done / seconds:,.1f} {self.unit}/s"]
        rates += [f"{value / seconds:,.0f} {key}/s" for key, value in self.extra.items()]
        left = (self.total - self.done) / max(self.done / seconds, 1e-9)
        end = f"took {clock(seconds)}" if last else f"ETA {clock(left)}"
        line = f"{self.what}: {self.done:,}/{self.total:,} {self.unit}, {', '.join(rates)}, {end}"
        if self.bar:
            self.bar(self.done / max(self.total, 1), line)
        elif self.terminal:
            print(f"\r\x1b[K{line}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            say(line)


def notebook_bar() -> Callable[[float, str], None] | None:
    """Return a function that draws a share (0 to 1) and a line in the notebook's cell, in place.

    None outside a notebook (Jupyter's kernel).
    """
    if "ipykernel" not in sys.modules:
        return None
    from html import escape

    from IPython import display, get_ipython

    if getattr(get_ipython(), "kernel", None) is None:
        return None
    shown: Any = display
    handle = shown.display(display_id=True)

    def draw(share: float, line: str) -> None:
        bar = f'<progress max="1" value="{share:.4f}"></progress> {escape(line)}'
        handle.update(shown.HTML(bar))

    return draw


def clock(seconds: float) -> str:
    """Write seconds as 42s, 3m07s or 2h05m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
