# A model: its files fetched, unpacked, checked and saved as safetensors. Only this step touches the net.


rule download_model:
    input:
        source_files,
    output:
        "<resources>/downloads/{model}.json",
    log:
        "<logs>/{model}/download_model.log",
    localrule: True
    conda:
        "../../envs/engine.yaml"
    params:
        engine=engine,
        run=unrecorded(lock="lock", downloads="downloads"),
        entry=entry("source", "sha256", "kind"),
    shell:
        "{params.engine} download-model {wildcards.model:q} --entry {params.entry:q}"
        " {params.run} --out {output:q} > {log:q} 2>&1"


rule unpack_model:
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
        engine=engine,
        subdir=options("subdir"),
    shell:
        "{params.engine} unpack-model {input:q} {params.subdir} --out {output:q} > {log:q} 2>&1"


rule convert_model:
    input:
        folder=model_files,
        downloaded=model_record,
    output:
        directory("<resources>/models/{model}"),
    log:
        "<logs>/{model}/convert_model.log",
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=grown(12000),
        runtime=grown(60),
    params:
        engine=engine,
        entry=entry(
            "kind", "dims", "max_tokens", "do_lower_case", "license", "citation"
        ),
        recipe=RECIPE["convert_model"],
    shell:
        "{params.engine} convert-model {input.folder:q} --model {wildcards.model:q}"
        " --entry {params.entry:q} --downloaded {input.downloaded:q} --out {output:q}"
        " > {log:q} 2>&1"
