"""Tags of words (BIO, BIOES) and the entities that they spell."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Entity = tuple[int, int, str]  # its first word, the word after its last, its type
UNTYPED = "entity"  # the type of a bare B, I, E or S


def split_tag(tag: str) -> tuple[str, str] | None:
    """Split `B-Gene` into B and Gene; `O` has no type, a bare `B` the type `entity`.

    None if the tag is of no scheme that we read.
    """
    prefix, dash, kind = tag.partition("-")
    if tag == "O":
        return "O", ""
    if prefix not in ("B", "I", "E", "S") or (dash and not kind):
        return None
    return prefix, kind or UNTYPED


def read_tags(
    tags: Sequence[tuple[str, str]], ends: bool
) -> tuple[list[Entity], list[tuple[int, str]]]:
    """Return the entities of a sentence's tags, and what is wrong with the tags.

    `tags` are (prefix, type) as `split_tag` gives them. Entities are read as conlleval, the
    program of the CoNLL shared tasks, reads them: an I or E without an entity to continue starts an
    entity. Faults are (position, what); `ends`: an entity must end with E or S (BIOES).
    """
    entities: list[Entity] = []
    faults: list[tuple[int, str]] = []
    begun: int | None = None
    kind = ""
    for place, (prefix, now) in enumerate([*tags, ("O", "")]):
        goes_on = begun is not None and prefix in "IE" and now == kind
        if begun is not None and not goes_on:
            entities.append((begun, place, kind))
            if ends:
                faults.append((place - 1, f"the entity {kind} is not ended by E or S"))
            begun = None
        if prefix != "O":
            if prefix in "IE" and not goes_on:
                faults.append((place, f"{prefix}-{now} has no entity to continue"))
            if begun is None:
                begun, kind = place, now
            if prefix in "ES":
                entities.append((begun, place + 1, kind))
                begun = None
    return entities, faults


def write_tags(entities: Sequence[Entity], n_words: int, scheme: str) -> list[str]:
    """Return the tags (n_words) that spell those entities, which must not overlap."""
    tags = ["O"] * n_words
    for start, end, kind in entities:
        tags[start:end] = [f"I-{kind}"] * (end - start)
        tags[start] = f"B-{kind}"
        if scheme == "bioes":
            tags[end - 1] = f"E-{kind}" if end - start > 1 else f"S-{kind}"
    return tags


def tag_set(kinds: Sequence[str], scheme: str) -> list[str]:
    """Return all tags of these types of entities; O comes first."""
    prefixes = "BI" if scheme == "bio" else "BIES"
    return ["O", *(f"{prefix}-{kind}" for kind in kinds for prefix in prefixes)]


def legal_steps(
    tags: Sequence[str],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Say which tags (n) may begin a sentence, (n, n) follow one another, and (n) end one."""
    parts = [split_tag(tag) or ("O", "") for tag in tags]
    ends = any(prefix in "ES" for prefix, _ in parts)

    def follows(before: tuple[str, str], after: tuple[str, str]) -> bool:
        is_open = before[0] in "BI"
        if after[0] in "IE":
            return is_open and before[1] == after[1]
        return not (ends and is_open)

    outside = ("O", "")
    return (
        np.array([follows(outside, part) for part in parts]),
        np.array([[follows(before, after) for after in parts] for before in parts]),
        np.array([follows(part, outside) for part in parts]),
    )


def move_entities(
    entities: Sequence[Entity], n_words: int, rng: np.random.Generator
) -> list[Entity]:
    """Put a sentence's entities at random places; number, lengths and types stay.

    All orders of the entities and of the single words between them are equally likely.
    """
    lengths = [(end - start, kind) for start, end, kind in entities]
    blocks = lengths + [(1, "")] * (n_words - sum(length for length, _ in lengths))
    found: list[Entity] = []
    at = 0
    for i in rng.permutation(len(blocks)):
        length, kind = blocks[i]
        if kind:
            found.append((at, at + length, kind))
        at += length
    return found
