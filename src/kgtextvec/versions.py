"""Versions of what numbers depend on, for the files that tell how they were made."""

import sys
from importlib.metadata import version

from kgtextvec import __version__


def versions_of(*packages: str) -> dict[str, str]:
    """Return our version, Python's, and those of the packages, which must be installed."""
    return {
        "kgtextvec": __version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        **{name: version(name) for name in packages},
    }
