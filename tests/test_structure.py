"""What must fit together: rules, verbs and functions; schema and docs; envs and lock; imports."""

import ast
import re
import runpy
import subprocess
import sys
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker

from kgtextvec import registry
from kgtextvec.__main__ import VERBS, main
from kgtextvec.settings import docs
from kgtextvec.settings.config import Config

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src/kgtextvec").rglob("*.py"))
STEPS = {"finetune", "models", "texts", "embed", "reduce", "export", "evaluate", "probe", "report"}
BASE = {"errors", "files", "disk", "batches", "progress", "matrices", "space", "device"}
BASE |= {"__init__", "signals", "triples", "versions", "settings", "registry", "cli", "records"}
BASE |= {"pages", "locks", "gpu_lock", "stats", "kinds"}
BASE |= {"neighbours", "digests", "parquet_files", "yaml_files", "locations"}
BASE |= {"edge_columns", "edge_lines", "unpacked", "pairs", "retry", "server_address"}
BASE |= {"edge_file", "part_files", "text_shards"}
BASE |= {"job_client", "job_server", "checksums", "fast_imports", "quick_exit"}
BASE |= {"snakemake_words", "source_files", "kept_results"}
# Verbs that chain steps, as the workflow does, or check the files of all.
CHAINS = {"upstream", "verify", "launch", "start_snakemake", "api"}
OURS = [
    *SOURCES,
    *sorted((ROOT / "tests").glob("*.py")),
    *sorted((ROOT / "workflow").rglob("*.smk")),
    *sorted((ROOT / "workflow/lib").glob("*.py")),
]


def part_of(path: Path) -> str:
    """The step, or `encoders`, or a base module that a file belongs to."""
    return path.relative_to(ROOT / "src/kgtextvec").parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The parts of kgtextvec that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("kgtextvec.")}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    part, uses = part_of(path), imported(path)
    if path == ROOT / "src/kgtextvec/__init__.py":  # what `import kgtextvec` offers, and its types
        uses -= {"api", "reduce"}
    assert part in CHAINS or not uses & CHAINS, "only the command line calls chains"
    if part in STEPS:
        assert not (uses & STEPS) - {part}, "steps meet in files"
    elif part == "encoders":
        assert not uses & STEPS, "encoders know nothing of steps"
    elif part in BASE:
        assert uses <= BASE
    elif part in CHAINS:
        assert uses <= BASE | STEPS | CHAINS, "a chain knows steps, not what is inside encoders"
    else:
        assert part == "__main__"


def rules() -> dict[str, str]:
    """Each rule's name and the verb that its shell calls."""
    found = {}
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for block in re.split(r"^(?=rule |checkpoint )", path.read_text("utf-8"), flags=re.M)[1:]:
            name = re.match(r"\w+ (\w+):", block)[1]
            found[name] = re.search(r"\{params\.engine\} ([a-z0-9-]+)", block)[1]
    return found


def test_a_rule_calls_the_verb_of_its_name():
    assert rules()
    assert {name: name.replace("_", "-") for name in rules()} == rules()
    assert set(rules().values()) <= set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_its_function_and_its_help(verb, capsys):
    name = verb.replace("-", "_")
    module = import_module(f"kgtextvec.{VERBS[verb][0]}")
    assert callable(getattr(module, name))
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: kgtextvec {verb}")


def test_the_package_is_a_command():
    shown = subprocess.run(
        [sys.executable, "-m", "kgtextvec", "lint", "--help"],
        cwd=ROOT / "src",
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith("usage: kgtextvec lint")


def test_schema_and_docs_follow_from_the_settings():
    """python -m kgtextvec.settings.docs writes both."""
    assert docs.SCHEMA.read_text("utf-8") == docs.schema_text()
    readme = docs.README.read_text("utf-8")
    assert readme == docs.readme_text(readme)


def test_every_setting_has_a_description_and_a_row_in_the_docs():
    readme = docs.README.read_text("utf-8")
    documented = re.findall(r"^\| `([A-Za-z0-9_.]+)` \|", readme, flags=re.M)
    keys = [key for key, _ in docs.rows_of(Config)]
    assert sorted(documented) == sorted(keys)
    assert all(setting.description for _, setting in docs.rows_of(Config))


def locked() -> dict[str, str]:
    """Versions of lock.txt and lock-links.txt on Linux with the environments' Python."""
    at = {"python_version": "3.11", "python_full_version": "3.11.9", "sys_platform": "linux"}
    found = {}
    for name, version, marker in re.findall(
        r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; ([^\\]+))?",
        "".join((ROOT / f"requirements/{name}.txt").read_text() for name in ("lock", "lock-links")),
        flags=re.M,
    ):
        if not marker or Marker(marker.strip()).evaluate(at):
            found[name] = version
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda p: p.name)
def test_conda_environments_have_the_locks_versions(path):
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    (pip,) = [found["pip"] for found in dependencies if isinstance(found, dict)]
    assert "python =3.11" in dependencies
    torch = (ROOT / "requirements/torch.txt").read_text().strip()
    lock = locked()
    for pin in pip:
        name, version = pin.split("==")
        assert pin == torch or lock[name] == version, pin


def test_conda_environments_are_written_from_the_locks():
    """python requirements/envs.py writes them; nothing else may."""
    made = runpy.run_path(str(ROOT / "requirements/envs.py"))
    files = {path.stem: path.read_text() for path in (ROOT / "envs").glob("*.yaml")}
    assert files == {name: made["environment"](name) for name in made["ENVIRONMENTS"]}


def test_known_vulnerabilities_are_looked_for_in_every_lock():
    """pip-audit needs the open net, so that the test only compares what it would be given."""
    shown = subprocess.run(["make", "-n", "audit"], cwd=ROOT, capture_output=True, text=True)
    locks = {path.name for path in (ROOT / "requirements").glob("lock*.txt")} | {"torch.txt"}
    assert locks == set(re.findall(r"-r requirements/((?:lock|torch)\S+)", shown.stdout))
    assert "make audit" in (ROOT / ".ci/run").read_text()
    assert "make audit" in (ROOT / "requirements/README.md").read_text()


def test_dependabot_looks_at_every_lock():
    found = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())
    watched = {(one["package-ecosystem"], one["directory"].strip("/")) for one in found["updates"]}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    folders = {
        "pip": ("lock*.txt", "torch.txt"),
        "npm": ("package-lock.json",),
    }
    needed = {
        (kind, str(path.parent))
        for kind, patterns in folders.items()
        for path in map(Path, listed.stdout.split())
        if any(path.match(pattern) for pattern in patterns)
    }
    assert watched == needed


def test_the_requirements_say_why_torch_has_no_lock():
    words = (ROOT / "requirements/README.md").read_text()
    assert "Why PyTorch has no lock" in words
    for path in (ROOT / "requirements").glob("lock*.txt"):
        assert not re.search(r"^(torch|triton|nvidia-[\w-]+)==", path.read_text(), re.MULTILINE)


def test_what_the_engine_imports_is_in_an_environment():
    names = {"yaml": "pyyaml", "sklearn": "scikit-learn", "umap": "umap-learn"}
    names |= {"openTSNE": "opentsne", "huggingface_hub": "huggingface-hub"}
    names |= {"google_crc32c": "google-crc32c", "jupyter_client": "jupyter-client"}
    names |= {"python_calamine": "python-calamine"}
    names |= {"sentence_transformers": "sentence-transformers"}
    names |= {"IPython": "ipykernel", "PIL": "matplotlib"}  # bring them
    names |= {"sentence_transformers": "sentence-transformers"}
    pinned = " ".join(path.read_text() for path in (ROOT / "envs").glob("*.yaml"))
    foreign = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                foreign |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                foreign.add(node.module.split(".")[0])
    # What is for those who ask for it: an export, a store in a bucket. Else it is said by name.
    # torch for CUDA brings triton.
    foreign -= set(sys.stdlib_module_names) | {"kgtextvec", "faiss", "triton", "obstore", "boto3"}
    missing = {name for name in foreign if f"- {names.get(name, name)}==" not in pinned}
    assert not missing


# Names that stand in several modules by design, each with the reason.
SHARED_NAMES = {
    "RECIPE": "every step's package says its own numbers, and the workflow reads them",
    "TYPE_CHECKING": "where importing typing would be too much",
}


def names_defined(path: Path) -> set[str]:
    """The functions, classes and constants that a module defines."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in found if not name.startswith("__")}


def test_a_name_has_one_meaning():
    """The constants of a registry's modules are one thing: forms, scores, …"""
    constants = {getattr(one, "constant", "") for one in vars(registry).values()}
    places = defaultdict(list)
    for path in [*SOURCES, *sorted((ROOT / "workflow/lib").glob("*.py"))]:
        for name in names_defined(path) - constants - set(SHARED_NAMES):
            places[name].append(str(path.relative_to(ROOT)))
    assert not {name: where for name, where in places.items() if len(where) > 1}


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_can_be_read_in_one_sitting(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400


def test_no_remote_code_anywhere():
    for path in SOURCES:
        assert not re.search(r"trust_remote_code\s*=\s*True", path.read_text("utf-8")), path
