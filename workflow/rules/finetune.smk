# A language model trained further on texts: a model of its own, which `models:` can name.


rule finetune_model:
    input:
        downloaded=base_record,
        folder=base_folder,
        manifest=tuning_manifest,
        text=tuning_texts,
        held_out=held_out_file,
    output:
        folder=directory("<resources>/finetuned/{model}"),
        downloaded="<resources>/finetuned/{model}.json",
        losses="<results>/{model}/finetune.tsv",
        about="<results>/{model}/finetune.json",
        page=report(
            "<results>/{model}/finetune.html",
            caption="../report/finetune.rst",
            category="5 fine-tuning",
            labels={"model": "{model}", "page": "loss"},
        ),
    log:
        "<logs>/{model}/finetune_model.log",
    wildcard_constraints:
        model=one_of(TUNED),
    conda:
        "../../envs/engine.yaml"
    threads: 8
    resources:
        gpu=0 if config["embed"]["device"] == "cpu" else 1,
        mem_mb=grown(12000),
        runtime=grown(1440),
    params:
        engine=engine,
        run=unrecorded(device="embed.device"),
        often=snapshots_every,
        settings=tuning,
        digest=tuning_digest,
        recipe=RECIPE["finetune_model"],
    shell:
        "{params.engine} finetune-model {input.folder:q} --text {input.text:q}"
        " --name {wildcards.model:q} {params.settings} {params.run} {params.often}"
        " --threads {threads} --out {output.folder:q} --losses {output.losses:q}"
        " --about {output.about:q} --page {output.page:q} --downloaded {output.downloaded:q}"
        " > {log:q} 2>&1"
