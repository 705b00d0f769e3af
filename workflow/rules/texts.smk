# A table: read strictly, its distinct texts split into shards by their hash.


checkpoint read_texts:
    """Read a table strictly, find its distinct texts, split them into shards."""
    input:
        table=inputs.table,
        used_by=inputs.used_by,
        graph=inputs.graph_of_ids,
        names=content.names_of_facts,
        header=inputs.header,
    output:
        manifest="<results>/texts/{table}/manifest.json",
        rows="<results>/texts/{table}/rows.parquet",
        findings="<results>/texts/{table}/findings.json",
        shards=directory("<results>/texts/{table}/shards"),
    log:
        "<logs>/texts/{table}/read_texts.log",
    wildcard_constraints:
        table=one_of(plan.tables),
    localrule: not one_disk
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=grown(2500),
        runtime=grown(60),
    params:
        engine=plan.engine,
        settings=plan.settings(plan.of_table, edges=True),
        recipe=plan.recipe("read_texts"),
    shell:
        "{params.engine} read-texts {input.table:q} --table {wildcards.table:q} {params.settings}"
        " --used-by {input.used_by:q} --graph {input.graph:q} --header-file {input.header:q}"
        " --names {input.names:q}"
        ' --out-dir "$(dirname {output.manifest:q})" > {log:q} 2>&1'


rule read_synonyms:
    """List the other names that a table gives its rows."""
    input:
        table=inputs.table,
        header=inputs.header,
    output:
        "<results>/texts/{table}/synonyms.parquet",
    log:
        "<logs>/texts/{table}/read_synonyms.log",
    wildcard_constraints:
        table=one_of(plan.tables),
    localrule: not one_disk
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=grown(2500),
        runtime=grown(60),
    params:
        engine=plan.engine,
        settings=plan.settings(plan.of_table),
        recipe=plan.recipe("read_synonyms"),
    shell:
        "{params.engine} read-synonyms {input.table:q} {params.settings}"
        " --header-file {input.header:q} --out {output:q} > {log:q} 2>&1"
