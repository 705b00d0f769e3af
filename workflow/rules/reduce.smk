# One PCA per model and number of dims, fitted on one table and applied to all.


rule fit_pca:
    input:
        vectors=fitted_full,
        made_of=fitted_manifest,
    output:
        "<results>/{model}/pca{n}.npz",
    log:
        "<logs>/{model}/fit_pca/{n}.log",
    conda:
        "../../envs/engine.yaml"
    params:
        engine=engine,
        digest=fitted_digest,
        fit_on=FIT_ON,
        mode=of_config("mode"),
        recipe=RECIPE["fit_pca"],
    threads: 4
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    shell:
        "{params.engine} fit-pca {input.vectors:q} --dims {wildcards.n} --fit-on {params.fit_on:q}"
        " --mode {params.mode} --threads {threads} --out {output:q} > {log:q} 2>&1"


rule apply_pca:
    input:
        vectors=full_vectors,
        made_of=own_manifest,
        fitted_on=other_manifest,
        pca=ancient("<results>/{model}/pca{n}.npz"),
    output:
        vectors="<results>/{model}/{table}/pca{n}/embeddings.npy",
        index="<results>/{model}/{table}/pca{n}/index.parquet",
        manifest="<results>/{model}/{table}/pca{n}/manifest.json",
    log:
        "<logs>/{model}/{table}/apply_pca/{n}.log",
    conda:
        "../../envs/engine.yaml"
    params:
        engine=engine,
        digest=space_digest,
        fit_on=FIT_ON,
        mode=of_config("mode"),
        recipe=RECIPE["apply_pca"],
    threads: 4
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    shell:
        "{params.engine} apply-pca \"$(dirname {input.vectors:q})\" --pca {input.pca:q}"
        " --space pca{wildcards.n} --threads {threads}"
        " --out-dir \"$(dirname {output.vectors:q})\" > {log:q} 2>&1"
