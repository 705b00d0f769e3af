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


rule export_bundle:
    input:
        manifests=of_bundle("manifest"),
        vectors=of_bundle("vectors"),
        indexes=of_bundle("index"),
    output:
        directory("<results>/exports/{form}/{model}/{space}"),
    log:
        "<logs>/exports/{form}/{model}/{space}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 2
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        engine=engine,
        digest=bundle_digests,
        recipe=RECIPE["export_bundle"],
    shell:
        "{params.engine} export-bundle {input.vectors:q} --form {wildcards.form}"
        " --out-dir {output:q} > {log:q} 2>&1"


rule export_aligned:
    input:
        manifests=of_bundle("manifest"),
        vectors=of_bundle("vectors"),
        indexes=of_bundle("index"),
        to=align_to,
    output:
        directory("<results>/exports/aligned/{model}/{space}"),
    log:
        "<logs>/exports/aligned/{model}/{space}.log",
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        engine=engine,
        digest=bundle_digests,
        settings=align_settings,
        recipe=RECIPE["export_aligned"],
    shell:
        "{params.engine} export-aligned {input.vectors:q} --to {input.to:q} {params.settings}"
        " --out-dir {output:q} > {log:q} 2>&1"


rule export_biomedgps:
    input:
        manifest=of_dims("manifest"),
        vectors=of_dims("vectors"),
        index=of_dims("index"),
    output:
        tsv="<results>/exports/biomedgps/{model}/{table}_embeddings_{dims}.tsv",
        report="<results>/exports/biomedgps/{model}/{table}_embeddings_{dims}.json",
    log:
        "<logs>/exports/biomedgps/{model}/{table}_{dims}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 4
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        engine=engine,
        digest=dims_digest,
        recipe=RECIPE["export_biomedgps"],
    shell:
        "{params.engine} export-biomedgps {input.vectors:q} --dims {wildcards.dims}"
        " --threads {threads} --out {output.tsv:q} > {log:q} 2>&1"


rule export_entity2d:
    input:
        manifest=of_mapped("manifest"),
        vectors=of_mapped("vectors"),
        index=of_mapped("index"),
        layout=mapped_layout,
    output:
        "<results>/exports/biomedgps/{model}/entity2d.tsv",
    log:
        "<logs>/exports/biomedgps/{model}/entity2d.log",
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        engine=engine,
        digest=mapped_digest,
        layout=file_digest(mapped_layout),
        recipe=RECIPE["export_entity2d"],
    shell:
        "{params.engine} export-entity2d {input.vectors:q} --layout {input.layout:q}"
        " --out {output:q} > {log:q} 2>&1"


rule write_loaders:
    input:
        of_form,
    output:
        "<results>/exports/{form}/README.md",
    log:
        "<logs>/exports/{form}/write_loaders.log",
    wildcard_constraints:
        form=one_of([*BUNDLED, "biomedgps", "aligned"]),
    localrule: True
    conda:
        "../../envs/engine.yaml"
    params:
        engine=engine,
        recipe=RECIPE["write_loaders"],
    shell:
        "{params.engine} write-loaders {input:q} --form {wildcards.form} --out {output:q}"
        " > {log:q} 2>&1"
