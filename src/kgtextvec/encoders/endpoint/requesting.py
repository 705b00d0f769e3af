"""Texts to vectors whatever a server does: retries, smaller requests, answers of another batch."""

import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from kgtextvec.encoders.endpoint.client import (
    EndpointClient,
    RequestRefused,
    TemporaryFault,
    Vectors,
)
from kgtextvec.encoders.endpoint.pace import Pacer
from kgtextvec.errors import InputError, without_escapes
from kgtextvec.progress import say
from kgtextvec.retry import RetryPolicy

BYTES_PER_TOKEN = 3.5  # of biomedical English; with two special tokens a text
SPECIAL_TOKENS = 2
SAME_COSINE = 0.999  # a text's vectors from two requests are at least as alike
SECONDS_BETWEEN_MESSAGES = 5.0


class AnotherBatch(Exception):
    """An answer holds vectors of other texts than those that were sent."""


class RequestsStopped(Exception):
    """Nobody waits for the answer any more."""


def estimate_tokens(texts: Sequence[str]) -> NDArray[np.int64]:
    """Estimate the tokens of each text, (n_texts,) int64: its tokenizer is the server's own."""
    sizes = np.fromiter((len(text.encode("utf-8", "replace")) for text in texts), np.int64)
    return np.ceil(sizes / BYTES_PER_TOKEN).astype(np.int64) + SPECIAL_TOKENS


def plan_requests(
    tokens: NDArray[np.int64], most_texts: int, most_tokens: int
) -> list[NDArray[np.int64]]:
    """Group texts of so many tokens, (n_texts,), into requests within both limits.

    A text that is over `most_tokens` alone has a request of its own. Returns row numbers, each in
    exactly one request; the longest first, since servers pad a request to its longest text.
    """
    requests: list[list[int]] = []
    room = 0
    for row in np.argsort(-tokens, kind="stable").tolist():
        if not requests or len(requests[-1]) >= most_texts or tokens[row] > room:
            requests.append([])
            room = most_tokens
        requests[-1].append(row)
        room -= int(tokens[row])
    return [np.array(rows, dtype=np.int64) for rows in requests]


class SharedState:
    """What the threads of a job share: the pace, how large requests may be, vectors seen."""

    def __init__(self, pacer: Pacer, policy: RetryPolicy, most_texts: int) -> None:
        self.pacer, self.policy, self.most_texts = pacer, policy, most_texts
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.seen: dict[int, str] = {}  # hash of a vector: the text that got it
        self.counts = {"requests": 0, "answers": 0, "retries": 0, "tokens": 0}
        self.last_message = -SECONDS_BETWEEN_MESSAGES

    def count(self, **more: int) -> None:
        """Add to the counts."""
        with self.lock:
            for name, number in more.items():
                self.counts[name] += number

    def report(self, message: str) -> None:
        """Log a message, unless there was another one a moment ago."""
        with self.lock:
            now = time.monotonic()
            if now - self.last_message < SECONDS_BETWEEN_MESSAGES:
                return
            self.last_message = now
        say(message)


class Requester:
    """Gets the vectors of any number of texts; to be used by one thread."""

    def __init__(self, client: EndpointClient, shared: SharedState) -> None:
        self.client, self.shared = client, shared
        self.name = client.endpoint.url

    def vectors_of(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the vectors of texts, (n_texts, dims). Raises InputError when there is no way."""
        size = self.shared.most_texts
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        return np.concatenate([self.answered(part) for part in parts])

    def answered(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the vectors of one request, or of its halves if the server refuses it."""
        try:
            return self.retried(lambda: self.own_vectors(texts))
        except RequestRefused as error:
            if len(texts) == 1:
                raise InputError(
                    f"{self.name}: the server refuses a text of {len(texts[0]):,} characters"
                    f" ({without_escapes(texts[0][:60])!r}…): {error}. If it is too long, set"
                    " max_characters of the model, or let the server cut texts."
                ) from None
            half = (len(texts) + 1) // 2
            found = np.concatenate([self.answered(texts[:half]), self.answered(texts[half:])])
            if half < self.shared.most_texts:
                self.shared.report(
                    f"{self.name}: refuses {len(texts)} texts a request ({error}); at most {half}"
                    " from now on"
                )
                self.shared.most_texts = half
            return found

    def retried(self, ask: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Ask, and ask again after temporary faults. Raises InputError after too many.

        Where a server is only busy, failures count while no other thread's request is answered.
        """
        shared, failures = self.shared, 0
        answers = shared.counts["answers"]
        while True:
            try:
                return ask()
            except (TemporaryFault, AnotherBatch) as error:
                is_busy = isinstance(error, TemporaryFault) and error.is_rate
                others_go_on = is_busy and shared.counts["answers"] > answers
                fault, failures = error, 1 if others_go_on else failures + 1
                answers = shared.counts["answers"]
            asked = fault.wait if isinstance(fault, TemporaryFault) else None
            if failures > shared.policy.tries or (asked or 0) > shared.policy.longest_asked:
                more = f", and asks to wait {asked:,.0f} s" if asked else ""
                raise InputError(
                    f"{self.name}: gave up after {failures} failures in a row, the last: {fault}"
                    f"{more}. What came is stored; run again to continue."
                )
            wait = shared.policy.wait(failures, asked)
            shared.count(retries=1)
            shared.report(f"{self.name}: {fault}; trying again in {wait:.1f} s")
            if isinstance(fault, TemporaryFault) and fault.is_rate:
                shared.pacer.pause(wait)
            else:
                shared.stop.wait(wait)

    def own_vectors(self, texts: list[str]) -> NDArray[np.float32]:
        """Send one request. Raises AnotherBatch if its vectors are those of other texts.

        A vector that another text got before is suspicious: a model may well give both texts one
        vector, but a server that mixes up its answers does so too. Asked alone, both texts show
        which it is. Raises InputError if the other text's vector was wrong and is stored by now.
        """
        found = self.sent(texts).vectors
        own: dict[int, str] = {}
        for text, vector in zip(texts, found, strict=True):
            number = hash(vector.tobytes())
            other = own.get(number) or self.shared.seen.get(number)
            if other is not None and is_suspicious(text, other):
                mixed_up = (
                    f"the server gives {without_escapes(text[:40])!r} and"
                    f" {without_escapes(other[:40])!r} one vector, and asked again another"
                )
                if not self.gets_again(text, vector):
                    raise AnotherBatch(mixed_up)
                if not self.gets_again(other, vector):
                    if number in own:
                        raise AnotherBatch(mixed_up)
                    raise InputError(
                        f"{self.name}: {mixed_up}. It mixes up its answers, and a wrong one is"
                        " stored. Repair the server, give the entry another identity, and run"
                        " again."
                    )
            own[number] = text
        with self.shared.lock:
            self.shared.seen |= own
        return found

    def gets_again(self, text: str, vector: NDArray[np.float32]) -> bool:
        """Return whether a text that is sent alone gets that vector."""
        (alone,) = self.sent([text]).vectors
        return cosine(alone, vector) >= SAME_COSINE

    def sent(self, texts: list[str]) -> Vectors:
        """Send one request when its turn has come."""
        self.shared.pacer.wait(int(estimate_tokens(texts).sum()), self.shared.stop)
        if self.shared.stop.is_set():
            raise RequestsStopped
        self.shared.count(requests=1)
        answer = self.client.ask(texts)
        self.shared.count(answers=1, tokens=answer.tokens or 0)
        return answer


def is_suspicious(one: str, other: str) -> bool:
    """Return whether two texts that differ in more than case and white space have one vector."""
    return one.casefold().split() != other.casefold().split()


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the cosine of two vectors."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
