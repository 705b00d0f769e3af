# A model: its files fetched, unpacked, checked and saved as safetensors. Only this step uses the net.


rule download_model:
    """Fetch a model's files, checked against the lock file."""
    input:
        inputs.source_files,
    output:
        "<resources>/downloads/{model}.json",
    log:
        "<logs>/{model}/download_model.log",
    localrule: True
    conda:
        "../../envs/engine.yaml"
    params:
        engine=plan.engine,
        run=plan.run(plan.of_nothing, "lock", "downloads"),
        encoding=plan.unrecorded(plan.of_encoding),
        recipe=plan.recipe("download_model"),
        entry=plan.entry("source", "sha256", "kind"),
    shell:
        "{params.engine} download-model {wildcards.model:q} --entry {params.entry:q}"
        " {params.encoding} {params.run} --out {output:q} > {log:q} 2>&1"


checkpoint unpack_model:
    """Unpack a model's archive safely."""
    input:
        "<resources>/downloads/{model}.json",
    output:
        temp(directory("<resources>/unpacked/{model}")),
    log:
        "<logs>/{model}/unpack_model.log",
    localrule: True
    conda:
        "../../envs/engine.yaml"
    params:
        engine=plan.engine,
        subdir=plan.option("subdir"),
        recipe=plan.recipe("unpack_model"),
    shell:
        "{params.engine} unpack-model {input:q} {params.subdir} --out {output:q} > {log:q} 2>&1"


rule convert_model:
    """Check a model and save it as safetensors."""
    input:
        folder=content.model_files,
        downloaded=content.model_record,
        adapted=content.adapted_model,
    output:
        directory("<resources>/models/{model}"),
    log:
        "<logs>/{model}/convert_model.log",
    localrule: not one_disk
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=memory.for_conversion(unknown=12000),
        runtime=grown(60),
    params:
        engine=plan.engine,
        entry=plan.entry(
            *("kind", "dims", "max_tokens", "do_lower_case", "license", "citation"),
            of_endpoint=("source", "model", "identity"),
        ),
        access=plan.access,
        recipe=plan.recipe("convert_model"),
    shell:
        "{params.engine} convert-model {input.folder:q} --model {wildcards.model:q}"
        " --entry {params.entry:q} {params.access} --downloaded {input.downloaded:q}"
        " --adapted {input.adapted:q} --out {output:q} > {log:q} 2>&1"
