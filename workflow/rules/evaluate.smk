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
        digest=space_digest,
        scores=",".join(config["evaluate"]["scores"]),
        seed=of_config("evaluate", "seed"),
        neighbours=of_config("evaluate", "neighbours"),
        recipe=RECIPE["evaluate_space"],
    shell:
        '{params.engine} evaluate-space "$(dirname {input.vectors:q})" --texts {input.texts:q}'
        " --triples {input.triples:q} --test-triples {input.test_triples:q} --full {input.full:q}"
        " --scores {params.scores:q} --seed {params.seed} --neighbours {params.neighbours}"
        " --threads {threads} --out {output.scores:q} > {log:q} 2>&1"


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
