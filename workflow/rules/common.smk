# What the rules share: the helpers in workflow/lib, made for this run's config.
import atexit
import gc
import importlib.util
import os
import sys
from functools import partial

from snakemake.settings.types import SharedFSUsage
from snakemake_interface_executor_plugins.settings import DeploymentMethod

# Jobs are many small objects that live to the end: looking for garbage among them, as often as
# Python does, took a quarter of the time to plan thousands of shards.
gc.set_threshold(200_000)
atexit.register(gc.freeze)  # nor look among them once more when Python ends: 0.4 s

ROOT = Path(str(workflow.current_basedir)).parents[1]
if (ROOT / "src").is_dir():
    sys.path.insert(0, str(ROOT / "src"))

from kgtextvec.job_client import SOCKET_VARIABLE, stop_in_one_line

if workflow.is_main_process:
    stop_in_one_line()  # until report_jobs answers Ctrl-C


def load_helpers():
    """Import workflow/lib as a package, also where this file comes from a repository."""
    steps = (
        "brief",
        "named",
        "page_digests",
        "model_dims",
        "checks",
        "plan",
        "together",
        "inputs",
        "contents",
        "content",
        "score_inputs",
        "score_checks",
        "targets",
        "terminal",
        "unseen",
        "jobs",
        "memory",
        "waiting",
    )
    modules = ("__init__", *steps)
    # Plain strings: Python can't write bytecode that names a file by Snakemake's own string type.
    paths = [str(Path(workflow.source_path(f"../lib/{name}.py"))) for name in modules]
    spec = importlib.util.spec_from_file_location(
        "kgtextvec_workflow",
        paths[0],
        submodule_search_locations=[str(Path(paths[0]).parent)],
    )
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])


load_helpers()
from kgtextvec.errors import InputError
from kgtextvec.job_server import start_server
from kgtextvec_workflow import memory
from kgtextvec_workflow.checks import (
    check_device,
    check_files,
    check_provider,
    with_config_file,
)
from kgtextvec_workflow.content import Content
from kgtextvec_workflow.inputs import Inputs
from kgtextvec_workflow.jobs import (
    JobThreads,
    cancel_timers,
    remember_parameters,
    remove_left_copies,
    remove_unneeded,
    starts_jobs_itself,
    verbs_to_come,
)
from kgtextvec_workflow.page_digests import compare_without_page_digests, page_digests
from kgtextvec_workflow.plan import Plan, grown, one_of
from kgtextvec_workflow.score_inputs import ScoreInputs
from kgtextvec_workflow.targets import Targets
from kgtextvec_workflow.terminal import name_jobs, report_jobs
from kgtextvec_workflow.unseen import check_unseen_changes
from kgtextvec_workflow.waiting import look_again_at_waiting_jobs
from snakemake.logging import logger

# Elsewhere, jobs whose output is a folder run here: after another machine has made one, the plugin
# for S3 still takes it for missing.
one_disk = SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage


def checked_plan():
    """Check the config; stop with one line, without a traceback, at what is wrong with it."""
    try:
        made = Plan(
            config,
            catalogue=Path(workflow.source_path("../../config/models.yaml")),
            root=ROOT,
            in_conda=DeploymentMethod.CONDA
            in workflow.deployment_settings.deployment_method,
            in_image=DeploymentMethod.APPTAINER
            in workflow.deployment_settings.deployment_method,
        )
        # As a module of another workflow, files may be made by rules of that one.
        if workflow.is_main_process and workflow.modifier.is_main_snakefile():
            check_files(made, one_disk)
            check_provider(workflow.storage_settings.default_storage_provider)
            if one_disk:
                check_unseen_changes(made)
            if workflow.resource_settings.nodes is None:  # else others run the jobs
                check_device(made)
    except InputError as error:
        files = [*workflow.configfiles, *workflow.overwrite_configfiles]
        print(f"ERROR: {with_config_file(str(error), files)}", file=sys.stderr)
        sys.exit(2)
    return made


plan = checked_plan()
if plan.in_image:

    container: plan.config.image


config |= plan.shown_in_report()
inputs = Inputs(plan, storage, one_disk)
content = Content(plan, inputs, checkpoints, rules)
score_inputs = ScoreInputs(plan, content)
targets = Targets(plan, inputs, content)
threads_of = JobThreads(plan)
remove_left_copies(workflow)
compare_without_page_digests()
look_again_at_waiting_jobs()
if workflow.is_main_process:
    jobs_report = report_jobs(logger, workflow.output_settings)
    jobs_report.when_nothing_to_do = partial(remove_unneeded, workflow)
else:
    jobs_report = None
GPU = 0 if plan.config.embed.device == "cpu" else 1


wildcard_constraints:
    model=one_of(plan.all_models),
    table=one_of([*plan.tables, *plan.masked]),
    space=one_of(plan.spaces),
    shard=r"\d+-of-\d+",
    format=one_of(plan.space_forms),
    form=one_of(plan.bundle_forms),
    dims=r"[1-9]\d*",
    probe=one_of(plan.probes),
    shared=one_of(inputs.shared),


# A dry run has no start; what an endpoint would get is of interest before anything is sent.
if workflow.output_settings.dryrun and plan.has_endpoints:
    targets.report_disk()


onstart:
    if starts_jobs_itself(workflow):
        start_server(verbs_to_come(workflow.dag, plan))
    elif workflow.is_main_process:
        os.environ[SOCKET_VARIABLE] = ""  # jobs that run elsewhere have no server
    targets.report_disk()
    remove_unneeded(workflow)


onsuccess:
    cancel_timers()
    if jobs_report:
        jobs_report.end(plan.config.pathvars.get("results", "results"))


onerror:
    cancel_timers()
