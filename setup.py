"""Puts the workflow into the wheel, as kgtextvec/project; pyproject.toml says everything else."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PROJECT = (
    "Snakefile",
    "config/config.yaml",
    "config/demo.yaml",
    "config/models.yaml",
    "envs",
    "profiles",
    "resources/sample",
    "workflow",
)


class BuildWithWorkflow(build_py):
    """Copies the workflow beside the engine; an editable install uses the checkout's own."""

    def run(self) -> None:
        """Build the package, then add the workflow to it."""
        super().run()
        if self.editable_mode:
            return
        project = Path(self.build_lib) / "kgtextvec/project"
        shutil.rmtree(project, ignore_errors=True)
        for name in PROJECT:
            target = project / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if Path(name).is_dir():
                shutil.copytree(name, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            else:
                shutil.copyfile(name, target)


setup(cmdclass={"build_py": BuildWithWorkflow})
