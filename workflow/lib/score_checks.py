"""What the scores need, checked when the plan is made."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from kgtextvec.errors import InputError
from kgtextvec.settings.scores import LinkPrediction

if TYPE_CHECKING:
    from .plan import Plan


def check_links(plan: "Plan", links: LinkPrediction) -> None:
    """Check that link prediction has a graph, its spaces, and PyKEEN where it would run."""
    if not (plan.tables_of("entities") and plan.graph_asked):
        raise InputError(
            "config, evaluate.link_prediction: needs a table of entities, and graph.file or"
            " evaluate.triples, the graph to train on. Add what is missing, or leave the section"
            " out."
        )
    if "relations_from_text" in links.starts and not plan.bundle["relation_types"]:
        raise InputError(
            "config, evaluate.link_prediction.starts: relations_from_text needs a table of kind"
            " relation_types. Add one, or leave that start out."
        )
    for space in links.spaces or ():
        if space not in plan.spaces:
            raise InputError(
                f"config, evaluate.link_prediction.spaces: {space} is not among spaces. Choose"
                f" among {', '.join(plan.spaces)}, or add it there."
            )
    if not (plan.in_conda or plan.in_image) and find_spec("pykeen") is None:
        raise InputError(
            "config, evaluate.link_prediction: PyKEEN is not installed. Run `make links` (from a"
            " checkout) or `pip install 'kgtextvec[links]'`, or leave the section out."
        )


def check_leakage(plan: "Plan") -> None:
    """Check that the score `leakage` has what it masks, and room for its tables of masked texts."""
    where = "config, evaluate.scores: leakage"
    if not plan.graph_asked:
        raise InputError(f"{where} needs graph.file, the edges whose ends are masked. Set it.")
    if plan.config.evaluate.test_triples:
        raise InputError(f"{where} hides entities itself. Leave it or evaluate.test_triples out.")
    if not plan.masked:
        raise InputError(
            f"{where} needs a table of entities whose text is more than the name. Add a column to"
            " its text, or leave the score out."
        )
    for name in set(plan.masked) & set(plan.tables):
        raise InputError(f"config, tables.{name}: {where} uses that name. Rename the table.")
