"""When the next request may go out: rate limits, and pauses that a server asks for."""

import threading
import time
from collections.abc import Callable


class Pacer:
    """Spaces requests evenly, for all threads of a job. `now` gives seconds."""

    def __init__(
        self,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds_per_request = 60 / requests_per_minute if requests_per_minute else 0.0
        self.seconds_per_token = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self.now = now
        self.lock = threading.Lock()
        self.free_at = self.paused_until = now()

    def reserve(self, tokens: int) -> float:
        """Return when a request of so many tokens may start; later ones start after it."""
        with self.lock:
            start = max(self.now(), self.free_at)
            self.free_at = start + max(self.seconds_per_request, tokens * self.seconds_per_token)
            return start

    def pause(self, seconds: float) -> None:
        """Let no request start for so long."""
        with self.lock:
            self.paused_until = max(self.paused_until, self.now() + seconds)

    def wait(self, tokens: int, stop: threading.Event) -> None:
        """Wait for a request's turn, or until `stop` is set."""
        start = self.reserve(tokens)
        while (left := max(start, self.paused_until) - self.now()) > 0 and not stop.is_set():
            stop.wait(left)
