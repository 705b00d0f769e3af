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
    ends, rise = f" ({interval_in_words(drop)})", rise_of(drop)
    if drop.value == drop.low == drop.high == 0:
        return f"{begin} does not change."
    if drop.low is None or drop.high is None or drop.low <= 0 <= drop.high:
        change = f"{format_score(rise.value, '+')} ({interval_in_words(rise)})"
        return f"{begin} does not clearly change: by {change}."
    if drop.value < 0:
        said = f"{format_score(rise.value)} ({interval_in_words(rise)})"
        return f"{begin} rises by {said}: it does not come from these names."
    share = format_percent(drop.value / mrr_of(space))
    sentence = f"{begin} drops by {format_score(drop.value)}{ends}, {share} of it"
    beyond = f"{format_score(read_off.value, '+')} ({interval_in_words(read_off)})"
    if read_off.low is not None and read_off.low > 0:
        return f"{sentence}; {beyond} more than with other words masked, so it reads these names."
    return f"{sentence}; {beyond} more than with other words masked: no clear difference from that."


def rise_of(drop: ScoreValue) -> ScoreValue:
    """Return a drop as a rise: the interval changes sides, too."""
    low, high = (None if end is None else 0 - end for end in (drop.high, drop.low))
    return ScoreValue(0 - drop.value, low, high)  # 0 - 0 has no sign


def interval_in_words(found: ScoreValue) -> str:
    """Write the interval of a number; it is of this space alone."""
    if found.low is None or found.high is None:
        return "no interval"
    return f"{format_score(found.low, '+')} to {format_score(found.high, '+')}"
