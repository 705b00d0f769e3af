# What the models' word vectors know: small models trained on them, if corpora are named.


rule cache_tokens:
    """Turn every word of a probe's corpora into vectors, all layers."""
    input:
        model="<resources>/models/{model}",
        train=inputs.corpus("train"),
        dev=inputs.corpus("dev"),
        test=inputs.corpus("test"),
    output:
        vectors="<resources>/tokens/{model}/{probe}.npy",
        about="<resources>/tokens/{model}/{probe}.json",
    log:
        "<logs>/{model}/probes/cache_tokens/{probe}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 8
    resources:
        gpu=GPU,
        mem_mb=memory.for_model(unknown=8000, least=8000),
        runtime=grown(240),
    params:
        engine=plan.engine,
        run=plan.run(plan.of_tokens),
        reading=plan.unrecorded(plan.of_corpora),
        settings=plan.settings(plan.of_tokens),
        recipe=plan.recipe("cache_tokens"),
    shell:
        "{params.engine} cache-tokens {wildcards.probe} --model {input.model:q}"
        " --train {input.train:q} --dev {input.dev:q} --test {input.test:q} {params.reading}"
        " {params.settings} {params.run}"
        " --threads {threads} --out {output.vectors:q} > {log:q} 2>&1"


rule probe_model:
    """Train small models on word vectors."""
    input:
        model="<resources>/models/{model}",
        vectors="<resources>/tokens/{model}/{probe}.npy",
        about="<resources>/tokens/{model}/{probe}.json",
        train=inputs.corpus("train"),
        dev=inputs.corpus("dev"),
        test=inputs.corpus("test"),
    output:
        results="<results>/{model}/probes/{probe}.json",
        predictions="<results>/{model}/probes/{probe}.predictions.jsonl.gz",
    log:
        "<logs>/{model}/probes/probe_model/{probe}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 8
    resources:
        gpu=GPU,
        mem_mb=grown(8000),
        runtime=grown(480),
    params:
        engine=plan.engine,
        run=plan.run(plan.of_probe),
        settings=plan.settings(plan.of_probe),
        recipe=plan.recipe("probe_model"),
    shell:
        "{params.engine} probe-model {wildcards.probe} --model {input.model:q}"
        " --vectors {input.vectors:q} --train {input.train:q} --dev {input.dev:q}"
        " --test {input.test:q} {params.settings} {params.run}"
        " --threads {threads} --out {output.results:q} > {log:q} 2>&1"
