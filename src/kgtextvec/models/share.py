"""share-file: a user's file among the workflow's own, for jobs that can't read it where it is."""

import shutil
from pathlib import Path
from typing import Annotated

from kgtextvec.files import whole_file
from kgtextvec.progress import say


def share_file(
    source: Annotated[str, "a path, or a URL (https://…)"],
    *,
    out: Annotated[Path, "the copy"],
) -> None:
    """Copy a file, or fetch it from a web server; the copy is complete or absent.

    A download resumes, and waits for a server that asks for it. Raises InputError when the file
    can't be read or the server doesn't give it.
    """
    if source.startswith(("https://", "http://")):
        from kgtextvec.models.fetch import fetch_once
        from kgtextvec.models.transfer import Request

        out.parent.mkdir(parents=True, exist_ok=True)
        fetch_once(Request(source, out))
    else:
        with whole_file(out) as part:
            shutil.copyfile(source, part)
    say(f"{source}: {out.stat().st_size:,} bytes")
