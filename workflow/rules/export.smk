# A space in the forms that other programs read.


rule export_table:
    input:
        manifest=of_space("manifest"),
        vectors=of_space("vectors"),
        index=of_space("index"),
    output:
        "<results>/{model}/{table}/{space}/embeddings.{format}",
    log:
        "<logs>/{model}/{table}/export_table/{space}.{format}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 4
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        engine=engine,
        digest=space_digest,
        recipe=RECIPE["export_table"],
    shell:
        '{params.engine} export-table "$(dirname {input.vectors:q})" --format {wildcards.format}'
        " --threads {threads} --out {output:q} > {log:q} 2>&1"
