# All spaces side by side: one page and one notebook over all models, tables and spaces.
#
# By time stamps, as the table of scores: a manifest that is written anew is new to the page, even
# when the vectors are not, since it tells what they cost.


rule compare_spaces:
    input:
        manifests=in_spaces("manifest.json"),
        cards=scores(),
        texts=expand("<results>/texts/{table}/manifest.json", table=TABLES),
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
        recipe=RECIPE["compare_spaces"],
    shell:
        "{params.engine} compare-spaces {input.manifests:q} --scores {input.scores:q}"
        " --texts {input.texts:q} --out-html {output.html:q} --template {input.template:q}"
        " --out-notebook {output.notebook:q} > {log:q} 2>&1"
