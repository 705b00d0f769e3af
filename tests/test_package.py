"""The installed package: a wheel with the workflow inside, run from a folder without a checkout."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import numpy as np
import pytest
import yaml
from warm_python import interpreter
from wheels import build_wheel, install_wheel
from workflow_run import RELATION_TYPES, ROOT, Project, entities

from kgtextvec import __version__, launch
from kgtextvec.__main__ import main
from kgtextvec.errors import InputError
from kgtextvec.locations import project_folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("build"))


def files_of(*folders: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_the_workflow_and_nothing_of_a_users_own(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {
            name.removeprefix("kgtextvec/project/")
            for name in archive.namelist()
            if name.startswith("kgtextvec/project/")
        }
    expected = files_of("envs", "profiles", "resources/sample", "workflow")
    expected |= {"Snakefile", *(f"config/{name}.yaml" for name in ("config", "demo", "models"))}
    assert inside == expected


def test_the_wheel_names_what_it_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (about,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        lines = archive.read(about).decode().splitlines()
    needed = [line.removeprefix("Requires-Dist: ") for line in lines if "Requires-Dist" in line]
    base = {line for line in needed if "extra ==" not in line}
    assert {"numpy>=2", "torch>=2.13", "snakemake<10,>=9.27"} <= base
    extras = {line.removeprefix("Provides-Extra: ") for line in lines if "Provides-Extra" in line}
    assert extras == {"maps", "links", "probe", "faiss", "slurm", "kubernetes", "s3"}
    assert any(line.startswith("umap-learn;") for line in needed)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_the_package_imports_is_declared():
    """Else an install of the wheel alone ends at an import."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    extras = found["dynamic"]["optional-dependencies"].values()
    files = [*found["dynamic"]["dependencies"]["file"], *(extra["file"] for extra in extras)]
    lines = [line for file in files for line in (ROOT / file).read_text("utf-8").splitlines()]
    declared = {canonical(re.match(r"[\w.-]+", line)[0]) for line in lines if line[:1].isalpha()}
    assert {"numpy", "torch", "snakemake", "obstore"} <= declared
    imported = set()
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow/lib").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).partition(".")[0])
    providers = packages_distributions() | {"faiss": ["faiss-cpu"]}  # which may not be installed
    undeclared = {
        name
        for name in imported - sys.stdlib_module_names - {"kgtextvec"}
        if declared.isdisjoint(map(canonical, providers.get(name, [name])))
    }
    # A notebook's own; matplotlib's; Snakemake's; PyTorch's where there are GPUs.
    assert undeclared == {"IPython", "PIL", "snakemake_interface_logger_plugins", "triton"}


def test_a_config_file_is_found_or_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"kgtextvec init"):
        launch.with_config(["-n"])
    assert launch.with_config(["--config", "a.yaml", "-n"]) == ["--configfile", "a.yaml", "-n"]
    assert launch.with_config(["--config=a.yaml"]) == ["--configfile=a.yaml"]
    (tmp_path / "config.yaml").touch()
    found = launch.with_config(["--config", "models=[a]"])
    assert found == ["--config", "models=[a]", "--configfile", "config.yaml"]


@pytest.mark.parametrize("profile", ["default", "slurm", "kubernetes", "none"])
def test_a_fault_in_yaml_is_reported_with_its_line_whatever_the_profile(
    tmp_path, monkeypatch, capsys, profile
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("tables:\n  a: {file: x, kind: entities\nmodels: [x]\n")
    with pytest.raises(SystemExit) as ended:
        launch.run("-n", "--workflow-profile", profile)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("ERROR: config.yaml, line 3, column 7: not valid")


def test_a_profile_of_the_package_is_given_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    profiles = project_folder() / "profiles"
    assert launch.with_profile(["-n"]) == ["-n", "--workflow-profile", str(profiles / "default")]
    for words in (["--workflow-profile", "slurm"], ["--workflow-profile=slurm"]):
        assert launch.with_profile(words) == ["--workflow-profile", str(profiles / "slurm")]
    words = launch.with_profile(["-n", "--", "results/scores.tsv"])
    assert words[-2:] == ["--", "results/scores.tsv"], "targets stay behind the options"
    (tmp_path / "slurm").mkdir()
    assert launch.with_profile(["--workflow-profile", "slurm"]) == ["--workflow-profile", "slurm"]
    (tmp_path / "profiles/default").mkdir(parents=True)
    assert launch.with_profile([]) == ["--workflow-profile", "profiles/default"]


def test_a_profile_or_config_file_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"--workflow-profile mine: no such folder.*aws-b"):
        launch.with_profile(["--workflow-profile", "mine"])
    (tmp_path / "profiles/mine").mkdir(parents=True)
    words = ["--workflow-profile", "mine"]  # Snakemake looks there, too
    assert launch.with_profile(words) == words
    (tmp_path / "here.yaml").write_text("{}")
    for words in (["--config", "no.yaml"], ["--configfile", "here.yaml", "no.yaml", "-n"]):
        with pytest.raises(SystemExit) as ended:
            launch.run(*words)
        shown = capsys.readouterr().err
        assert (ended.value.code, shown) == (2, "ERROR: no.yaml: no such file. Correct the path.\n")


def refused(capsys: pytest.CaptureFixture, *words: str) -> str:
    """The one line that `kgtextvec run` ends with before Snakemake starts."""
    assert main(["run", *words]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (["--default-storage-provider", "zenodo"], "snakemake-storage-plugin-zenodo"),
        (["--executor=aws-batch", "-j", "2"], "snakemake-executor-plugin-aws-batch"),
    ],
)
def test_a_plugin_that_is_not_installed_is_named(tmp_path, monkeypatch, capsys, words, package):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").touch()
    error = refused(capsys, *words)
    assert error.startswith("ERROR: --") and error.count("\n") == 1
    assert f"its plugin is not installed. Run pip install {package}, or" in error
    profile = tmp_path / "mine/profile.yaml"
    profile.parent.mkdir()
    name, _, value = " ".join(words[:2]).removeprefix("--").replace("=", " ").partition(" ")
    profile.write_text(f"{name}: {value.split()[0]}\n")
    assert package in refused(capsys, "--workflow-profile", "mine")


def test_requests_to_s3_are_repeated_unless_the_user_says_how_often(tmp_path):
    on_s3 = ["-n", "--default-storage-provider", "s3"]
    assert launch.with_retries(["-n"]) == ["-n"]
    assert launch.with_retries(on_s3) == [*on_s3, "--storage-s3-retries", "20"]
    assert launch.with_retries([*on_s3, "--storage-s3-retries=2"])[-1] == "--storage-s3-retries=2"
    (tmp_path / "profile.yaml").write_text("default-storage-provider: s3\nstorage-s3-retries: 3\n")
    words = ["--workflow-profile", str(tmp_path)]
    assert launch.with_retries(words) == words


def test_results_of_a_newer_version_are_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").touch()
    launcher = tmp_path / launch.SNAKEFILE
    launcher.parent.mkdir()
    launcher.write_text(launch.LAUNCHER.format(version="0.10.0"))
    error = refused(capsys)
    assert error.startswith(
        "ERROR: .kgtextvec/Snakefile: the results here are of kgtextvec 0.10.0, and this is "
    )
    assert "0.10.0" in launcher.read_text()
    launcher.write_text(launch.LAUNCHER.format(version="0.0.9"))
    launch.snakemake_command([])
    assert f'"{__version__}"' in launcher.read_text()


def test_every_profile_repeats_the_default_one():
    """A named profile takes the default's place."""
    default = yaml.safe_load((ROOT / "profiles/default/profile.yaml").read_text("utf-8"))
    for path in (ROOT / "profiles").glob("*/profile.yaml"):
        found = yaml.safe_load(path.read_text("utf-8"))
        for key in ("rerun-triggers", "rerun-incomplete", "scheduler", "max-checksum-file-size"):
            assert found[key] == default[key], (path, key)


def test_a_worker_with_another_version_is_refused(tmp_path):
    (tmp_path / "Snakefile").write_text(launch.LAUNCHER.format(version="0.0.1"))
    done = subprocess.run(
        [interpreter(), "-m", "snakemake", "--cores", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "ERROR: the run was started by kgtextvec 0.0.1" in done.stderr


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    return install_wheel(wheel, tmp_path_factory.mktemp("installed") / "venv")


def called(command: Path, folder: Path, *words: str) -> subprocess.CompletedProcess:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [command, *words],
        cwd=folder,
        # Jupyter's templates are data files of the environment that has the libraries.
        env=env | {"OMP_NUM_THREADS": "1", "JUPYTER_PATH": f"{sys.prefix}/share/jupyter"},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo_of_the_package_has_the_vectors_of_the_checkout(installed, tmp_path):
    wanted = [
        f"results/all-MiniLM-L6-v2/{table}/{space}/manifest.json"
        for table in ("entities", "relation_types")
        for space in ("full", "pca64")
    ]
    project = Project(
        tmp_path / "checkout", yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    )
    project.run(*wanted)
    here = tmp_path / "empty"
    here.mkdir()
    done = called(installed, here, "demo")
    assert done.returncode == 0, done.stderr[-3000:]
    for path in wanted:
        assert digests_in(here / path) == digests_in(project.folder / path)
    assert "results/all-MiniLM-L6-v2/entities/pca64/map.html" in done.stderr
    again = called(installed, here, "demo")
    assert again.returncode == 0
    assert "Nothing to be done" in again.stderr


def digests_in(path: Path) -> dict[str, str]:
    found = yaml.safe_load(path.read_text("utf-8"))
    return {key: found[key] for key in ("vectors_xxh3", "index_digest", "fingerprint")}


@pytest.mark.slow
def test_a_users_table_without_a_checkout(installed, tmp_path):
    project = Project(tmp_path / "mine", {})
    project.write_entities(entities(12))
    project.write_relation_types(RELATION_TYPES)
    config = {
        "tables": {
            "entities": {"file": "entities.tsv", "kind": "entities"},
            "relation_types": {"file": "relation_types.tsv", "kind": "relation_types"},
        },
        "models": ["all-MiniLM-L6-v2"],
        "spaces": ["full", "pca4"],
        "evaluate": {"scores": []},
        "report": {"maps": False, "notebooks": False},
    }
    (project.folder / "config.yaml").write_text(yaml.safe_dump(config))
    done = called(installed, project.folder, "run", "--cores", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Select jobs" not in done.stderr and "; open results/index.html" in done.stderr
    space = project.folder / "results/all-MiniLM-L6-v2/entities/pca4"
    assert np.load(space / "embeddings.npy").shape == (12, 4)
    done = called(installed, project.folder, "run", "-n", "--sdm", "conda")
    assert done.returncode == 2
    assert "ERROR: --sdm conda: an installed package has no engine" in done.stderr
    lint = ("lint", "--kind", "entities", "entities.tsv")
    init = ("init", "entities.tsv", "--yes", "--out", "mine.yaml")
    for words in (("verify", "results"), lint, init, ("store", "stats"), ("models",)):
        done = called(installed, project.folder, *words)
        assert done.returncode == 0, (words, done.stderr)


def test_every_helper_of_the_rules_is_named():
    """Snakemake brings those that are named, from a package or a repository; a checkout has all."""
    text = (ROOT / "workflow/rules/common.smk").read_text("utf-8")
    named = set(re.findall(r'"(\w+)"', text.partition("steps = (")[2].partition(")")[0]))
    assert named | {"__init__"} == {path.stem for path in (ROOT / "workflow/lib").glob("*.py")}
