"""The one error that a user can correct."""

from collections.abc import Iterable


class InputError(Exception):
    """Something the user can correct: one line that says where, what is wrong and what to do.

    The command line prints it as `ERROR: …` and exits with code 2. Anything else that is raised
    is our bug and keeps its traceback.
    """


def without_escapes(text: str) -> str:
    """Return what anyone said as one line that is safe to print: control characters escaped.

    A server's answer or a file's name may hold line breaks and commands to the terminal.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Stopped(BaseException):
    """A signal asked the job to stop; what was finished is stored, and a rerun resumes.

    Like KeyboardInterrupt no Exception, so that no library takes it for an error of its own.
    """

    def __init__(self, message: str, signal_number: int = 15) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def most_like(name: str, options: Iterable[str]) -> str:
    """Return the option most like a name, in upper or lower case; "" if none is like it."""
    from difflib import get_close_matches

    by_lower_case = {option.lower(): option for option in options}
    near = get_close_matches(name.lower(), by_lower_case, n=1)
    return by_lower_case[near[0]] if near else ""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Return a question that offers the option most like a name; "" if none is like it."""
    near = most_like(name, options)
    return f"Did you mean {near}?" if near else ""
