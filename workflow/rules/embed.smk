# Texts to vectors: a job per model, table and shard, then the shards in the table's order.


rule embed_shard:
    """Turn the texts of a shard into vectors."""
    input:
        manifest=content.of_texts("manifest"),
        texts=content.of_texts("shards"),
        model="<resources>/models/{model}",
        others=content.embedded_before,
    output:
        vectors=temp("<results>/{model}/{table}/shards/{shard}.npy"),
        tokens=temp("<results>/{model}/{table}/shards/{shard}.parquet"),
        about=temp("<results>/{model}/{table}/shards/{shard}.json"),
    log:
        "<logs>/{model}/{table}/embed_shard/{shard}.log",
    conda:
        "../../envs/engine.yaml"
    threads: threads_of.model
    resources:
        gpu=plan.gpus,
        mem_mb=memory.for_model(unknown=8000),
        runtime=grown(240),
    params:
        engine=plan.engine,
        run=plan.run(plan.of_embed, "store"),
        access=plan.access,
        digest=content.shard_digest,
        settings=plan.settings(plan.of_embed),
        recipe=plan.recipe("embed_shard"),
    shell:
        "{params.engine} embed-shard {input.texts:q}/{wildcards.shard}.parquet"
        " --model {input.model:q} {params.settings} {params.run} {params.access}"
        " --threads {threads} --out {output.vectors:q} > {log:q} 2>&1"


checkpoint gather_shards:
    """Put the vectors of all shards in the order of the table."""
    input:
        shards=content.shards("npy"),
        tokens=content.shards("parquet"),
        about=content.shards("json"),
        manifest=content.of_texts("manifest"),
        rows=content.of_texts("rows"),
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
        engine=plan.engine,
        digest=content.rows_digest,
        recipe=plan.recipe("gather_shards"),
    shell:
        '{params.engine} gather-shards {input.shards:q} --texts "$(dirname {input.rows:q})"'
        ' --out-dir "$(dirname {output.vectors:q})" > {log:q} 2>&1'
