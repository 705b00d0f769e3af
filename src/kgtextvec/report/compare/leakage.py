"""How much of the cold start is read off names in the texts, in words."""

from collections.abc import Sequence

from kgtextvec.pages.numbers import format_percent, format_score
from kgtextvec.progress import plural
from kgtextvec.report.compare.scores import ComparedSpace, ScoreValue
from kgtextvec.report.compare.verdict import NAMED

SCORE = "leakage"


def leakage_sentences(spaces: Sequence[ComparedSpace]) -> list[str]:
    """Return what masking names costs the spaces: the ones of highest MRR, the others counted."""
    scored = [space for space in spaces if space.get(SCORE, "mrr_drop")]
    scored.sort(key=lambda space: (-mrr_of(space), space.name))
    sentences = [drop_in_words(space) for space in scored[:NAMED]]
    more = len(scored) - NAMED
    if more > 0:
        sentences.append(f"The leakage of {plural(more, 'other space')} is in the table below.")
    return sentences


def mrr_of(space: ComparedSpace) -> float:
    """Return the MRR with unmasked texts."""
    found = space.get(SCORE, "mrr")
    return found.value if found else 0.0


def drop_in_words(space: ComparedSpace) -> str:
    """Return what masking the names of neighbours changes for one space."""
    drop, read_off = (space.get(SCORE, metric) for metric in ("mrr_drop", "mrr_read_off"))
    if drop is None or read_off is None:
        raise ValueError(f"{space.name} has no leakage")
    begin = f"With the names of neighbours masked in the texts, the MRR of {space.name}"
    ends = f" ({interval_in_words(drop)})"
    if drop.low is None or drop.high is None or drop.low <= 0 <= drop.high:
        return f"{begin} does not clearly change: by {format_score(-drop.value, '+')}{ends}."
    if drop.value < 0:
        rise = format_score(-drop.value)
        return f"{begin} rises by {rise}{ends}: it does not come from these names."
    share = format_percent(drop.value / mrr_of(space))
    sentence = f"{begin} drops by {format_score(drop.value)}{ends}, {share} of it"
    beyond = f"{format_score(read_off.value, '+')} ({interval_in_words(read_off)})"
    if read_off.low is not None and read_off.low > 0:
        return f"{sentence}; {beyond} more than with other words masked, so it reads these names."
    return f"{sentence}; {beyond} more than with other words masked: no clear difference from that."


def interval_in_words(found: ScoreValue) -> str:
    """Write the interval of a number; it is of this space alone."""
    if found.low is None or found.high is None:
        return "no interval"
    return f"{format_score(found.low, '+')} to {format_score(found.high, '+')}"
