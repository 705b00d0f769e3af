"""What a run makes: the files that the rule `all` asks for."""

import json
import os
import subprocess
import sys

from snakemake.io import expand

from kgtextvec.job_client import SOCKET_VARIABLE
from kgtextvec.kinds import IN_GRAPHS
from kgtextvec.models.sources import watched_files

from .content import Content
from .inputs import Inputs
from .model_dims import known_dims
from .plan import Plan, Wildcards


class Targets:
    """The files of a run, by kind."""

    def __init__(self, plan: Plan, inputs: Inputs, content: Content) -> None:
        self.plan, self.inputs, self.content = plan, inputs, content

    def in_spaces(self, *names: str) -> list[str]:
        """Return those files of every model, table and space."""
        found: list[str] = expand(
            "<results>/{model}/{table}/{space}/{name}",
            model=self.plan.models,
            table=self.plan.tables,
            space=self.plan.spaces,
            name=names,
        )
        return found

    def vectors(self) -> list[str]:
        """Return the vectors of every space, and the PCAs behind them."""
        fitted: list[str] = expand(
            "<results>/{model}/{space}.npz", model=self.plan.models, space=self.plan.fitted
        )
        return self.in_spaces("embeddings.npy", "index.parquet", "manifest.json") + fitted

    def exports(self) -> list[str]:
        """Return every export in a space's folder; npy is the space's own file."""
        names = [f"embeddings.{form}" for form in self.plan.space_forms if self.exported(form)]
        return self.in_spaces(*names) if names else []

    def exported(self, form: str) -> bool:
        """Return whether a form is asked for."""
        return form in self.plan.config.exports

    def bundles(self, wildcards: Wildcards) -> list[str]:
        """Return every export below results/exports."""
        forms = self.forms_below_exports()
        found: list[str] = expand(
            "<results>/exports/{form}/{model}/{space}",
            form=[form for form in forms if form != "biomedgps"],
            model=self.plan.models,
            space=self.plan.spaces,
        )
        if self.exported("biomedgps"):
            found += self.biomedgps_reports()
            if self.plan.bundle["entities"]:
                found += expand(
                    "<results>/exports/biomedgps/{model}/entity2d.tsv", model=self.plan.models
                )
        pages: list[str] = expand("<results>/exports/{form}/README.md", form=forms)
        return found + pages

    def forms_below_exports(self) -> list[str]:
        """Return the forms that have a folder, and a page, in results/exports."""
        aligned = ["aligned"] if self.plan.config.align else []
        biomedgps = ["biomedgps"] if self.exported("biomedgps") else []
        return [*self.plan.bundle_forms, *aligned, *biomedgps]

    def biomedgps_reports(self) -> list[str]:
        """Return the reports next to BioMedGPS's vector files, one per model, table and dims."""
        return [
            f"<results>/exports/biomedgps/{model}/{table}_embeddings_{dims}.json"
            for model in self.plan.models
            for kind in IN_GRAPHS
            for table in self.plan.tables_of(kind.name)
            for dims in self.content.dims_of_spaces(model, table)
        ]

    def of_form(self, wildcards: Wildcards) -> list[str]:
        """Return what describes the exports of a form: their folders, or their reports."""
        if wildcards.form == "biomedgps":
            return self.biomedgps_reports()
        found: list[str] = expand(
            "<results>/exports/{form}/{model}/{space}",
            form=wildcards.form,
            model=self.plan.models,
            space=self.plan.spaces,
        )
        return found

    def scores(self) -> list[str]:
        """Return the scores of every space, when any are wanted."""
        return self.in_spaces("scores.json") if self.plan.config.evaluate.scores else []

    def sums(self) -> list[str]:
        """Return what each row of every space scores, by which spaces are compared in pairs."""
        wanted = self.plan.config.evaluate.scores
        return self.in_spaces("scores_by_row.parquet") if wanted else []

    def link_predictions(self) -> list[str]:
        """Return the link prediction of every table of entities, when it is wanted."""
        if self.plan.links is None:
            return []
        found: list[str] = expand(
            "<results>/{model}/{table}/{space}/link_prediction.json",
            model=self.plan.models,
            table=self.plan.tables_of("entities"),
            space=self.plan.link_spaces,
        )
        return found

    def probes(self) -> list[str]:
        """Return the results of every model and every probe that has its corpora."""
        found: list[str] = expand(
            "<results>/{model}/probes/{probe}.json",
            model=self.plan.models,
            probe=self.plan.probes,
        )
        return found

    def pages(self) -> list[str]:
        """Return what people look at: quality reports, scores, maps, notebooks."""
        found: list[str] = expand(
            "<results>/texts/{table}/quality.{ending}",
            table=self.plan.tables,
            ending=["html", "json"],
        )
        if self.link_predictions() or self.probes():
            found += [*self.link_predictions(), *self.probes(), "<results>/scores.tsv"]
        if self.plan.config.evaluate.scores:
            names = ("scores.tsv", "compare.html", "compare.ipynb")
            found += [f"<results>/{name}" for name in names]
        if self.plan.config.report.maps:
            found += self.in_spaces("map.html", "map.png", "map.svg", "layout.parquet")
        if self.plan.config.report.notebooks:
            found += self.in_spaces("explore.ipynb", "explore.html")
        return [*found, "<results>/index.html"]

    def files_of_spaces(self) -> list[str]:
        """Return the names of the files in each space's folder, those to look at first."""
        report, names = self.plan.config.report, []
        if report.maps:
            names += ["map.html", "map.png", "map.svg", "layout.parquet"]
        if report.notebooks:
            names += ["explore.html", "explore.ipynb"]
        names += ["embeddings.npy", "index.parquet", "manifest.json"]
        names += [f"embeddings.{form}" for form in self.plan.space_forms if self.exported(form)]
        return names + (["scores.json"] if self.plan.config.evaluate.scores else [])

    def pictures(self) -> list[str]:
        """Return the maps' pictures, when maps are wanted."""
        return self.in_spaces("map.png") if self.plan.config.report.maps else []

    def all_scores(self) -> list[str]:
        """Return the table of all scores, when any are wanted."""
        return ["<results>/scores.tsv"] if self.plan.config.evaluate.scores else []

    def other_files(self) -> list[str]:
        """Return what the index page links to besides tables, spaces and scores, in <results>."""
        found = [f"exports/{form}/README.md" for form in self.forms_below_exports()]
        results = self.link_predictions() + self.probes()
        trained = [model for model in self.plan.models if model in self.plan.finetuned]
        found += [f"{model}/finetune.html" for model in trained]
        return found + [path.removeprefix("<results>/") for path in results]

    def report_disk(self) -> None:
        """Estimate the disk space that the run needs; the run begins whatever comes of it."""
        plan, config = self.plan, self.plan.config
        asked = {
            "tables": {
                name: [str(file) for file in self.inputs.files(table.file)]
                for name, table in plan.tables.items()
            },
            "models": {
                model: {
                    "kind": one.kind,
                    "dims": known_dims(plan, model, one),
                    "bytes": sum(path.stat().st_size for path in watched_files(one.source)),
                    "parameters": one.parameters,
                    "server": one.model and one.source,
                }
                for model, one in ((model, plan.catalogue[model]) for model in plan.models)
            },
            "spaces": plan.spaces,
            "exports": config.exports,
            "probes": {
                probe: {
                    "files": [
                        str(file)
                        for part in ("train", "dev", "test")
                        for file in self.inputs.corpus_files(probe, part)
                    ],
                    "stored": config.probe.stored,
                }
                for probe in plan.probes
            },
        }
        where = {
            "store": config.store,
            "downloads": config.downloads,
            "results": config.pathvars.get("results", "results"),
            "resources": config.pathvars.get("resources", "resources"),
        }
        on_disk = {name: path for name, path in where.items() if "://" not in path}
        flags = [word for name, path in on_disk.items() for word in (f"--{name}", path)]
        subprocess.run(
            [sys.executable, "-P", "-m", "kgtextvec", "disk", json.dumps(asked), *flags],
            start_new_session=True,  # a Ctrl-C is Snakemake's to answer, which then kills it
            # The server of jobs is importing libraries, and this needs none.
            env=os.environ | {"PYTHONPATH": str(plan.root / "src"), SOCKET_VARIABLE: ""},
            check=False,
        )
