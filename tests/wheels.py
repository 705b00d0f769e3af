"""The package as a wheel, and environments that have it."""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from workflow_run import ROOT

BUILT_FROM = (
    "Snakefile", "MANIFEST.in", "LICENSE", "README.md", "pyproject.toml", "setup.py", "config",
    "envs", "profiles", "requirements", "src", "workflow",
)  # fmt: skip


def build_wheel(folder: Path, python: str = sys.executable) -> Path:
    """A wheel built from a copy of the checkout, so that the build leaves nothing behind there."""
    folder.mkdir(exist_ok=True)
    without = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.lock.yaml")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=without)
        else:
            shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "resources/sample", folder / "resources/sample")
    (folder / "config/models.lock.yaml").write_text("a user's own\n")
    pip = [python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", "dist", "."], cwd=folder, check=True)
    (found,) = (folder / "dist").glob("*.whl")
    return found


def install_wheel(wheel: Path, folder: Path, libraries: Sequence[str] = ()) -> Path:
    """The command of a new environment: the wheel, and the libraries of this environment.

    `libraries`: the folders that have them, if there is more than one.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = Path(
        subprocess.run(
            [folder / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    # Paths in .pth files of a folder that a .pth file names are not followed: the checkout's
    # editable install stays out.
    (site / "libraries.pth").write_text("\n".join(libraries or [sysconfig.get_path("purelib")]))
    pip = [sys.executable, "-m", "pip", f"--python={folder / 'bin/python'}", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    return folder / "bin/kgtextvec"
