"""A server's model as an encoder: several requests at once, each answer checked."""

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kgtextvec.encoders import Encoded, EncoderSettings, ResumeContext
from kgtextvec.encoders.endpoint.client import EndpointClient
from kgtextvec.encoders.endpoint.pace import Pacer
from kgtextvec.encoders.endpoint.requesting import (
    Requester,
    RequestsStopped,
    SharedState,
    cosine,
    estimate_tokens,
    plan_requests,
)
from kgtextvec.errors import InputError
from kgtextvec.progress import say
from kgtextvec.retry import RetryPolicy
from kgtextvec.server_address import Endpoint, is_offline, read_key
from kgtextvec.settings.models import Access

POLL_SECONDS_OF_ANSWERS = 1.0
TRIAL_TEXTS = (
    "TP53 encodes a tumor suppressor protein that responds to cellular stress.",
    "A chronic inflammatory disease of the airways, with recurring attacks of breathlessness.",
)
TRIAL_COSINE = 0.99  # the same text today and some other day, whatever the server computes with
Answered = tuple[NDArray[np.int64], NDArray[np.float32]]


class EndpointEncoder:
    """A model at a server. Making one sends nothing; `dims` 0: not known yet.

    Raises InputError when the key is missing, or when the run is offline.
    """

    def __init__(self, endpoint: Endpoint, settings: EncoderSettings, dims: int | None) -> None:
        self.endpoint, self.settings = endpoint, settings
        self.access = settings.access or Access()
        self.key = read_key(self.access.api_key_env, endpoint.url)
        if is_offline("KGTEXTVEC_OFFLINE") and not endpoint.is_on_this_machine:
            raise InputError(
                f"{endpoint.url}: some vectors are not in the store yet, and KGTEXTVEC_OFFLINE"
                " forbids asking the server. Unset it and run again."
            )
        self.dims = dims or 0

    @classmethod
    def load(cls, folder: Path, dims: int, settings: EncoderSettings) -> "EndpointEncoder":
        """Make the encoder of a folder that convert-model made."""
        return cls(Endpoint.read(folder), settings, dims)

    def shared(self) -> SharedState:
        """Return what the threads of a job share."""
        limits = self.access.requests
        pacer = Pacer(limits.per_minute, limits.tokens_per_minute)
        return SharedState(pacer, RetryPolicy.from_environment(), limits.texts)

    def requester(self, shared: SharedState) -> Requester:
        """Return what one thread asks with."""
        timeout = self.access.requests.timeout
        client = EndpointClient(self.endpoint, self.key, timeout, self.dims or None)
        return Requester(client, shared)

    def trial(self) -> NDArray[np.float32]:
        """Return the vectors of TRIAL_TEXTS, (2, dims), in one request.

        Raises InputError when the server does not answer, or gives both one vector.
        """
        texts = [self.settings.prompt + text for text in TRIAL_TEXTS]
        vectors = self.requester(self.shared()).vectors_of(texts)
        if np.array_equal(vectors[0], vectors[1]):
            raise InputError(
                f"{self.endpoint.url}: two different texts get one vector. Check which model is"
                " served there."
            )
        return vectors

    def check_trial(self, vectors: NDArray[np.float32], before: NDArray[np.float32]) -> None:
        """Raise InputError if the trial's vectors differ from those of an earlier run."""
        alike = min(cosine(one, other) for one, other in zip(vectors, before, strict=True))
        if not alike >= TRIAL_COSINE:
            raise InputError(
                f"{self.endpoint.url}: {self.endpoint.model!r} gives other vectors than in earlier"
                f" runs (cosine {alike:.3f}). If another model is served there now, give the entry"
                " another identity; else correct source or model."
            )

    def encode(
        self, texts: Sequence[str], resume: ResumeContext | None = None
    ) -> Iterator[Encoded]:
        """Yield every text exactly once, in the order of the answers; nothing now and then.

        Raises InputError when the server can't be had, or gives what can't be right; what came
        before is yielded first.
        """
        most = self.settings.max_characters
        truncated = np.array([most is not None and len(text) > most for text in texts], np.bool_)
        tokens = estimate_tokens(texts)
        sent = [self.settings.prompt + text[:most] for text in texts]
        limits = self.access.requests
        plan = plan_requests(estimate_tokens(sent), limits.texts, limits.tokens)
        say(
            f"{self.endpoint.url}: {len(texts):,} texts to send, about"
            f" {int(estimate_tokens(sent).sum()):,} tokens in {len(plan):,} requests,"
            f" {min(limits.parallel, len(plan))} at once"
        )
        shared = self.shared()
        answers = ask_in_threads(
            plan, sent, [self.requester(shared) for _ in range(min(limits.parallel, len(plan)))]
        )
        try:
            for rows, vectors in answers:
                yield Encoded(
                    rows=rows,
                    vectors=vectors if len(rows) else np.empty((0, self.dims), np.float32),
                    n_tokens=tokens[rows].astype(np.int32),
                    truncated=truncated[rows],
                    n_unknown=np.zeros(len(rows), np.int32),
                )
        finally:
            shared.stop.set()
        counts = shared.counts
        say(
            f"{self.endpoint.url}: {counts['requests']:,} requests, {counts['retries']:,} repeated;"
            f" the server counted {counts['tokens']:,} tokens"
        )


def ask_in_threads(
    plan: list[NDArray[np.int64]], texts: list[str], requesters: list[Requester]
) -> Iterator[Answered]:
    """Yield (rows, their vectors) of each request as it is answered, and now and then no rows.

    The threads are daemons: a process that is to stop does not wait for a slow server. Raises the
    first thread's error once all that was answered is yielded.
    """
    todo: queue.SimpleQueue[NDArray[np.int64]] = queue.SimpleQueue()
    done: queue.SimpleQueue[Answered | Exception] = queue.SimpleQueue()
    for rows in plan:
        todo.put(rows)

    def work(requester: Requester) -> None:
        stop = requester.shared.stop
        while not stop.is_set():
            try:
                rows = todo.get_nowait()
                done.put((rows, requester.vectors_of([texts[row] for row in rows.tolist()])))
            except (queue.Empty, RequestsStopped):
                return
            except Exception as error:
                stop.set()
                done.put(error)

    threads = [threading.Thread(target=work, args=(one,), daemon=True) for one in requesters]
    for thread in threads:
        thread.start()
    left, error = len(plan), None
    while left:
        are_at_work = any(thread.is_alive() for thread in threads)
        if error and not are_at_work and done.empty():
            raise error
        try:
            found = done.get(timeout=POLL_SECONDS_OF_ANSWERS if are_at_work else 0)
        except queue.Empty:
            yield np.empty(0, np.int64), np.empty(0, np.float32)  # a chance to stop
            continue
        if isinstance(found, Exception):
            error = error or found
        else:
            left -= 1
            yield found
