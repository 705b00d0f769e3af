"""What the config asks for, checked, and the params that follow from its settings."""

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from glob import glob, has_magic
from importlib import import_module
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from kgtextvec import __version__
from kgtextvec.__main__ import VERBS, WANTED_VERSION
from kgtextvec.errors import InputError
from kgtextvec.registry import FORMS, SPACES
from kgtextvec.settings.base import Settings, flag_of, flags, pick, read_settings, settings_of
from kgtextvec.settings.config import Config
from kgtextvec.settings.edges import edges_as_json
from kgtextvec.settings.models import (
    Access,
    Device,
    EncoderOptions,
    Mode,
    Model,
    TokenOptions,
)
from kgtextvec.settings.scores import LinkPrediction, LinkTraining, Scoring, Seeded
from kgtextvec.settings.spaces import (
    Alignment,
    Examples,
    InverseRelations,
    MapLayout,
    Reduce,
)
from kgtextvec.settings.tables import Sharding, Table
from kgtextvec.settings.training import (
    FineTune,
    FineTuning,
    PairReading,
    ProbeTraining,
    TagReading,
    TagScheme,
    TokenCache,
)
from kgtextvec.yaml_files import read_yaml

from .checks import add_finetuned, add_hub_models, check_plan
from .together import TablesTogether

Wildcards = Any  # Snakemake's own: model, table, … are attributes
WITHOUT_GPU = ("endpoint", "words")  # kinds of model that never run on one
# What Snakemake calls to get a param of a job.
Param = Callable[[Wildcards], object]


class Plan(TablesTogether):
    """The config, checked, and what follows from it alone."""

    def __init__(
        self,
        raw: dict[str, Any],
        catalogue: Path,
        root: Path,
        in_conda: bool,
        in_image: bool = False,
    ) -> None:
        """Check the config against the catalogue's file; `root` is the workflow's folder.

        `in_conda`: jobs run in conda environments; `in_image`: in the config's image.
        Raises InputError, one line that names the key.
        """
        self.root, self.in_conda, self.in_image = root, in_conda, in_image
        listed = read_yaml(catalogue)
        self.config = read_settings(Config, raw, "config, ")
        self.entries = {
            name: dict(entry) for name, entry in (listed | raw.get("catalogue", {})).items()
        }
        self.catalogue = {
            name: read_settings(Model, entry, f"catalogue, {name}.")
            for name, entry in self.entries.items()
        }
        self.tables: dict[str, Table] = self.config.tables
        self.models: tuple[str, ...] = self.config.models
        self.spaces: tuple[str, ...] = self.config.spaces
        self.finetuned: dict[str, FineTune] = self.config.finetune
        self.links: LinkPrediction | None = self.config.evaluate.link_prediction
        self.probes = [name for name in ("ner", "nli") if getattr(self.config.probe, name)]
        add_hub_models(self)
        add_finetuned(self)
        check_plan(self)

    @property
    def all_models(self) -> list[str]:
        """The models asked for, and those that others are fine-tuned from or adapters of."""
        entries = [self.catalogue[name] for name in self.models if name in self.catalogue]
        adapted = [entry.adapter_of for entry in entries if entry.adapter_of in self.catalogue]
        origins = (wanted.origin for wanted in self.finetuned.values())
        return [*self.models, *origins, *(name for name in adapted if name)]

    @property
    def has_endpoints(self) -> bool:
        """Whether texts are sent to a server."""
        return any(self.catalogue[model].kind == "endpoint" for model in self.models)

    @property
    def reduced(self) -> list[str]:
        """The reduced spaces."""
        return [space for space in self.spaces if space != "full"]

    @property
    def fit_on(self) -> str:
        """The table that PCAs are fitted on: by default the only table of entities."""
        asked, of_kind = self.config.reduce.fit_on, self.tables_of("entities")
        by_default = asked == Reduce().fit_on and asked not in self.tables
        return of_kind[0] if by_default and len(of_kind) == 1 else asked

    @property
    def fitted(self) -> list[str]:
        """The reduced spaces that have a basis, fitted on one table."""
        return [space for space in self.reduced if SPACES[space].fit]

    def dims_in(self, space: str) -> int:
        """Return the dims in a reduced space's name; 0 for those of the model."""
        found: int | None = SPACES[space].dims_in(space)
        return found or 0

    @property
    def link_spaces(self) -> Sequence[str]:
        """Spaces of link prediction: by default the reduced ones, or `full` if it is alone."""
        return (self.links.spaces if self.links else None) or self.reduced or self.spaces

    @cached_property
    def space_forms(self) -> list[str]:
        """All forms that are files of a space, except npy, which each space has anyway."""
        return [form for form in FORMS.names() if form != "npy" and FORMS[form].scope == "space"]

    @cached_property
    def bundle_forms(self) -> list[str]:
        """The forms asked for that hold entities and relation types together."""
        return [form for form in self.config.exports if FORMS[form].scope == "bundle"]

    def file(self, path: str) -> str:
        """Return a user's path: from the working directory, else from the workflow's folder."""
        there = self.root / path
        return str(there) if not Path(path).exists() and there.exists() else path

    def files(self, asked: str | Sequence[str] | None) -> list[str]:
        """Return the files that a path, a pattern or a list of them refers to, in order.

        A pattern that no file matches is kept as it is.
        """
        found: list[str] = []
        for path in [asked] if isinstance(asked, str) else asked or ():
            if "://" in path and "*" in path:
                raise InputError(
                    f"config: {path}: a pattern can't be looked up at an address. List the files."
                )
            whole = self.file(path)
            matching: list[str] = []
            if "://" not in path and has_magic(path) and not Path(whole).exists():
                patterns = (path, str(self.root / path))
                matching = next((sorted(one) for one in map(glob, patterns) if one), [])
            found += matching or [whole]
        return list(dict.fromkeys(found))

    def shown_in_report(self) -> dict[str, object]:
        """Return what the captions of Snakemake's report say of the config, defaults included."""
        return {
            "tables": {
                name: {"file": shown_files(table.file)} for name, table in self.tables.items()
            },
            "models": list(self.models),
            "spaces": list(self.spaces),
            "reduce": {"fit_on": self.fit_on},
        }

    # --- params ----------------------------------------------------------------------------

    def engine(self, wildcards: Wildcards, resources: object) -> str:
        """Return the engine's command; it takes `resources`, so that no path becomes a param.

        An image has an engine of its own, which must be of this version.
        """
        if self.in_image:
            return f"{WANTED_VERSION}={__version__} python -P -m kgtextvec"
        python = "python" if self.in_conda else shlex.quote(sys.executable)
        source = self.root / "src"
        more = "${PYTHONPATH:+:$PYTHONPATH}"
        path = f'PYTHONPATH={shlex.quote(str(source))}"{more}" ' if source.is_dir() else ""
        return f"{path}{python} -P -m kgtextvec"

    def recipe(self, rule: str) -> int | Param:
        """Return the number that is bumped by hand when the rule's results change.

        Where a rule has one for each kind of model, return a param: the number of the job's model.
        """
        step = VERBS[rule.replace("_", "-")][0].split(".")[0]
        found: int | dict[str, int] = import_module(f"kgtextvec.{step}").RECIPE[rule]
        if isinstance(found, int):
            return found
        by_kind = found
        return lambda wildcards: by_kind.get(str(self.kind_of(wildcards)))

    def settings(self, of: Callable[[Wildcards], Iterable[Settings]], edges: bool = False) -> Param:
        """Return a param: the flags for settings that change results and aren't at defaults.

        With `edges`, also how files of edges are read.
        """

        def value(wildcards: Wildcards) -> str:
            found = flags(*of(wildcards), acts="vectors", kind=self.kind_of(wildcards))
            graph = self.config.graph
            how = edges_as_json(graph) if edges and graph else ""
            return f"{found} --edges {shlex.quote(how)}".strip() if how else found

        return value

    def unrecorded(
        self, of: Callable[[Wildcards], Iterable[Settings]]
    ) -> Callable[[Wildcards, object], str]:
        """Return a param: flags for settings that change other rules' results, not this one's.

        Snakemake does not record what takes `resources`.
        """

        def value(wildcards: Wildcards, resources: object) -> str:
            return flags(*of(wildcards), acts="vectors", kind=self.kind_of(wildcards))

        return value

    def run(
        self, of: Callable[[Wildcards], Iterable[Settings]], *paths: str
    ) -> Callable[[Wildcards, object], str]:
        """Return a param for settings that change no result: they are no reason to rerun.

        `paths`: keys of the config whose values are always given, as flags.
        """

        def value(wildcards: Wildcards, resources: object) -> str:
            given = [word for key in paths for word in (f"--{key}", getattr(self.config, key))]
            found = flags(*of(wildcards), acts="run", kind=self.kind_of(wildcards))
            return f"{shlex.join(given)} {found}".strip()

        return value

    def kind_of(self, wildcards: Wildcards) -> str | None:
        """Return the kind of the wildcards' model, if there is one."""
        model = getattr(wildcards, "model", None)
        return self.catalogue[model].kind if model in self.catalogue else None

    # Which settings a rule's verb takes.

    def of_nothing(self, wildcards: Wildcards) -> list[Settings]:
        """No settings."""
        return []

    def of_device(self, wildcards: Wildcards) -> list[Settings]:
        """Where computations run."""
        return [pick(Device, self.config.embed)]

    def of_table(self, wildcards: Wildcards) -> list[Settings]:
        """How the table is read."""
        return [pick(Sharding, self.tables[wildcards.table])]

    def of_encoding(self, wildcards: Wildcards) -> list[Settings]:
        """How a text becomes a vector: the keys of the model's entry."""
        return [pick(EncoderOptions, self.catalogue[wildcards.model])]

    def of_embed(self, wildcards: Wildcards) -> list[Settings]:
        """How texts become vectors."""
        return [*self.of_encoding(wildcards), self.config.embed, pick(Mode, self.config)]

    def of_reduce(self, wildcards: Wildcards) -> list[Settings]:
        """How PCAs are fitted."""
        return [replace(self.config.reduce, fit_on=self.fit_on), pick(Mode, self.config)]

    def of_inverses(self, wildcards: Wildcards) -> list[Settings]:
        """Which inverse relations exports have."""
        asked = self.inverses_in(getattr(wildcards, "form", None))
        return [InverseRelations(inverse_relations=asked)]

    def of_align(self, wildcards: Wildcards) -> list[Settings]:
        """How vectors are aligned."""
        return [pick(Alignment, self.config.align)] if self.config.align else []

    def of_scoring(self, wildcards: Wildcards) -> list[Settings]:
        """How spaces are scored: on a GPU where there is one, as the rule requests none."""
        device = pick(Device, self.config.embed)
        if device.device.startswith("cuda"):
            device = replace(device, device="auto")
        return [pick(Scoring, self.config.evaluate), device]

    def of_seed(self, wildcards: Wildcards) -> list[Settings]:
        """Return the seed of the choice of hidden entities."""
        return [pick(Seeded, self.config.evaluate)]

    def of_links(self, wildcards: Wildcards) -> list[Settings]:
        """How link prediction trains."""
        training = pick(LinkTraining, self.links or LinkTraining())
        return [training, pick(Seeded, self.config.evaluate), *self.of_device(wildcards)]

    def of_map(self, wildcards: Wildcards) -> list[Settings]:
        """How maps are laid out."""
        return [pick(MapLayout, self.config.report)]

    def of_notebook(self, wildcards: Wildcards) -> list[Settings]:
        """Whose neighbours the notebook shows."""
        return [pick(Examples, self.config.report)]

    def of_finetuning(self, wildcards: Wildcards) -> list[Settings]:
        """How a model is trained further."""
        wanted = self.finetuned[wildcards.model]
        tokens = self.catalogue[wanted.origin].tokens if wanted.text in self.tables else None
        held_out = wanted.held_out
        training = replace(
            pick(FineTuning, wanted),
            tokens=wanted.tokens or tokens,
            held_out=self.file(held_out) if isinstance(held_out, str) else held_out,
        )
        return [training, *self.of_device(wildcards)]

    def of_corpora(self, wildcards: Wildcards) -> list[Settings]:
        """How the corpora of a probe are read."""
        probe = self.config.probe
        if wildcards.probe == "ner":
            return [pick(TagReading, probe.ner or TagReading())]
        return [pick(PairReading, probe.nli or PairReading())]

    def of_tokens(self, wildcards: Wildcards) -> list[Settings]:
        """How words become vectors, and how these are kept."""
        options = pick(TokenOptions, self.catalogue[wildcards.model])
        return [options, pick(TokenCache, self.config.embed, self.config.probe)]

    def of_probe(self, wildcards: Wildcards) -> list[Settings]:
        """How a probe is trained."""
        probe = self.config.probe
        tags = [pick(TagScheme, probe.ner)] if probe.ner and wildcards.probe == "ner" else []
        reading = tags or self.of_corpora(wildcards)
        return [*reading, pick(ProbeTraining, probe), *self.of_device(wildcards)]

    def of_finetune(self, name: str) -> Param:
        """Return a param: one setting of the model to be fine-tuned."""
        return lambda wildcards: getattr(self.finetuned[wildcards.model], name)

    def entry(self, *keys: str, of_endpoint: tuple[str, ...] = ()) -> Param:
        """Return a param: those keys of the model's catalogue entry, and an endpoint's, as JSON."""

        def value(wildcards: Wildcards) -> str:
            found = self.entries[wildcards.model]
            more = of_endpoint if self.kind_of(wildcards) == "endpoint" else ()
            shown = {key: found[key] for key in (*keys, *more) if key in found}
            return json.dumps(shown, sort_keys=True)

        return value

    def access(self, wildcards: Wildcards, resources: object) -> str:
        """Return a param: the flag that says how an endpoint is asked, no reason to rerun."""
        if self.kind_of(wildcards) != "endpoint":
            return ""
        keys = settings_of(Access)
        found = {key: one for key, one in self.entries[wildcards.model].items() if key in keys}
        return shlex.join(["--access", json.dumps(found, sort_keys=True)])

    def option(self, key: str) -> Param:
        """Return a param: the flag for one key of the model's entry, if it has it."""

        def value(wildcards: Wildcards) -> str:
            found = self.entries[wildcards.model].get(key)
            return "" if found is None else shlex.join(flag_of(key, found))

        return value

    def gpus(self, wildcards: Wildcards) -> int:
        """Return how many GPUs a model takes."""
        on_cpu = self.config.embed.device == "cpu" or self.kind_of(wildcards) in WITHOUT_GPU
        return 0 if on_cpu else 1


def shown_files(files: str | Sequence[str]) -> str:
    """Return the files of a table as one string."""
    return files if isinstance(files, str) else ", ".join(files)


def grown(amount: int) -> Callable[[Wildcards, int], int]:
    """Return a resource that grows with every attempt."""

    def of_attempt(wildcards: Wildcards, attempt: int) -> int:
        return amount * attempt

    return of_attempt


def one_of(names: Iterable[str]) -> str:
    """Return a wildcard constraint that allows just these names."""
    return "|".join(re.escape(name) for name in names) or "-"
