# What people look at: the quality of a table's texts, maps, notebooks.


rule draw_quality:
    """Write the quality report of a table."""
    input:
        findings=content.of_texts("findings"),
        texts=content.of_texts("manifest"),
        manifests=content.full_manifests,
        indexes=content.full_indexes,
        rows=content.of_texts("rows"),
        shards=content.of_texts("shards"),
    output:
        json="<results>/texts/{table}/quality.json",
        html=report(
            "<results>/texts/{table}/quality.html",
            caption="../report/quality.rst",
            category="1 texts",
            labels={"table": "{table}", "page": "quality"},
        ),
        digests=page_digests("<results>/texts/{table}", "quality.html"),
    log:
        "<logs>/texts/{table}/draw_quality.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        engine=plan.engine,
        digest=content.quality_digest,
        recipe=plan.recipe("draw_quality"),
    shell:
        "{params.engine} draw-quality --findings {input.findings:q} --manifest {input.manifests:q}"
        " --rows {input.rows:q} --texts {input.shards:q}"
        " --out-json {output.json:q} --out-html {output.html:q} > {log:q} 2>&1"


checkpoint draw_map:
    """Lay a space out in two dimensions and draw it."""
    input:
        manifest=content.of_space("manifest"),
        vectors=content.of_space("vectors"),
        index=content.of_space("index"),
        rows=content.of_texts("manifest"),
        texts=content.of_texts("shards"),
        triples=inputs.graph("triples"),
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
        digests=page_digests(
            "<results>/{model}/{table}/{space}",
            "layout.parquet",
            "map.html",
            "map.png",
            "map.svg",
        ),
    log:
        "<logs>/{model}/{table}/draw_map/{space}.log",
    conda:
        "../../envs/report.yaml"
    threads: threads_of.table(2)
    resources:
        mem_mb=grown(6000),
        runtime=grown(120),
    params:
        engine=plan.engine,
        digest=content.space_digest,
        settings=plan.settings(plan.of_map, edges=True),
        recipe=plan.recipe("draw_map"),
    shell:
        '{params.engine} draw-map "$(dirname {input.vectors:q})" --texts {input.texts:q}'
        " --triples {input.triples:q} {params.settings}"
        ' --out-dir "$(dirname {output.html:q})" > {log:q} 2>&1'


rule render_notebook:
    """Run the explore notebook on a space."""
    input:
        manifest=content.of_space("manifest"),
        vectors=content.of_space("vectors"),
        index=content.of_space("index"),
        layout=content.layout,
        pca=content.basis,
        scores=content.scores,
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
        digests=page_digests(
            "<results>/{model}/{table}/{space}", "explore.ipynb", "explore.html"
        ),
    log:
        "<logs>/{model}/{table}/render_notebook/{space}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=grown(4000),
        runtime=grown(60),
    params:
        engine=plan.engine,
        digest=content.space_digest,
        layout=content.file_digest(content.layout),
        scores=content.file_digest(content.scores),
        settings=plan.settings(plan.of_notebook),
        recipe=plan.recipe("render_notebook"),
    shell:
        '{params.engine} render-notebook "$(dirname {input.vectors:q})" --template {input.template:q}'
        " --pca {input.pca:q} {params.settings} --out-notebook {output.notebook:q}"
        " --out-html {output.html:q} > {log:q} 2>&1"


# By time stamps, as the comparison: it reads small files alone.
rule draw_index:
    """Write the page that leads to everything a run made."""
    input:
        manifests=targets.in_spaces("manifest.json"),
        quality=expand("<results>/texts/{table}/quality.json", table=plan.tables),
        pictures=targets.pictures(),
        scores=targets.all_scores(),
        texts=expand("<results>/texts/{table}/manifest.json", table=plan.tables),
        cards=targets.scores(),
        sums=targets.sums(),
    output:
        html=report(
            "<results>/index.html",
            caption="../report/index.rst",
            category="0 overview",
            labels={"page": "overview"},
        ),
        digests=page_digests("<results>", "index.html"),
    log:
        "<logs>/draw_index.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        engine=plan.engine,
        files=targets.files_of_spaces(),
        others=targets.other_files(),
        recipe=plan.recipe("draw_index"),
    shell:
        "{params.engine} draw-index {input.manifests:q} --quality {input.quality:q}"
        " --files {params.files} --scores {input.scores:q} --texts {input.texts:q} --others {params.others:q}"
        " --out {output.html:q} > {log:q} 2>&1"
