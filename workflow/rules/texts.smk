# A table: read strictly, its distinct texts dealt to shards by their hash.


checkpoint read_texts:
    input:
        table=table_file,
        used_by=used_by,
    output:
        manifest="<results>/texts/{table}/manifest.json",
        rows="<results>/texts/{table}/rows.parquet",
        findings="<results>/texts/{table}/findings.json",
        shards=directory("<results>/texts/{table}/shards"),
    log:
        "<logs>/texts/{table}/read_texts.log",
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=grown(2500),
        runtime=grown(60),
    params:
        engine=engine,
        kind=of_table("kind"),
        text=text_rule,
        shards=of_table("shards"),
        policies=policies,
        used_by=used_by_flag,
        recipe=RECIPE["read_texts"],
    shell:
        "{params.engine} read-texts {input.table:q} --table {wildcards.table:q}"
        " --kind {params.kind} --text {params.text:q} --shards {params.shards} {params.policies}"
        " {params.used_by}"
        ' --out-dir "$(dirname {output.manifest:q})" > {log:q} 2>&1'
