# What the vectors are worth: scores of each space, and all of them in one table.


checkpoint mask_texts:
    """Mask the names of neighbours in the texts of hidden entities, for the score leakage."""
    input:
        manifest=content.of_texts("manifest"),
        rows=content.of_texts("rows"),
        texts=content.of_texts("shards"),
        synonyms="<results>/texts/{table}/synonyms.parquet",
        triples=inputs.graph("triples"),
    output:
        manifest="<results>/texts/{table}-masked/manifest.json",
        rows="<results>/texts/{table}-masked/rows.parquet",
        shards=directory("<results>/texts/{table}-masked/shards"),
    log:
        "<logs>/texts/{table}/mask_texts.log",
    wildcard_constraints:
        table=one_of(plan.masked.values()),
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        engine=plan.engine,
        digest=content.rows_digest,
        settings=plan.settings(plan.of_seed, edges=True),
        recipe=plan.recipe("mask_texts"),
    shell:
        '{params.engine} mask-texts "$(dirname {input.rows:q})" --triples {input.triples:q}'
        " --synonyms {input.synonyms:q} {params.settings}"
        ' --out-dir "$(dirname {output.rows:q})" > {log:q} 2>&1'


checkpoint evaluate_space:
    """Score a space and its baselines."""
    input:
        manifest=content.of_space("manifest"),
        vectors=content.of_space("vectors"),
        index=content.of_space("index"),
        full=content.full_of_reduced("vectors"),
        full_manifest=content.full_of_reduced("manifest"),
        full_index=content.full_of_reduced("index"),
        rows=content.of_texts("manifest"),
        texts=content.of_texts("shards"),
        triples=inputs.graph("triples"),
        test_triples=inputs.graph("test_triples"),
        masked_manifest=score_inputs.of_masked("manifest"),
        masked=score_inputs.of_masked("vectors"),
        masked_index=score_inputs.of_masked("index"),
        masked_texts=score_inputs.masked_texts,
    output:
        scores="<results>/{model}/{table}/{space}/scores.json",
        sums="<results>/{model}/{table}/{space}/scores_by_row.parquet",
    log:
        "<logs>/{model}/{table}/evaluate_space/{space}.log",
    conda:
        "../../envs/engine.yaml"
    threads: threads_of.table(2)
    resources:
        mem_mb=grown(6000),
        runtime=grown(120),
    params:
        engine=plan.engine,
        run=plan.run(plan.of_scoring, "store"),
        digest=score_inputs.scored_digest,
        settings=plan.settings(plan.of_scoring, edges=True),
        recipe=plan.recipe("evaluate_space"),
    shell:
        '{params.engine} evaluate-space "$(dirname {input.vectors:q})" --texts {input.texts:q}'
        " --triples {input.triples:q} --test-triples {input.test_triples:q} --full {input.full:q}"
        " --masked {input.masked:q} --masked-texts {input.masked_texts:q}"
        " {params.settings} {params.run} --threads {threads} --out {output.scores:q} > {log:q} 2>&1"


rule predict_links:
    """Train PyKEEN's models from vectors and from random ones."""
    input:
        manifest=content.of_space("manifest"),
        vectors=content.of_space("vectors"),
        index=content.of_space("index"),
        triples=inputs.graph("triples"),
        test_triples=inputs.graph("test_triples"),
        relations_manifest=score_inputs.of_relations("manifest"),
        relations=score_inputs.of_relations("vectors"),
        relations_index=score_inputs.of_relations("index"),
    output:
        links="<results>/{model}/{table}/{space}/link_prediction.json",
    log:
        "<logs>/{model}/{table}/predict_links/{space}.log",
    conda:
        "../../envs/links.yaml"
    threads: 8
    resources:
        gpu=GPU,
        mem_mb=grown(8000),
        runtime=grown(480),
    params:
        engine=plan.engine,
        run=plan.run(plan.of_links),
        digest=score_inputs.linked_digest,
        settings=plan.settings(plan.of_links, edges=True),
        recipe=plan.recipe("predict_links"),
    shell:
        '{params.engine} predict-links "$(dirname {input.vectors:q})" --triples {input.triples:q}'
        " --test-triples {input.test_triples:q} --relations {input.relations:q}"
        " {params.settings} {params.run} --threads {threads} --out {output.links:q} > {log:q} 2>&1"


rule collect_scores:
    """Put all scores into one table."""
    input:
        targets.scores(),
        targets.link_predictions(),
        targets.probes(),
    output:
        tsv=report(
            "<results>/scores.tsv",
            caption="../report/scores.rst",
            category="4 scores",
            labels={"page": "scores"},
        ),
        digests=page_digests("<results>", "scores.tsv"),
    log:
        "<logs>/collect_scores.log",
    localrule: True
    conda:
        "../../envs/engine.yaml"
    params:
        engine=plan.engine,
        recipe=plan.recipe("collect_scores"),
    shell:
        "{params.engine} collect-scores {input:q} --out {output.tsv:q} > {log:q} 2>&1"


# By time stamps, as the table of scores: a manifest that is written anew is new to the page, even
# when the vectors are not, since it says what they cost.
rule compare_spaces:
    """Write the page and the notebook that compare all models, tables and spaces."""
    input:
        manifests=targets.in_spaces("manifest.json"),
        cards=targets.scores(),
        sums=targets.sums(),
        texts=expand("<results>/texts/{table}/manifest.json", table=plan.tables),
        scores="<results>/scores.tsv",
        template=ancient(workflow.source_path("../notebooks/compare.ipynb")),
    output:
        notebook="<results>/compare.ipynb",
        html=report(
            "<results>/compare.html",
            caption="../report/compare.rst",
            category="4 scores",
            labels={"page": "comparison"},
        ),
        digests=page_digests("<results>", "compare.ipynb", "compare.html"),
    log:
        "<logs>/compare_spaces.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        engine=plan.engine,
        recipe=plan.recipe("compare_spaces"),
    shell:
        "{params.engine} compare-spaces {input.manifests:q} --scores {input.scores:q}"
        " --texts {input.texts:q} --out-html {output.html:q} --template {input.template:q}"
        " --out-notebook {output.notebook:q} > {log:q} 2>&1"
