"""How long to wait for a server, and when to give up."""

import os
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from kgtextvec.errors import InputError


@dataclass(frozen=True)
class RetryPolicy:
    """Limits of a download, or of requests to an endpoint; times in seconds.

    The environment variable KGTEXTVEC_PATIENCE changes them, as in `stall=60,tries=20`.
    """

    connect: float = 20.0  # for a connection
    stall: float = 30.0  # for the next byte, and the window in which the speed is measured
    slowest: float = 1024.0  # bytes per second below which the connection is dropped
    tries: int = 8  # failures in a row
    progress: int = 1 << 20  # bytes after which a failure counts as the first again
    first_wait: float = 1.0  # after the first failure; doubles with each
    longest_wait: float = 60.0
    longest_asked: float = 300.0  # a Retry-After beyond it counts as a refusal

    @classmethod
    def from_environment(cls) -> "RetryPolicy":
        """Read KGTEXTVEC_PATIENCE. Raises InputError for a wrong name or number."""
        kinds = {part.name: part.type for part in fields(cls)}
        chosen: dict[str, float] = {}
        for pair in filter(None, os.environ.get("KGTEXTVEC_PATIENCE", "").split(",")):
            name, _, value = (word.strip() for word in pair.partition("="))
            try:
                chosen[name] = int(value) if kinds[name] is int else float(value)
            except (KeyError, ValueError):
                raise InputError(
                    f"KGTEXTVEC_PATIENCE: {pair!r} is not NAME=NUMBER with NAME one of"
                    f" {', '.join(kinds)}. Correct it or unset it."
                ) from None
        return cls(**chosen)  # type: ignore[arg-type]

    def wait(self, failures: int, asked: float | None) -> float:
        """Return the seconds to wait after so many failures in a row (1, 2, …)."""
        own = min(self.first_wait * 2.0 ** (failures - 1), self.longest_wait)
        return own if asked is None else max(asked, 0.0)


def retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header (a number or a date); None if unreadable."""
    if not value:
        return None
    try:
        return max(float(int(value)), 0.0)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
