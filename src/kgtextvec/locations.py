"""Where the workflow's own files are: in a checkout, or in the installed package."""

from importlib.util import find_spec
from pathlib import Path

from kgtextvec.errors import InputError


def project_folder() -> Path:
    """Return the folder of the Snakefile, with config/, envs/, profiles/ and resources/sample/.

    An installed package has a copy of its own; in a checkout it is the checkout itself.
    """
    packaged = Path(__file__).parent / "project"
    return packaged if packaged.is_dir() else Path(__file__).parents[2]


def need_package(module: str, extra: str, what: str) -> None:
    """Raise InputError unless a module that only an extra of the package brings is installed."""
    if find_spec(module) is None:
        raise InputError(
            f"{what} need the package {module}, which is not installed. Run pip install"
            f" 'kgtextvec[{extra}]', or leave that out."
        )
