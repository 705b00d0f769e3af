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
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        engine=engine,
        digest=quality_digest,
        recipe=RECIPE["draw_quality"],
    shell:
        "{params.engine} draw-quality --findings {input.findings:q} --manifest {input.manifests:q}"
        " --out-json {output.json:q} --out-html {output.html:q} > {log:q} 2>&1"


checkpoint draw_map:
    input:
        manifest=of_space("manifest"),
        vectors=of_space("vectors"),
        index=of_space("index"),
        rows=of_texts("manifest"),
        texts=of_texts("shards"),
        triples=graph_file("triples"),
    output:
        layout="<results>/{model}/{table}/{space}/layout.parquet",
        html=report(
            "<results>/{model}/{table}/{space}/map.html",
            caption="../report/map.rst",
            category="2 maps",
            labels={
                "model": "{model}",
                "table": "{table}",
                "space": "{space}",
                "page": "map",
            },
        ),
        png="<results>/{model}/{table}/{space}/map.png",
        svg="<results>/{model}/{table}/{space}/map.svg",
    log:
        "<logs>/{model}/{table}/draw_map/{space}.log",
    conda:
        "../../envs/report.yaml"
    threads: 2
    resources:
        mem_mb=grown(6000),
        runtime=grown(120),
    params:
        engine=engine,
        digest=space_digest,
        layouts=",".join(config["report"]["layouts"]),
        max_points=of_config("report", "max_points"),
        seed=of_config("report", "seed"),
        recipe=RECIPE["draw_map"],
    shell:
        '{params.engine} draw-map "$(dirname {input.vectors:q})" --texts {input.texts:q}'
        " --triples {input.triples:q} --layouts {params.layouts}"
        " --max-points {params.max_points} --seed {params.seed}"
        ' --out-dir "$(dirname {output.html:q})" > {log:q} 2>&1'


rule render_notebook:
    input:
        manifest=of_space("manifest"),
        vectors=of_space("vectors"),
        index=of_space("index"),
        layout=layout_of,
        pca=pca_of_space,
        scores=scores_of,
        template=ancient(workflow.source_path("../notebooks/explore.ipynb")),
    output:
        notebook="<results>/{model}/{table}/{space}/explore.ipynb",
        html=report(
            "<results>/{model}/{table}/{space}/explore.html",
            caption="../report/notebook.rst",
            category="3 notebooks",
            labels={
                "model": "{model}",
                "table": "{table}",
                "space": "{space}",
                "page": "notebook",
            },
        ),
    log:
        "<logs>/{model}/{table}/render_notebook/{space}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        engine=engine,
        digest=space_digest,
        layout=file_digest(layout_of),
        scores=file_digest(scores_of),
        named=named_entities,
        recipe=RECIPE["render_notebook"],
    shell:
        '{params.engine} render-notebook "$(dirname {input.vectors:q})" --template {input.template:q}'
        " --pca {input.pca:q} --named {params.named:q} --out-notebook {output.notebook:q}"
        " --out-html {output.html:q} > {log:q} 2>&1"
