"""Runs the real workflow in a folder of its own, and counts what it did."""

import json
import os
import re
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from safetensors.numpy import load_file
from warm_python import interpreter

from kgtextvec.job_client import SOCKET_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
ENTITY_COLUMNS = [
    "id",
    "name",
    "label",
    "resource",
    "description",
    "synonyms",
    "pmids",
    "taxid",
    "xrefs",
]


@dataclass
class Outcome:
    code: int
    text: str
    jobs: Counter = field(default_factory=Counter)


class Project:
    """A user's folder with tables and a config; the workflow is called from outside it.

    `as_users_do`: no processes are kept warm between runs.
    """

    def __init__(
        self, folder: Path, config: dict, root: Path = ROOT, as_users_do: bool = False
    ) -> None:
        self.folder, self.root, self.as_users_do = folder, root, as_users_do
        folder.mkdir(parents=True, exist_ok=True)
        self.config = config

    def write_entities(self, rows: list[dict], name: str = "entities.tsv") -> None:
        lines = ["\t".join(ENTITY_COLUMNS)]
        lines += ["\t".join(row.get(column, "") for column in ENTITY_COLUMNS) for row in rows]
        (self.folder / name).write_text("\n".join(lines) + "\n", "utf-8")

    def write_relation_types(self, rows: list[tuple[str, str]]) -> None:
        lines = ["relation_type\tdescription"] + ["\t".join(row) for row in rows]
        (self.folder / "relation_types.tsv").write_text("\n".join(lines) + "\n", "utf-8")

    def command(self, *words: str) -> list[str]:
        (self.folder / "mine.yaml").write_text(yaml.safe_dump(self.config), "utf-8")
        return [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(self.root / "Snakefile"),
            "--directory",
            str(self.folder),
            "--configfile",
            str(self.folder / "mine.yaml"),
            "--cores",
            "2",
            *words,
        ]

    def env(self) -> dict[str, str]:
        path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if ".venv" not in p)
        found = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
        if self.as_users_do:
            del found[SOCKET_VARIABLE]
        return found

    def run(self, *words: str, ok: bool = True) -> Outcome:
        done = subprocess.run(
            [sys.executable if self.as_users_do else interpreter(), *self.command(*words)[1:]],
            cwd=self.folder.parent,
            env=self.env(),
            capture_output=True,
            text=True,
        )
        text = done.stdout + done.stderr
        if ok and done.returncode:
            logs = "".join(p.read_text() for p in sorted(self.folder.rglob("logs/**/*.log")))
            raise AssertionError(f"snakemake failed:\n{text[-3000:]}\n{logs[-3000:]}")
        started = re.findall(r"^Job \d+: (\w+)", text, re.MULTILINE)
        return Outcome(done.returncode, text, Counter(name for name in started if name != "all"))

    def manifest(self, *parts: str) -> dict:
        return json.loads((self.folder.joinpath("results", *parts) / "manifest.json").read_text())

    def page_digests(self) -> dict[str, Path]:
        """The files with digests of pages, and Snakemake's record of each as an output."""
        paths = [str(one.relative_to(self.folder)) for one in self.folder.rglob(".*.sha256")]
        records = self.folder / ".snakemake/metadata"
        return {path: records / urlsafe_b64encode(path.encode()).decode() for path in paths}

    def n_stored(self) -> int:
        """Vectors in the store, each time one was computed and written counted."""
        parts = (self.folder / ".kgtextvec/store").rglob("*.safetensors")
        return sum(len(load_file(path)["keys"]) for path in parts)


def tiny_project(folder: Path, *, as_users_do: bool = False, **more: object) -> Project:
    """A project with a made-up model that embeds entities.tsv, and nothing made of its vectors."""
    config = {
        "tables": {"entities": {"file": "entities.tsv", "kind": "entities"}},
        "models": ["cased"],
        "catalogue": {"cased": {"source": "path:raw/cased"}},
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
    }
    return Project(folder, config | more, as_users_do=as_users_do)


def entities(n: int) -> list[dict]:
    """Made-up entities; every seventh has no description, so that its name is its text."""
    words = [
        "gene",
        "protein",
        "kinase",
        "receptor",
        "disease",
        "cell",
        "binding",
        "acute",
        "chronic",
        "factor",
    ]
    return [
        {
            "id": f"X:{i}",
            "name": f"{words[i % 10]} {i}",
            "label": ["Gene", "Disease", "Compound"][i % 3],
            "resource": "made up",
            "description": ""
            if i % 7 == 0
            else f"{words[i * 3 % 10]} of the {words[i // 10 % 10]} {i}",
        }
        for i in range(n)
    ]


RELATION_TYPES = [
    ("Made::treats::Compound:Disease", "The compound treats the disease."),
    ("Made::binds::Compound:Gene", "The compound binds the protein of the gene."),
    ("Made::causes::Gene:Disease", "A change of the gene causes the disease."),
]
