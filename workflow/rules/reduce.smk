# One PCA per model and number of dims, fitted on one table and applied to all.


checkpoint fit_pca:
    input:
        manifest=of_fitted("manifest"),
        vectors=of_fitted("vectors"),
    output:
        pca="<results>/{model}/pca{n}.npz",
    log:
        "<logs>/{model}/fit_pca/{n}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 4
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        engine=engine,
        digest=fitted_digest,
        fit_on=FIT_ON,
        mode=of_config("mode"),
        recipe=RECIPE["fit_pca"],
    shell:
        "{params.engine} fit-pca {input.vectors:q} --dims {wildcards.n} --fit-on {params.fit_on:q}"
        " --mode {params.mode} --threads {threads} --out {output.pca:q} > {log:q} 2>&1"


checkpoint apply_pca:
    input:
        manifest=of_full("manifest"),
        vectors=of_full("vectors"),
        index=of_full("index"),
        pca=pca_of,
    output:
        manifest="<results>/{model}/{table}/pca{n}/manifest.json",
        vectors="<results>/{model}/{table}/pca{n}/embeddings.npy",
        index="<results>/{model}/{table}/pca{n}/index.parquet",
    log:
        "<logs>/{model}/{table}/apply_pca/{n}.log",
    conda:
        "../../envs/engine.yaml"
    threads: 4
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        engine=engine,
        digest=full_digest,
        pca=file_digest(pca_of),
        recipe=RECIPE["apply_pca"],
    shell:
        '{params.engine} apply-pca "$(dirname {input.vectors:q})" --pca {input.pca:q}'
        " --space pca{wildcards.n} --threads {threads}"
        ' --out-dir "$(dirname {output.vectors:q})" > {log:q} 2>&1'
