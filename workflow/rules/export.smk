# A space in the forms that other programs read.


rule export_table:
    """Write a space in one format."""
    input:
        manifest=content.of_space("manifest"),
        vectors=content.of_space("vectors"),
        index=content.of_space("index"),
    output:
        "<results>/{model}/{table}/{space}/embeddings.{format}",
    log:
        "<logs>/{model}/{table}/export_table/{space}.{format}.log",
    conda:
        "../../envs/engine.yaml"
    threads: threads_of.table(4)
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        engine=plan.engine,
        digest=content.space_digest,
        recipe=plan.recipe("export_table"),
    shell:
        '{params.engine} export-table "$(dirname {input.vectors:q})" --format {wildcards.format}'
        " --threads {threads} --out {output:q} > {log:q} 2>&1"


rule export_bundle:
    """Write a space in the files of a trainer, a database or an index."""
    input:
        manifests=content.of_bundle("manifest"),
        vectors=content.of_bundle("vectors"),
        indexes=content.of_bundle("index"),
        inverse=content.inverse_space,
    output:
        directory("<results>/exports/{form}/{model}/{space}"),
    log:
        "<logs>/exports/{form}/{model}/{space}.log",
    localrule: not one_disk
    conda:
        "../../envs/engine.yaml"
    threads: threads_of.table(2)
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        engine=plan.engine,
        digest=content.bundle_digests,
        inverses=plan.unrecorded(plan.of_inverses),
        recipe=plan.recipe("export_bundle"),
    shell:
        "{params.engine} export-bundle {input.vectors:q} --form {wildcards.form}"
        " --inverse {input.inverse:q} {params.inverses}"
        " --out-dir {output:q} > {log:q} 2>&1"


rule export_aligned:
    """Write vectors in the order of a trainer's own ids."""
    input:
        manifests=content.of_bundle("manifest"),
        vectors=content.of_bundle("vectors"),
        indexes=content.of_bundle("index"),
        to=inputs.align_to,
        inverse=content.inverse_space,
    output:
        directory("<results>/exports/aligned/{model}/{space}"),
    log:
        "<logs>/exports/aligned/{model}/{space}.log",
    localrule: not one_disk
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        engine=plan.engine,
        digest=content.bundle_digests,
        settings=plan.settings(plan.of_align, edges=True),
        inverses=plan.unrecorded(plan.of_inverses),
        recipe=plan.recipe("export_aligned"),
    shell:
        "{params.engine} export-aligned {input.vectors:q} --to {input.to:q} {params.settings}"
        " --inverse {input.inverse:q} {params.inverses}"
        " --out-dir {output:q} > {log:q} 2>&1"


rule export_biomedgps:
    """Write a space for BioMedGPS's trainer and server."""
    input:
        manifest=content.of_dims("manifest"),
        vectors=content.of_dims("vectors"),
        index=content.of_dims("index"),
    output:
        tsv="<results>/exports/biomedgps/{model}/{table}_embeddings_{dims}.tsv",
        report="<results>/exports/biomedgps/{model}/{table}_embeddings_{dims}.json",
    log:
        "<logs>/exports/biomedgps/{model}/{table}_{dims}.log",
    conda:
        "../../envs/engine.yaml"
    threads: threads_of.table(4)
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        engine=plan.engine,
        digest=content.dims_digest,
        recipe=plan.recipe("export_biomedgps"),
    shell:
        "{params.engine} export-biomedgps {input.vectors:q} --dims {wildcards.dims}"
        " --threads {threads} --out {output.tsv:q} > {log:q} 2>&1"


rule export_entity2d:
    """Write the entities' positions on the map for BioMedGPS."""
    input:
        manifest=content.of_mapped("manifest"),
        vectors=content.of_mapped("vectors"),
        index=content.of_mapped("index"),
        layout=content.mapped_layout,
    output:
        tsv="<results>/exports/biomedgps/{model}/entity2d.tsv",
        digests=page_digests("<results>/exports/biomedgps/{model}", "entity2d.tsv"),
    log:
        "<logs>/exports/biomedgps/{model}/entity2d.log",
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=grown(2000),
        runtime=grown(30),
    params:
        engine=plan.engine,
        digest=content.mapped_digest,
        layout=content.file_digest(content.mapped_layout),
        recipe=plan.recipe("export_entity2d"),
    shell:
        "{params.engine} export-entity2d {input.vectors:q} --layout {input.layout:q}"
        " --out {output.tsv:q} > {log:q} 2>&1"


rule write_loaders:
    """Write the page with code that loads an export."""
    input:
        targets.of_form,
    output:
        page="<results>/exports/{form}/README.md",
        digests=page_digests("<results>/exports/{form}", "README.md"),
    log:
        "<logs>/exports/{form}/write_loaders.log",
    wildcard_constraints:
        form=one_of([*plan.bundle_forms, "biomedgps", "aligned"]),
    localrule: True
    conda:
        "../../envs/engine.yaml"
    params:
        engine=plan.engine,
        recipe=plan.recipe("write_loaders"),
    shell:
        "{params.engine} write-loaders {input:q} --form {wildcards.form} --out {output.page:q}"
        " > {log:q} 2>&1"
