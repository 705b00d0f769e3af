# A space in the forms that other programs read.


rule export_table:
    input:
        vectors=space_vectors,
        made_of=own_manifest,
        fitted_on=other_manifest,
    output:
        "<results>/{model}/{table}/{space}/embeddings.{format}",
    log:
        "<logs>/{model}/{table}/export_table/{space}.{format}.log",
    conda:
        "../../envs/engine.yaml"
    params:
        engine=engine,
        digest=space_digest,
        recipe=RECIPE["export_table"],
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    shell:
        "{params.engine} export-table \"$(dirname {input.vectors:q})\" --format {wildcards.format}"
        " --out {output:q} > {log:q} 2>&1"
