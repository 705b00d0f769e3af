"""What depends on what: by content.

Whatever others build on is a checkpoint that leaves a digest of what it made. A job takes such
a file as ancient() and the digest as a param: it reruns when the content changed, and only
then. Three traps of Snakemake: a checkpoint's first output must be among the inputs of a rule
whose params ask it; behind a job that is to run, ancient() hides changed params until the graph
is looked at again, which happens after checkpoints alone; and if a checkpoint finishes while the
job that makes an ancient() input is running and its output is there already, all jobs behind it
are dropped, and the run ends as if it had made everything. So what makes an ancient() input is a
checkpoint, even unpack_model: when it finishes, these jobs are found again.
"""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakemake.exceptions import IncompleteCheckpointException, WorkflowError
from snakemake.io import ancient, expand

from kgtextvec.checksums import vectors_id
from kgtextvec.errors import InputError
from kgtextvec.files import parse_json
from kgtextvec.kinds import FACTS, IN_GRAPHS
from kgtextvec.records import refuse_edited

from .contents import contents_of, short_sha256
from .inputs import Input, Inputs, until_made
from .model_dims import dims_of_spaces
from .plan import Param, Plan, Wildcards


def read_manifest(path: object) -> Any:
    """Return what a manifest says. Raises WorkflowError when it is damaged."""
    return json_in(contents_of(path), str(path))


@cache
def json_in(data: bytes, name: str) -> Any:
    """Parse a record, once per content. Raises WorkflowError when it is damaged or was edited."""
    try:
        found = parse_json(data)
        refuse_edited(Path(name), found)
    except InputError as error:
        raise WorkflowError(f"ERROR: {error}") from None
    except ValueError as error:
        raise WorkflowError(
            f"ERROR: {name}: not valid JSON ({error}). Delete it and rerun."
        ) from None
    return found


def space_digest_in(path: object) -> str:
    """Return the digest of the vectors and rows that a space's manifest describes."""
    return f"{vectors_digest_in(path)} {read_manifest(path)['index_digest'][:16]}"


def vectors_digest_in(path: object) -> str:
    """Return the digest of the vectors that a space's manifest describes.

    As the version that wrote the manifest computed it, or all that is made of them would be again.
    """
    found = vectors_id(read_manifest(path))
    if found is None:
        raise WorkflowError(f"ERROR: {path}: has no digest of its vectors. Delete it and rerun.")
    return found[:16]


class Content:
    """Input functions for the outputs of checkpoints, and params for their digests."""

    def __init__(self, plan: Plan, inputs: Inputs, checkpoints: Any, rules: Any) -> None:
        """Take Snakemake's own `checkpoints` and `rules`, of which more come as files are read."""
        self.plan, self.inputs = plan, inputs
        self.checkpoints, self.rules = checkpoints, rules
        self.waited_for: dict[tuple[str, ...], tuple[Any, Any]] = {}

    # --- outputs of the jobs that make something ----------------------------------------------

    def output_of(self, checkpoint: str, **wildcards: str) -> Any:
        """Return the outputs of a checkpoint's job.

        Raises IncompleteCheckpointException where it has not run yet. Snakemake finds this out by
        spelling all its outputs, once for each job that waits; here that is done once in all.
        """
        key = (checkpoint, *wildcards.values())
        rule, first = self.waited_for.get(key, (None, None))
        if rule and first not in self.checkpoints.created_output:
            raise IncompleteCheckpointException(rule, first)
        try:
            return getattr(self.checkpoints, checkpoint).get(**wildcards).output
        except IncompleteCheckpointException as error:
            self.waited_for[key] = (error.rule, error.targetfile)
            raise

    def texts(self, table: str) -> Any:
        """Return the outputs of the job that reads a table, or that masks its texts."""
        if table in self.plan.masked:
            return self.output_of("mask_texts", table=self.plan.masked[table])
        return self.output_of("read_texts", table=table)

    def full(self, model: str, table: str) -> Any:
        """Return the outputs of the job that makes a table's space `full`."""
        return self.output_of("gather_shards", model=model, table=table)

    def space(self, wildcards: Any) -> Any:
        """Return the outputs of the job that makes a space."""
        if wildcards.space == "full":
            return self.full(wildcards.model, wildcards.table)
        return self.output_of(
            "apply_pca", model=wildcards.model, table=wildcards.table, space=wildcards.space
        )

    def spaces_of_bundle(self, wildcards: Wildcards) -> list[Any]:
        """Return the outputs of the jobs that make a bundle's spaces."""
        return [
            self.space(SimpleNamespace(model=wildcards.model, table=table, space=wildcards.space))
            for table in self.plan.tables_in_bundle(getattr(wildcards, "form", None))
        ]

    def made_inverses(self, wildcards: Wildcards) -> list[Any]:
        """Return the outputs of the job that makes the space of inverse relations, if asked for."""
        asked = self.plan.inverses_in(getattr(wildcards, "form", None))
        if asked not in self.plan.tables:
            return []
        of = SimpleNamespace(model=wildcards.model, table=asked, space=wildcards.space)
        return [self.space(of)]

    @until_made
    def inverse_space(self, wildcards: Wildcards) -> list[object]:
        """Return the files of the space of inverse relations, if it is asked for."""
        return [
            ancient(file)
            for made in self.made_inverses(wildcards)
            for file in (made.vectors, made.index, made.manifest)
        ]

    def space_with_dims(self, wildcards: Wildcards) -> Any:
        """Return the outputs of the job that makes the table's space with so many dims."""
        dims = int(wildcards.dims)
        of_dims = [space for space in self.plan.reduced if self.plan.dims_in(space) == dims]
        space = (of_dims or ["full"])[0]
        return self.space(
            SimpleNamespace(model=wildcards.model, table=wildcards.table, space=space)
        )

    def mapped(self, wildcards: Wildcards) -> SimpleNamespace:
        """Return the entities' space whose map BioMedGPS shows: a reduced one, if there is one."""
        space = (self.plan.reduced or ["full"])[0]
        table = self.plan.bundle["entities"]
        return SimpleNamespace(model=wildcards.model, table=table, space=space)

    # --- input functions ------------------------------------------------------------------------

    def shard_names(self, table: str) -> list[str]:
        """Return the names of a table's shards: 000-of-001."""
        n_shards = 1 if table in self.plan.masked else self.plan.tables[table].shards
        width = max(3, len(str(n_shards)))
        return [f"{i:0{width}}-of-{n_shards:0{width}}" for i in range(n_shards)]

    def shards(self, ending: str) -> Input:
        """Return an input: the files with that ending of all shards of the table."""
        return lambda wildcards: expand(
            "<results>/{model}/{table}/shards/{shard}.{ending}",
            model=wildcards.model,
            table=wildcards.table,
            shard=self.shard_names(wildcards.table),
            ending=ending,
        )

    def of_texts(self, name: str) -> Input:
        """Return an input: that output of read_texts for the table."""
        return until_made(lambda wildcards: ancient(getattr(self.texts(wildcards.table), name)))

    @until_made
    def names_of_facts(self, wildcards: Wildcards) -> list[object]:
        """Return the rows, with their manifests, of the tables that name the parts of facts."""
        if self.plan.tables[wildcards.table].kind != FACTS.name:
            return []
        named = [one for kind in IN_GRAPHS for one in self.plan.tables_of(kind.name)]
        made = [self.texts(table) for table in named]
        return [file for texts in made for file in (texts.manifest, texts.rows)]

    @until_made
    def embedded_before(self, wildcards: Wildcards) -> list[object]:
        """Return the vectors that a table of masked texts waits for: most of its texts are theirs.

        So these are taken from the store, instead of embedded twice at the same time.
        """
        table = self.plan.masked.get(wildcards.table)
        return [ancient(self.full(wildcards.model, table).manifest)] if table else []

    def of_full(self, name: str) -> Input:
        """Return an input: that file of the table's full space."""
        return until_made(
            lambda wildcards: ancient(getattr(self.full(wildcards.model, wildcards.table), name))
        )

    def of_fitted(self, name: str) -> Input:
        """Return an input: that file of the full space that PCAs are fitted on."""
        table, full = self.plan.fit_on, self.full
        return until_made(lambda wildcards: ancient(getattr(full(wildcards.model, table), name)))

    def of_space(self, name: str) -> Input:
        """Return an input: that file of the space."""
        return until_made(lambda wildcards: ancient(getattr(self.space(wildcards), name)))

    def of_bundle(self, name: str) -> Input:
        """Return an input: that file of each of the bundle's spaces."""
        made = self.spaces_of_bundle
        return until_made(lambda wildcards: [ancient(getattr(m, name)) for m in made(wildcards)])

    def of_dims(self, name: str) -> Input:
        """Return an input: that file of the space with so many dims."""
        return until_made(lambda wildcards: ancient(getattr(self.space_with_dims(wildcards), name)))

    def of_mapped(self, name: str) -> Input:
        """Return an input: that file of the space that BioMedGPS's map shows."""
        return until_made(
            lambda wildcards: ancient(getattr(self.space(self.mapped(wildcards)), name))
        )

    @until_made
    def basis(self, wildcards: Wildcards) -> object:
        """Return the basis of a reduced space; nothing for a space without one."""
        if wildcards.space not in self.plan.fitted:
            return []
        made = self.output_of("fit_pca", model=wildcards.model, space=wildcards.space)
        return ancient(made.pca)

    @until_made
    def layout(self, wildcards: Wildcards) -> object:
        """Return the coordinates of the space's map."""
        return ancient(self.output_of("draw_map", **dict(wildcards)).layout)

    @until_made
    def mapped_layout(self, wildcards: Wildcards) -> object:
        """Return the coordinates of the map that BioMedGPS shows."""
        made = self.output_of("draw_map", **vars(self.mapped(wildcards)))
        return ancient(made.layout)

    def full_of_reduced(self, name: str) -> Input:
        """Return an input: for a reduced space, that file of the full one it is compared with."""

        @until_made
        def value(wildcards: Wildcards) -> object:
            if wildcards.space == "full":
                return []
            return ancient(getattr(self.full(wildcards.model, wildcards.table), name))

        return value

    @until_made
    def scores(self, wildcards: Wildcards) -> object:
        """Return the space's scores, when any are wanted."""
        if not self.plan.config.evaluate.scores:
            return []
        return ancient(self.output_of("evaluate_space", **dict(wildcards)).scores)

    @until_made
    def full_manifests(self, wildcards: Wildcards) -> list[object]:
        """Return the manifests of a table's full spaces, of every model."""
        return [ancient(self.full(model, wildcards.table).manifest) for model in self.plan.models]

    @until_made
    def full_indexes(self, wildcards: Wildcards) -> list[object]:
        """Return the indexes of a table's full spaces, of every model."""
        return [ancient(self.full(model, wildcards.table).index) for model in self.plan.models]

    # --- fine-tuning -----------------------------------------------------------------------------

    def base_record(self, wildcards: Wildcards) -> str:
        """Return the record of the files that training starts from."""
        origin = self.plan.finetuned[wildcards.model].origin
        step = "finetuned" if origin in self.plan.finetuned else "downloads"
        return f"<resources>/{step}/{origin}.json"

    def base_folder(self, wildcards: Wildcards) -> object:
        """Return these files. They are unpacked again when needed: no reason to train again."""
        origin = self.plan.finetuned[wildcards.model].origin
        step = "finetuned" if origin in self.plan.finetuned else "unpacked"
        return ancient(f"<resources>/{step}/{origin}")

    @until_made
    def training_text(self, wildcards: Wildcards) -> object:
        """Return the text to train on: a table's texts, or a file."""
        text = self.plan.finetuned[wildcards.model].text
        is_table = text in self.plan.tables
        return ancient(self.texts(text).shards) if is_table else self.inputs.file(text)

    @until_made
    def training_manifest(self, wildcards: Wildcards) -> object:
        """Return a table's manifest, whose digest shows whether its texts changed."""
        text = self.plan.finetuned[wildcards.model].text
        return ancient(self.texts(text).manifest) if text in self.plan.tables else []

    def model_files(self, wildcards: Wildcards) -> object:
        """Return the folder that a model is converted from."""
        if wildcards.model in self.plan.finetuned:
            return self.rules.finetune_model.output.folder
        if self.plan.kind_of(wildcards) == "endpoint":
            return []
        return self.rules.unpack_model.output[0]

    def model_record(self, wildcards: Wildcards) -> object:
        """Return what says where a model's files are from."""
        if wildcards.model in self.plan.finetuned:
            return self.rules.finetune_model.output.downloaded
        if self.plan.kind_of(wildcards) == "endpoint":
            return []
        return self.rules.download_model.output[0]

    def adapted_model(self, wildcards: Wildcards) -> object:
        """Return the folder of the model that an adapter belongs to, if the model is one."""
        base = self.plan.catalogue[wildcards.model].adapter_of
        return expand(self.rules.convert_model.output[0], model=base) if base else []

    # --- digests ---------------------------------------------------------------------------------

    def shard_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the shard's texts."""
        shards = read_manifest(self.texts(wildcards.table).manifest)["shards"]
        found: str = shards[wildcards.shard]["digest"]
        return found

    def rows_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the table's rows, and the form of its node ids."""
        found = read_manifest(self.texts(wildcards.table).manifest)
        return " ".join(found[key] for key in ("digest", "node_id") if key in found)

    def training_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of a table's texts; a file is watched by Snakemake itself."""
        text = self.plan.finetuned[wildcards.model].text
        is_table = text in self.plan.tables
        return self.rows_digest(SimpleNamespace(table=text)) if is_table else ""

    def full_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the table's full space."""
        return space_digest_in(self.full(wildcards.model, wildcards.table).manifest)

    def fitted_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the vectors that PCAs are fitted on."""
        made = self.full(wildcards.model, self.plan.fit_on)
        return vectors_digest_in(made.manifest)

    def space_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the space."""
        return space_digest_in(self.space(wildcards).manifest)

    def bundle_digests(self, wildcards: Wildcards) -> list[str]:
        """Return the digests of the bundle's spaces, and which inverse relations it has, if any."""
        made = [*self.spaces_of_bundle(wildcards), *self.made_inverses(wildcards)]
        asked = self.plan.inverses_in(getattr(wildcards, "form", None))
        return [space_digest_in(one.manifest) for one in made] + [asked] * (asked != "none")

    def dims_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the space with so many dims."""
        return space_digest_in(self.space_with_dims(wildcards).manifest)

    def mapped_digest(self, wildcards: Wildcards) -> str:
        """Return the digest of the mapped space."""
        return space_digest_in(self.space(self.mapped(wildcards)).manifest)

    def quality_digest(self, wildcards: Wildcards) -> list[str]:
        """Return the digests of what a quality report shows: rows, every model's vectors."""
        made = [self.full(model, wildcards.table).manifest for model in self.plan.models]
        return [self.rows_digest(wildcards), *map(space_digest_in, made)]

    def file_digest(self, of: Input) -> Param:
        """Return a param: the digest of a small file that an input function names."""

        def value(wildcards: Wildcards) -> str:
            path = of(wildcards)
            if not path:
                return ""
            return short_sha256(contents_of(path))

        return value

    def dims_of_spaces(self, model: str, table: str) -> list[str]:
        """Return the dims of a table's spaces; those of `full` are the model's.

        Raises WorkflowError when two spaces have the same.
        """
        full = int(read_manifest(self.full(model, table).manifest)["dims"])
        try:
            return [str(size) for size in dims_of_spaces(self.plan, full)]
        except InputError as error:
            raise WorkflowError(str(error)) from None
