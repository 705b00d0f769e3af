# Texts to vectors: a job per model, table and shard, then the shards in the table's order.


rule embed_shard:
    input:
        manifest=of_texts("manifest"),
        texts=of_texts("shards"),
        model="<resources>/models/{model}",
    output:
        vectors=temp("<results>/{model}/{table}/shards/{shard}.npy"),
        tokens=temp("<results>/{model}/{table}/shards/{shard}.parquet"),
        about=temp("<results>/{model}/{table}/shards/{shard}.json"),
    log:
        "<logs>/{model}/{table}/embed_shard/{shard}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 8
    resources:
        gpu=0 if config["embed"]["device"] == "cpu" else 1,
        mem_mb=grown(8000),
        runtime=grown(240),
    params:
        engine=engine,
        run=unrecorded(
            store="store",
            device="embed.device",
            batch_tokens="embed.batch_tokens",
            part_seconds="embed.part_seconds",
        ),
        digest=shard_digest,
        pooling=of_model("pooling", "mean"),
        options=options("max_tokens", "layers", "initial_state", "tokens"),
        long_text=config["embed"]["long_text"],
        precision=config["embed"]["precision"],
        mode=config["mode"],
        recipe=RECIPE["embed_shard"],
    shell:
        "{params.engine} embed-shard {input.texts:q}/{wildcards.shard}.parquet"
        " --model {input.model:q} --pooling {params.pooling} {params.options}"
        " --long-text {params.long_text} --precision {params.precision} --mode {params.mode}"
        " {params.run} --threads {threads} --out {output.vectors:q} > {log:q} 2>&1"


checkpoint gather_shards:
    input:
        shards=shards_of,
        manifest=of_texts("manifest"),
        rows=of_texts("rows"),
    output:
        manifest="<results>/{model}/{table}/full/manifest.json",
        vectors="<results>/{model}/{table}/full/embeddings.npy",
        index="<results>/{model}/{table}/full/index.parquet",
    log:
        "<logs>/{model}/{table}/gather_shards.log",
    conda:
        "../../envs/engine.yaml"
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        engine=engine,
        digest=rows_digest,
        recipe=RECIPE["gather_shards"],
    shell:
        '{params.engine} gather-shards {input.shards:q} --texts "$(dirname {input.rows:q})"'
        ' --out-dir "$(dirname {output.vectors:q})" > {log:q} 2>&1'
