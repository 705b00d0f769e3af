"""`package:`, a folder inside an installed Python package, which is not imported."""

from importlib.util import find_spec
from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.models.sources.path import PathSource


class PackageSource(PathSource):
    """A folder of a package."""

    schemes = ("package",)
    form = "package:<package>/<folder>"

    def check(self, address: str) -> None:
        """Raise InputError unless the address names a package, and a folder inside it."""
        package, _, inside = address.partition(":")[2].partition("/")
        if not package.isidentifier() or ".." in Path(inside).parts:
            raise InputError(f"{address}: must be <package>/<folder inside>.")

    def folder(self, address: str) -> Path:
        """Return the folder. Raises InputError if the package is not installed."""
        package, _, inside = address.partition(":")[2].partition("/")
        found = find_spec(package)
        roots = list(found.submodule_search_locations or []) if found else []
        if not roots:
            raise InputError(
                f"{address}: Python package {package} is not installed. Install it:"
                f" pip install {package.replace('_', '-')}"
            )
        return Path(roots[0]) / inside

    def watched_files(self, address: str) -> list[Path]:
        """Return nothing: a package changes by its version."""
        return []


SOURCE = PackageSource()
