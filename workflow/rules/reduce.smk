# One basis per model and reduced space, fitted on one table and applied to all.


checkpoint fit_pca:
    """Fit the basis of a reduced space, such as an exact PCA."""
    input:
        manifest=content.of_fitted("manifest"),
        vectors=content.of_fitted("vectors"),
    output:
        pca="<results>/{model}/{space}.npz",
    log:
        "<logs>/{model}/fit_pca/{space}.log",
    wildcard_constraints:
        space=one_of(plan.fitted),
    conda:
        "../../envs/engine.yaml"
    threads: threads_of.table(4)
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        engine=plan.engine,
        digest=content.fitted_digest,
        settings=plan.settings(plan.of_reduce),
        recipe=plan.recipe("fit_pca"),
    shell:
        "{params.engine} fit-pca {input.vectors:q} --space {wildcards.space} {params.settings}"
        " --threads {threads} --out {output.pca:q} > {log:q} 2>&1"


checkpoint apply_pca:
    """Project a table's vectors on a fitted basis."""
    input:
        manifest=content.of_full("manifest"),
        vectors=content.of_full("vectors"),
        index=content.of_full("index"),
        pca=content.basis,
    output:
        manifest="<results>/{model}/{table}/{space}/manifest.json",
        vectors="<results>/{model}/{table}/{space}/embeddings.npy",
        index="<results>/{model}/{table}/{space}/index.parquet",
    log:
        "<logs>/{model}/{table}/apply_pca/{space}.log",
    wildcard_constraints:
        space=one_of(plan.reduced),
    conda:
        "../../envs/engine.yaml"
    threads: threads_of.table(4)
    resources:
        mem_mb=grown(2000),
        runtime=grown(60),
    params:
        engine=plan.engine,
        digest=content.full_digest,
        pca=content.file_digest(content.basis),
        recipe=plan.recipe("apply_pca"),
    shell:
        '{params.engine} apply-pca "$(dirname {input.vectors:q})" --pca {input.pca:q}'
        " --space {wildcards.space} --threads {threads}"
        ' --out-dir "$(dirname {output.vectors:q})" > {log:q} 2>&1'
