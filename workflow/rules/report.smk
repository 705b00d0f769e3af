# What people look at: the quality of a table's texts, maps, notebooks.


rule draw_quality:
    input:
        findings=of_texts("findings"),
        manifests=full_manifests_of,
    output:
        json="<results>/texts/{table}/quality.json",
        html=report(
            "<results>/texts/{table}/quality.html",
            caption="../report/quality.rst",
            category="1 texts",
            labels={"table": "{table}", "page": "quality"},
        ),
    log:
        "<logs>/texts/{table}/draw_quality.log",
    conda:
        "../../envs/report.yaml"
    params:
        engine=engine,
        digest=quality_digest,
        recipe=RECIPE["draw_quality"],
    resources:
        mem_mb=grown(1000),
        runtime=grown(30),
    shell:
        "{params.engine} draw-quality --findings {input.findings:q} --manifest {input.manifests:q}"
        " --out-json {output.json:q} --out-html {output.html:q} > {log:q} 2>&1"


rule draw_map:
    input:
        vectors=space_vectors,
        made_of=own_manifest,
        fitted_on=other_manifest,
        texts=of_texts("shards"),
        texts_manifest=of_texts("manifest"),
    output:
        html=report(
            "<results>/{model}/{table}/{space}/map.html",
            caption="../report/map.rst",
            category="2 maps",
            labels={"model": "{model}", "table": "{table}", "space": "{space}", "page": "map"},
        ),
        png="<results>/{model}/{table}/{space}/map.png",
        svg="<results>/{model}/{table}/{space}/map.svg",
        layout="<results>/{model}/{table}/{space}/layout.parquet",
    log:
        "<logs>/{model}/{table}/draw_map/{space}.log",
    conda:
        "../../envs/report.yaml"
    params:
        engine=engine,
        digest=space_digest,
        layouts=",".join(config["report"]["layouts"]),
        max_points=of_config("report", "max_points"),
        seed=of_config("report", "seed"),
        recipe=RECIPE["draw_map"],
    threads: 2
    resources:
        mem_mb=grown(6000),
        runtime=grown(120),
    shell:
        "{params.engine} draw-map \"$(dirname {input.vectors:q})\" --texts {input.texts:q}"
        " --layouts {params.layouts} --max-points {params.max_points} --seed {params.seed}"
        " --threads {threads} --out-dir \"$(dirname {output.html:q})\" > {log:q} 2>&1"


rule render_notebook:
    input:
        vectors=space_vectors,
        made_of=own_manifest,
        fitted_on=other_manifest,
        layout=ancient("<results>/{model}/{table}/{space}/layout.parquet"),
        pca=pca_of,
        template=ancient(workflow.source_path("../notebooks/explore.ipynb")),
    output:
        notebook="<results>/{model}/{table}/{space}/explore.ipynb",
        html=report(
            "<results>/{model}/{table}/{space}/explore.html",
            caption="../report/notebook.rst",
            category="3 notebooks",
            labels={"model": "{model}", "table": "{table}", "space": "{space}", "page": "notebook"},
        ),
    log:
        "<logs>/{model}/{table}/render_notebook/{space}.log",
    conda:
        "../../envs/report.yaml"
    params:
        engine=engine,
        digest=space_digest,
        layouts=",".join(config["report"]["layouts"]),
        max_points=of_config("report", "max_points"),
        seed=of_config("report", "seed"),
        named=named_entities,
        recipe=f"{RECIPE['draw_map']}.{RECIPE['render_notebook']}",
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    shell:
        "{params.engine} render-notebook \"$(dirname {input.vectors:q})\" --template {input.template:q}"
        " --pca {input.pca:q} --named {params.named:q} --out-notebook {output.notebook:q}"
        " --out-html {output.html:q} > {log:q} 2>&1"
