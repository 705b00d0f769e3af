# All spaces side by side: one page over all models, tables and spaces.
from itertools import product
from types import SimpleNamespace


def every_space():
    """Model, table and space of every space, by name as wildcards are."""
    return [
        SimpleNamespace(model=model, table=table, space=space)
        for model, table, space in product(MODELS, TABLES, SPACES)
    ]


def manifests_of_spaces(wildcards):
    """The manifest of every space."""
    return [ancient(space_made(one).manifest) for one in every_space()]


def scores_of_spaces(wildcards):
    """The scores of every space."""
    return [
        ancient(checkpoints.evaluate_space.get(**vars(one)).output.scores)
        for one in every_space()
    ]


def manifests_of_texts(wildcards):
    """The manifest of every table: it names the file."""
    return [ancient(texts_made(table).manifest) for table in TABLES]


def compared_digest(wildcards):
    """Digests of what the page is made from, file by file."""
    parts = (manifests_of_spaces, scores_of_spaces, manifests_of_texts)
    return [
        sha256_at(str(path), Path(path).stat().st_mtime_ns)
        for part in parts
        for path in part(wildcards)
    ]


rule compare_spaces:
    input:
        manifests=manifests_of_spaces,
        cards=scores_of_spaces,
        texts=manifests_of_texts,
        scores="<results>/scores.tsv",
    output:
        html=report(
            "<results>/compare.html",
            caption="../report/compare.rst",
            category="4 scores",
            labels={"page": "comparison"},
        ),
    log:
        "<logs>/compare_spaces.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        engine=engine,
        digest=compared_digest,
        recipe=RECIPE["compare_spaces"],
    shell:
        "{params.engine} compare-spaces {input.manifests:q} --scores {input.scores:q}"
        " --texts {input.texts:q} --out-html {output.html:q} > {log:q} 2>&1"
