"""Options among the words of a snakemake command."""

from collections.abc import Sequence
from pathlib import Path


def option_in(words: Sequence[str], name: str) -> bool:
    """Return whether an option is among the words: `-c 4`, `-c4`, `--cores 4`, `--cores=4`."""
    return any(
        word == name
        or word.startswith(f"{name}=")
        or (len(name) == 2 and word.startswith(name) and not word.startswith("--"))
        for word in words
    )


def with_words(words: Sequence[str], *more: str) -> list[str]:
    """Return the words with more options; `--` ends the options, targets follow it."""
    end = words.index("--") if "--" in words else len(words)
    return [*words[:end], *more, *words[end:]]


def directory_in(words: Sequence[str]) -> Path:
    """Return the working directory that --directory (-d) names; else this folder."""
    for place, word in enumerate(words):
        name, _, value = word.partition("=")
        if name == "--directory" and value:
            return Path(value)
        if word.startswith("-d") and len(word) > 2:
            return Path(word[2:])
        if word in ("-d", "--directory") and place + 1 < len(words):
            return Path(words[place + 1])
    return Path()


def value_of(words: Sequence[str], name: str) -> str | None:
    """Return the value of an option, `--name value` or `--name=value`; None if it isn't given."""
    for place, word in enumerate(words):
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
        if word == f"--{name}" and place + 1 < len(words):
            return words[place + 1]
    return None
