"""Write envs/*.yaml, the conda environments of the rules, at the versions of the locks.

`python requirements/envs.py`; lock.sh calls it. What an environment holds is listed here, once.
"""

import re
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("lock.txt", "lock-links.txt", "torch.txt")
PYTHON = {"python_version": "3.11", "python_full_version": "3.11.9"}

TABLES = ("msgspec", "numpy", "pandas", "pyarrow", "scipy", "threadpoolctl", "xxhash")
PAGES = ("jinja2", "markupsafe", "matplotlib", "numba", "scikit-learn")
ENVIRONMENTS = {
    "engine": (
        "What the engine's steps need.",
        *TABLES, *PAGES, "filelock", "gdown", "google-crc32c", "h5py", "huggingface-hub",
        "nervaluate", "peft", "protobuf", "psutil", "python-calamine", "pyyaml", "requests",
        "safetensors",
        "sentence-transformers", "sentencepiece",
        "tokenizers", "torch", "transformers", "urllib3", "zstandard",
    ),
    "links": ("What link prediction needs.", *TABLES, "filelock", "pykeen", "torch"),
    "report": (
        "What maps, notebooks and quality pages need.",
        *TABLES, *PAGES, "ipykernel", "jupyter-client", "nbclient", "nbconvert", "nbformat",
        "opentsne", "plotly", "pynndescent", "umap-learn",
    ),
}  # fmt: skip
HEAD = """\
# {what} Written by requirements/envs.py from the locks: edit that file.
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python =3.11
  - pip
  - pip:
"""


def pinned() -> dict[str, str]:
    """Return the version of each package in the locks that Python 3.11 takes."""
    found = {}
    for lock in LOCKS:
        for name, version, marker in re.findall(
            r"^([A-Za-z0-9._-]+)==([^ ;\\\n]+)(?: ; ([^\\\n]+))?",
            (ROOT / "requirements" / lock).read_text("utf-8"),
            re.MULTILINE,
        ):
            if not marker or Marker(marker.strip()).evaluate(PYTHON):
                found[name] = version
    return found


def environment(name: str) -> str:
    """Return the content of an environment's file; torch is last, being of an index of its own."""
    what, *packages = ENVIRONMENTS[name]
    versions = pinned()
    packages.sort(key=lambda package: (package == "torch", package))
    lines = [f"      - {package}=={versions[package]}\n" for package in packages]
    return HEAD.format(what=what) + "".join(lines)


if __name__ == "__main__":
    for each in ENVIRONMENTS:
        (ROOT / f"envs/{each}.yaml").write_text(environment(each), "utf-8")
