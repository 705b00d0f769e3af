"""The verbs that BioMedGPS's script has."""

from pathlib import Path
from typing import Annotated, Literal

from kgtextvec.settings.models import Mode

NamedModel = Annotated[
    str, "a name of config/models.yaml, a folder, or a hub's owner/name (@commit to pin it)", "-m"
]
OutputTsv = Annotated[Path, "output file, TSV", "-o"]
ScriptMode = Annotated[
    Literal["correct", "faithful"], "faithful: as the script, including its errors"
]
UsedDevice = Annotated[str, "auto, cuda, mps or cpu"]
WorkFolder = Annotated[Path, "where models and finished vectors are kept"]
WORK = Path(".kgtextvec")


def entities(
    *,
    entity_file: Annotated[Path, "path to entities file", "-e"],
    model_name: NamedModel,
    output: OutputTsv,
    mode: ScriptMode = "correct",
    device: UsedDevice = "auto",
    work: WorkFolder = WORK,
) -> None:
    """Write entity vectors: embedding_id, entity_id, entity_name, entity_type, embedding.

    The text is the description, the name where it is empty. Raises InputError for a table or a
    model that can't be used.
    """
    from kgtextvec.upstream.chain import embed_table

    embed_table("entities", entity_file, model_name, output, Mode(mode=mode), device, work)


def relation_types(
    *,
    relation_type_file: Annotated[Path, "path to relation types file", "-r"],
    model_name: NamedModel,
    output: OutputTsv,
    mode: ScriptMode = "correct",
    device: UsedDevice = "auto",
    work: WorkFolder = WORK,
) -> None:
    """Write relation vectors: embedding_id, relation_type, embedding; the text is description.

    Raises InputError for a table or a model that can't be used.
    """
    from kgtextvec.upstream.chain import embed_table

    embed_table(
        "relation_types", relation_type_file, model_name, output, Mode(mode=mode), device, work
    )


def reduce_dimensions(
    *,
    embedding_file: Annotated[Path, "path to embedding file", "-e"],
    output: Annotated[Path, "output file", "-o"],
    dimensions: Annotated[int, "number of dimensions (default: 2)", "-d"] = 2,
    method: Annotated[Literal["pca", "tsne", "umap"], "default: tsne", "-m"] = "tsne",
    perplexity: Annotated[int, "of tsne (default: 30)", "-p"] = 30,
    learning_rate: Annotated[int, "of tsne (default: 200)", "-l"] = 200,
    n_iter: Annotated[int, "steps of tsne (default: 1000)", "-i"] = 1000,
    mode: ScriptMode = "correct",
) -> None:
    """Write the table again with its column `embedding` reduced to `dimensions`.

    Raises InputError when the file is no such table, and for dimensions that the method can't do.
    """
    from kgtextvec.upstream.reducing import ScriptOptions, reduce_table

    options = ScriptOptions(dimensions, method, perplexity, learning_rate, n_iter, mode)
    reduce_table(embedding_file, output, options)
