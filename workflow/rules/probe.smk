# What the models' word vectors know: small models trained on them, if corpora are named.


rule cache_tokens:
    input:
        model="<resources>/models/{model}",
        train=corpus("train"),
        dev=corpus("dev"),
        test=corpus("test"),
    output:
        vectors="<resources>/tokens/{model}/{probe}.npy",
        about="<resources>/tokens/{model}/{probe}.json",
    log:
        "<logs>/{model}/probes/cache_tokens/{probe}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 8
    resources:
        gpu=0 if config["embed"]["device"] == "cpu" else 1,
        mem_mb=grown(8000),
        runtime=grown(240),
    params:
        engine=engine,
        run=unrecorded(device="embed.device"),
        checking=checking,
        options=options("max_tokens", "initial_state"),
        precision=config["embed"]["precision"],
        stored=config["probe"]["stored"],
        recipe=RECIPE["cache_tokens"],
    shell:
        "{params.engine} cache-tokens {wildcards.probe} --model {input.model:q}"
        " --train {input.train:q} --dev {input.dev:q} --test {input.test:q} {params.checking}"
        " {params.options} --precision {params.precision} --stored {params.stored} {params.run}"
        " --threads {threads} --out {output.vectors:q} > {log:q} 2>&1"


rule probe_model:
    input:
        model="<resources>/models/{model}",
        vectors="<resources>/tokens/{model}/{probe}.npy",
        about="<resources>/tokens/{model}/{probe}.json",
        train=corpus("train"),
        dev=corpus("dev"),
        test=corpus("test"),
    output:
        results="<results>/{model}/probes/{probe}.json",
    log:
        "<logs>/{model}/probes/probe_model/{probe}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 8
    resources:
        gpu=0 if config["embed"]["device"] == "cpu" else 1,
        mem_mb=grown(8000),
        runtime=grown(480),
    params:
        engine=engine,
        run=unrecorded(device="embed.device"),
        reading=reading,
        training=training,
        recipe=RECIPE["probe_model"],
    shell:
        "{params.engine} probe-model {wildcards.probe} --model {input.model:q}"
        " --vectors {input.vectors:q} --train {input.train:q} --dev {input.dev:q}"
        " --test {input.test:q} {params.reading} {params.training} {params.run}"
        " --threads {threads} --out {output.results:q} > {log:q} 2>&1"
