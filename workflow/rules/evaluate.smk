# What the vectors are worth: scores of each space, and all of them in one table.


checkpoint evaluate_space:
    input:
        manifest=of_space("manifest"),
        vectors=of_space("vectors"),
        index=of_space("index"),
        full=full_of_reduced,
        rows=of_texts("manifest"),
        texts=of_texts("shards"),
        triples=graph_file("triples"),
        test_triples=graph_file("test_triples"),
    output:
        scores="<results>/{model}/{table}/{space}/scores.json",
    log:
        "<logs>/{model}/{table}/evaluate_space/{space}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 2
    resources:
        mem_mb=grown(6000),
        runtime=grown(120),
    params:
        engine=engine,
        run=unrecorded(device="embed.device"),
        digest=space_digest,
        scores=",".join(config["evaluate"]["scores"]),
        seed=of_config("evaluate", "seed"),
        neighbours=of_config("evaluate", "neighbours"),
        recipe=RECIPE["evaluate_space"],
    shell:
        '{params.engine} evaluate-space "$(dirname {input.vectors:q})" --texts {input.texts:q}'
        " --triples {input.triples:q} --test-triples {input.test_triples:q} --full {input.full:q}"
        " --scores {params.scores:q} --seed {params.seed} --neighbours {params.neighbours}"
        " {params.run} --threads {threads} --out {output.scores:q} > {log:q} 2>&1"


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


rule collect_scores:
    input:
        scores(),
        link_predictions(),
        probes(),
    output:
        report(
            "<results>/scores.tsv",
            caption="../report/scores.rst",
            category="4 scores",
            labels={"page": "scores"},
        ),
    log:
        "<logs>/collect_scores.log",
    localrule: True
    conda:
        "../../envs/engine.yaml"
    params:
        engine=engine,
        recipe=RECIPE["collect_scores"],
    shell:
        "{params.engine} collect-scores {input:q} --out {output:q} > {log:q} 2>&1"
