# kgtextvec: texts of a knowledge graph in, initial embeddings out. The table of contents.
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")


# Called from a folder without a config, and with none on the command line, the one here serves.
CONFIG = "config/config.yaml"
if not Path(CONFIG).exists() and not workflow.overwrite_configfiles:
    CONFIG = workflow.source_path(CONFIG)


configfile: CONFIG


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/texts.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/reduce.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/probe.smk"


rule all:
    """Make everything that the config asks for."""
    default_target: True
    input:
        targets.vectors(),
        targets.exports(),
        targets.bundles,
        targets.scores(),
        targets.pages(),
    localrule: True


name_jobs(workflow.modifier.rules)
remember_parameters(workflow.modifier.rules)
