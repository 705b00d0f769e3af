# All spaces side by side: one page and one notebook over all models, tables and spaces.


rule compare_spaces:
    input:
        manifests=manifests_of_spaces,
        cards=scores_of_spaces,
        texts=manifests_of_texts,
        scores="<results>/scores.tsv",
        template=ancient(workflow.source_path("../notebooks/compare.ipynb")),
    output:
        notebook="<results>/compare.ipynb",
        html=report(
            "<results>/compare.html",
            caption="../report/compare.rst",
            category="4 scores",
            labels={"page": "comparison"},
        ),
    log:
        "<logs>/compare_spaces.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    params:
        engine=engine,
        digest=compared_digest,
        recipe=RECIPE["compare_spaces"],
    shell:
        "{params.engine} compare-spaces {input.manifests:q} --scores {input.scores:q}"
        " --texts {input.texts:q} --out-html {output.html:q} --template {input.template:q}"
        " --out-notebook {output.notebook:q} > {log:q} 2>&1"
