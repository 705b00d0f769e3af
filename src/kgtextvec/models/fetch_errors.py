"""How a download can fail."""

from kgtextvec.errors import InputError, without_escapes


class FetchError(InputError):
    """A source could not give the file; another one may."""

    def __init__(self, message: str) -> None:
        super().__init__(without_escapes(message))


class NoSpace(InputError):
    """The disk is too small for the file, whatever the source."""


class RetryableError(Exception):
    """This attempt failed, the next one may not.

    `wait` is what the server asked for, in seconds. `restart`: the bytes so far are of no use.
    `final_if_repeated`: a second failure of this kind is final.
    """

    def __init__(
        self,
        reason: str,
        wait: float | None = None,
        restart: bool = False,
        final_if_repeated: bool = False,
    ) -> None:
        super().__init__(without_escapes(reason))
        self.wait, self.restart, self.final_if_repeated = wait, restart, final_if_repeated
