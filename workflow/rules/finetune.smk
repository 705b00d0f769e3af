# A language model trained further on texts: a model of its own, which `models:` can name.


rule finetune_model:
    """Train a language model further, resumably."""
    input:
        downloaded=content.base_record,
        folder=content.base_folder,
        manifest=content.training_manifest,
        text=content.training_text,
        held_out=inputs.held_out,
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
        digests=page_digests("<results>/{model}", "finetune.tsv", "finetune.html"),
    log:
        "<logs>/{model}/finetune_model.log",
    wildcard_constraints:
        model=one_of(plan.finetuned),
    conda:
        "../../envs/engine.yaml"
    threads: 8
    resources:
        gpu=GPU,
        mem_mb=memory.for_training(least=12000),
        runtime=grown(1440),
    params:
        engine=plan.engine,
        run=plan.run(plan.of_finetuning),
        origin=plan.of_finetune("origin"),
        text_name=plan.of_finetune("text"),
        settings=plan.settings(plan.of_finetuning),
        digest=content.training_digest,
        recipe=plan.recipe("finetune_model"),
    shell:
        "{params.engine} finetune-model {input.folder:q} --text {input.text:q}"
        " --name {wildcards.model:q} --origin {params.origin:q} --text-name {params.text_name:q}"
        " {params.settings} {params.run} --threads {threads} --out {output.folder:q}"
        " --losses {output.losses:q} --about {output.about:q} --page {output.page:q}"
        " --downloaded {output.downloaded:q} > {log:q} 2>&1"
