# Users' files that not every job can read where they are: on a web server, or on this machine alone.


rule share_file:
    """Copy a user's file, or fetch it by its URL, among the workflow's own files."""
    input:
        inputs.to_share,
    output:
        "<resources>/inputs/{shared}",
    log:
        "<logs>/inputs/share_file/{shared}.log",
    localrule: True
    conda:
        "../../envs/engine.yaml"
    params:
        engine=plan.engine,
        source=inputs.shared_from,
    shell:
        "{params.engine} share-file {params.source:q} --out {output:q} > {log:q} 2>&1"
