"""`path:`, a folder that the user has; it is never written to."""

from pathlib import Path

from kgtextvec.errors import InputError
from kgtextvec.models.known import files_in, is_model, wanted
from kgtextvec.models.sources import Destination, Files, FolderSource
from kgtextvec.models.weight_forms import refuse_other_forms


class PathSource(FolderSource):
    """A folder on this machine."""

    schemes: tuple[str, ...] = ("path",)
    form = "path:<folder>"

    def check(self, address: str) -> None:
        """Raise InputError if no folder is named."""
        if not address.partition(":")[2]:
            raise InputError(f"{address!r} names no folder. Write path:<folder>.")

    def folder(self, address: str) -> Path:
        """Return the folder."""
        return Path(address.partition(":")[2]).expanduser()

    def get_files(self, address: str, to: Destination) -> Files:
        """Find the model's files in the folder. Raises InputError if it holds no model."""
        folder = self.folder(address)
        if not folder.is_dir():
            fault = (
                "is a file, not a folder; name it with file:"
                if folder.exists()
                else "no such folder"
            )
            raise InputError(f"{folder}: {fault}.")
        files = files_in(folder)
        names = wanted(files, to.kind)
        if to.kind == "transformer":
            refuse_other_forms(str(folder), [*files, *(path.name for path in folder.iterdir())])
            if not is_model(names):
                raise InputError(
                    f"{folder}: holds no config.json, so it is not a model's folder. Correct the"
                    " path."
                )
        if not names:
            raise InputError(
                f"{folder}: holds no file of a model of the kind {to.kind}. Correct the path."
            )
        return {name: files[name] for name in names}

    def watched_files(self, address: str) -> list[Path]:
        """Return the folder's files."""
        folder = self.folder(address)
        return list(files_in(folder).values()) if folder.is_dir() else []


SOURCE = PathSource()
