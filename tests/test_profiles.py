"""Profiles and rules agree: what requests a GPU is sent where there are GPUs."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def rules_with_a_gpu() -> set[str]:
    """Names of the rules whose resources name a GPU."""
    found = set()
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"^(?=rule |checkpoint )", path.read_text(), flags=re.MULTILINE):
            name = re.match(r"(?:rule|checkpoint) (\w+):", block)
            if name and re.search(r"^\s+gpu=", block, flags=re.MULTILINE):
                found.add(name[1])
    return found


def test_every_rule_with_a_gpu_goes_to_a_partition_with_gpus():
    profile = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())
    partitions = {
        rule: resources.get("slurm_partition")
        for rule, resources in profile["set-resources"].items()
    }
    assert "embed_shard" in rules_with_a_gpu()
    assert partitions == dict.fromkeys(rules_with_a_gpu(), "gpu")


def test_the_way_to_ask_for_a_gpu_by_gres_is_what_the_plugin_takes():
    """docs/running.md, Slurm: a cluster that knows only --gres."""
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm.utils")

    def asked(**resources):
        return plugin.set_gres_string(SimpleNamespace(resources=Resources(resources))).split()

    assert asked(gpu=0, gres="gpu:1") == ["--gres=gpu:1"]
    assert asked(gpu=1) == ["--gpus=1"]


class Resources(dict):
    """A job's resources as Snakemake gives them: by key and by attribute."""

    __getattr__ = dict.__getitem__
