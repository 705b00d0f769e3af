# What the vectors are worth: scores of each space, and all of them in one table.


rule evaluate_space:
    input:
        vectors=space_vectors,
        made_of=own_manifest,
        fitted_on=other_manifest,
        full=full_of_reduced,
        texts=of_texts("shards"),
        texts_manifest=of_texts("manifest"),
        triples=graph_file("triples"),
        test_triples=graph_file("test_triples"),
    output:
        "<results>/{model}/{table}/{space}/scores.json",
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
        " --threads {threads} --out {output:q} > {log:q} 2>&1"


rule collect_scores:
    input:
        in_spaces("scores.json"),
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
