"""The users' files that rules read."""

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from snakemake.exceptions import IncompleteCheckpointException
from snakemake.io import contains_wildcard, local

from kgtextvec.models.sources import watched_files

from .named import corpora_of, named_files
from .plan import Plan, Wildcards

WEB = ("https://", "http://")
LINKS = Path(".kgtextvec/links")
Input = Callable[[Wildcards], object]


def without_wildcards(path: str) -> str:
    """Return the path, or a link to it if Snakemake would take `{…}` in it for a wildcard.

    Snakemake applies wildcards to what an input function returns and knows no way to escape them.
    """
    if "://" in path or not contains_wildcard(path):
        return path
    target = Path(path).absolute()
    digest = hashlib.sha256(os.fsencode(target)).hexdigest()[:16]
    link = LINKS / digest / target.name.replace("{", "(").replace("}", ")")
    link.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        link.symlink_to(target)
    return str(link)


def until_made(function: Callable[..., object]) -> Callable[..., object]:
    """Let an input function return the file that it waits for, if nothing has made that yet.

    While an input function raises IncompleteCheckpointException, Snakemake makes the job anew, with
    all its params, whenever the graph changes, not only once the checkpoint has run. A storage may
    have the file although it isn't here.
    """

    @wraps(function)
    def value(*given: Any) -> object:
        try:
            return function(*given)
        except IncompleteCheckpointException as error:
            target: object = error.targetfile
            if getattr(target, "is_storage", False) or Path(str(target)).exists():
                raise
            return target

    return value


class Inputs:
    """Input functions for the files that the config names."""

    def __init__(
        self, plan: Plan, storage: Callable[[str], object] | None = None, one_disk: bool = True
    ) -> None:
        """Take Snakemake's `storage`, and whether all jobs see the disk with the users' files."""
        self.plan, self.storage, self.one_disk = plan, storage, one_disk
        self.shared = {self.shared_name(path): path for _, path in named_files(plan)}

    def file(self, path: str) -> object:
        """Return a user's path or URL as an input.

        One of this machine is read where it is if all jobs see it. Else, and if it is on a web
        server, share_file makes a copy among the workflow's own files. s3:// and the like are left
        to Snakemake's storage plugins.
        """
        if path.startswith(WEB) or ("://" not in path and not self.one_disk):
            return f"<resources>/inputs/{self.shared_name(path)}"
        if "://" in path and self.storage:
            return self.storage(path)
        return local(without_wildcards(self.plan.file(path)))

    def shared_name(self, path: str) -> str:
        """Return a name for the copy of a path or URL: unique, the same everywhere.

        The workflow's own folder may be elsewhere on another machine.
        """
        digest = hashlib.sha256(path.removeprefix(f"{self.plan.root}/").encode()).hexdigest()
        name = unquote(urlsplit(path).path).rpartition("/")[2]
        return f"{digest[:12]}-{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"

    def to_share(self, wildcards: Wildcards) -> object:
        """Return the file of this machine that share_file copies; nothing for a URL."""
        path = self.shared[wildcards.shared]
        return [] if path.startswith(WEB) else local(without_wildcards(self.plan.file(path)))

    def shared_from(self, wildcards: Wildcards) -> str:
        """Return the path or URL of what share_file copies, as the config has it."""
        path = self.shared[wildcards.shared]
        return path if path.startswith(WEB) else self.plan.file(path)

    def table(self, wildcards: Wildcards) -> object:
        """Return the table's files."""
        return self.files(self.plan.tables[wildcards.table].file)

    def header(self, wildcards: Wildcards) -> object:
        """Return the files with the header of the table's files, if they have none."""
        return self.files(self.plan.tables[wildcards.table].header_file)

    def files(self, asked: str | Sequence[str] | None) -> list[object]:
        """Return users' paths, or what patterns match, as inputs."""
        return [self.file(path) for path in self.plan.files(asked)]

    def used_by(self, wildcards: Wildcards) -> object:
        """Return the triples that name the rows in use, if the table has them."""
        return self.files(self.plan.tables[wildcards.table].used_by)

    def graph_of_ids(self, wildcards: Wildcards) -> object:
        """Return the graph, which decides what node ids are, if there is one."""
        is_facts = self.plan.tables[wildcards.table].kind == "facts"
        return self.files(None if is_facts else self.plan.graph_asked)

    def graph(self, key: str) -> Input:
        """Return an input: triples for the scores of a table of entities."""

        def value(wildcards: Wildcards) -> object:
            test = self.plan.config.evaluate.test_triples
            found = self.plan.graph_asked if key == "triples" else test
            is_graph = self.plan.tables[wildcards.table].kind == "entities"
            return self.files(found if is_graph else None)

        return value

    def align_to(self, wildcards: Wildcards) -> list[object]:
        """Return the trainer's id maps, or its triples."""
        align = self.plan.config.align
        return self.files(align.to if align else None)

    def source_files(self, wildcards: Wildcards) -> list[object]:
        """Return a model's files on this machine (`path:`, `file:`): a change converts it again."""
        source = self.plan.entries[wildcards.model]["source"]
        return [local(without_wildcards(str(file))) for file in watched_files(source)]

    def held_out(self, wildcards: Wildcards) -> object:
        """Return the text that fine-tuning measures on, where it is a file of its own."""
        held_out = self.plan.finetuned[wildcards.model].held_out
        return self.file(held_out) if isinstance(held_out, str) else []

    def corpus(self, part: str) -> Input:
        """Return an input: the files of a part (train, dev, test) of the probe's corpora."""

        def value(wildcards: Wildcards) -> list[object]:
            return self.corpus_files(wildcards.probe, part)

        return value

    def corpus_files(self, probe: str, part: str) -> list[object]:
        """Return the files of a part of a probe's corpora."""
        named = dict(corpora_of(self.plan, probe))
        return [self.file(path) for path in named[f"probe.{probe}.{part}"]]
