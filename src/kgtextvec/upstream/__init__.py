"""BioMedGPS's own command line, with this engine behind it: for those who come from there.

`entities`, `relation-types` and `reduce-dimensions` take the options of its script and write the
same files. They chain the steps as the workflow does, for one table and one model.
"""

import argparse
from pathlib import Path
from typing import Literal

MODES = ("correct", "faithful")
WORK = Path(".kgtextvec")


def entities_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `entities`."""
    parser.add_argument(
        "-e", "--entity-file", type=Path, required=True, help="path to entities file"
    )
    embedding_arguments(parser)


def entities(
    entity_file: Path,
    model_name: str,
    output: Path,
    mode: Literal["correct", "faithful"] = "correct",
    device: str = "auto",
    work: Path = WORK,
) -> None:
    """Write entity vectors: embedding_id, entity_id, entity_name, entity_type, embedding.

    The text is the description, the name where it is empty. Raises InputError for a table or a
    model that can't be used.
    """
    from kgtextvec.settings.models import Mode
    from kgtextvec.upstream.chain import embed_table

    embed_table("entities", entity_file, model_name, output, Mode(mode=mode), device, work)


def relation_types_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `relation-types`."""
    parser.add_argument(
        "-r", "--relation-type-file", type=Path, required=True, help="path to relation types file"
    )
    embedding_arguments(parser)


def relation_types(
    relation_type_file: Path,
    model_name: str,
    output: Path,
    mode: Literal["correct", "faithful"] = "correct",
    device: str = "auto",
    work: Path = WORK,
) -> None:
    """Write relation vectors: embedding_id, relation_type, embedding; the text is description.

    Raises InputError for a table or a model that can't be used.
    """
    from kgtextvec.settings.models import Mode
    from kgtextvec.upstream.chain import embed_table

    embed_table(
        "relation_types", relation_type_file, model_name, output, Mode(mode=mode), device, work
    )


def embedding_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `entities` and `relation-types` share."""
    add = parser.add_argument
    add(
        "-m",
        "--model-name",
        required=True,
        help="a name of config/models.yaml, a folder, or a hub's owner/name (@commit to pin it)",
    )
    add("-o", "--output", type=Path, required=True, help="output file, TSV")
    add("--mode", choices=MODES, default="correct", help="faithful: as the script, faults included")
    add("--device", default="auto", help="auto, cuda, mps or cpu")
    add("--work", type=Path, default=WORK, help="where models and finished vectors are kept")


def reduce_dimensions_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `reduce-dimensions`."""
    add = parser.add_argument
    add("-e", "--embedding-file", type=Path, required=True, help="path to embedding file")
    add("-o", "--output", type=Path, required=True, help="output file")
    add("-d", "--dimensions", type=int, default=2, help="number of dimensions (default: 2)")
    add("-m", "--method", choices=("pca", "tsne", "umap"), default="tsne", help="default: tsne")
    add("-p", "--perplexity", type=int, default=30, help="of tsne (default: 30)")
    add("-l", "--learning-rate", type=int, default=200, help="of tsne (default: 200)")
    add("-i", "--n-iter", type=int, default=1000, help="steps of tsne (default: 1000)")
    add("--mode", choices=MODES, default="correct", help="faithful: as the script, faults included")


def reduce_dimensions(
    embedding_file: Path,
    output: Path,
    dimensions: int = 2,
    method: str = "tsne",
    perplexity: int = 30,
    learning_rate: int = 200,
    n_iter: int = 1000,
    mode: Literal["correct", "faithful"] = "correct",
) -> None:
    """Write the table again with its column `embedding` reduced to `dimensions`.

    Raises InputError when the file is no such table, and for dimensions that the method can't do.
    """
    from kgtextvec.upstream.reducing import Wish, reduce_table

    wish = Wish(dimensions, method, perplexity, learning_rate, n_iter, mode)
    reduce_table(embedding_file, output, wish)
