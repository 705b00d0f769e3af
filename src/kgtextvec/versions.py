"""Versions of what numbers depend on, for the files that tell how they were made."""

import sys
from importlib.metadata import version

from kgtextvec import __version__
from kgtextvec.errors import InputError


def versions_of(*packages: str) -> dict[str, str]:
    """Return our version, Python's, and those of the packages, which must be installed."""
    return {
        "kgtextvec": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        **{name: version(name) for name in packages},
    }


def check_version(wanted: str) -> None:
    """Raise InputError unless this is the version that started the run."""
    if wanted != __version__:
        raise InputError(
            f"the run was started by kgtextvec {wanted}, this machine has {__version__}."
            " Install the same version on both."
        )
