# Link prediction, if asked for: models of PyKEEN trained from text and from random vectors.

LINKS = config["evaluate"].get("link_prediction")


def link_spaces():
    """Which spaces: those asked for; without a word, the reduced ones, or full if it is alone."""
    asked = LINKS["spaces"] or [space for space in SPACES if space != "full"] or SPACES
    for space in asked:
        if space not in SPACES:
            raise WorkflowError(
                f"config, evaluate.link_prediction.spaces: {space} is not among spaces. Choose"
                f" among {', '.join(SPACES)}, or add it there."
            )
    return asked


def link_predictions():
    """The link prediction of every table of entities, when it is wanted."""
    if LINKS is None:
        return []
    tables = [name for name, table in TABLES.items() if table["kind"] == "entities"]
    if not (tables and config["evaluate"]["triples"]):
        raise WorkflowError(
            "config, evaluate.link_prediction: needs a table of entities and evaluate.triples, the"
            " graph to train on."
        )
    return expand(
        "<results>/{model}/{table}/{space}/link_prediction.json",
        model=MODELS,
        table=tables,
        space=link_spaces(),
    )


def of_links(key):
    """Return a param: a setting of link prediction."""

    def value(wildcards):
        return LINKS[key] if LINKS else None

    return value


rule predict_links:
    input:
        manifest=of_space("manifest"),
        vectors=of_space("vectors"),
        index=of_space("index"),
        triples=graph_file("triples"),
        test_triples=graph_file("test_triples"),
    output:
        links="<results>/{model}/{table}/{space}/link_prediction.json",
    log:
        "<logs>/{model}/{table}/predict_links/{space}.log",
    conda:
        "../../envs/links.yaml"
    threads: 8
    resources:
        gpu=0 if config["embed"]["device"] == "cpu" else 1,
        mem_mb=grown(8000),
        runtime=grown(480),
    params:
        engine=engine,
        run=unrecorded(device="embed.device"),
        digest=space_digest,
        models=",".join(LINKS["models"]) if LINKS else "",
        seeds=of_links("seeds"),
        epochs=of_links("epochs"),
        batch_size=of_links("batch_size"),
        learning_rate=of_links("learning_rate"),
        negatives=of_links("negatives"),
        seed=of_config("evaluate", "seed"),
        recipe=RECIPE["predict_links"],
    shell:
        '{params.engine} predict-links "$(dirname {input.vectors:q})" --triples {input.triples:q}'
        " --test-triples {input.test_triples:q} --models {params.models} --seeds {params.seeds}"
        " --epochs {params.epochs} --batch-size {params.batch_size}"
        " --learning-rate {params.learning_rate} --negatives {params.negatives}"
        " --seed {params.seed} {params.run} --threads {threads} --out {output.links:q}"
        " > {log:q} 2>&1"
