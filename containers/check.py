"""Runs the demo in an image and compares its vectors with those of this checkout (make imagecheck).

    python containers/check.py COMMAND…

COMMAND runs a program in the image, with the folder {} of this machine as its working directory.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

SPACES = [
    f"results/all-MiniLM-L6-v2/{table}/{space}"
    for table in ("entities", "relation_types")
    for space in ("full", "pca64")
]
DIGESTS = ("vectors_xxh3", "index_digest", "fingerprint")


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digests of all spaces that a demo made in a folder."""
    found = {}
    for space in SPACES:
        manifest = json.loads((folder / space / "manifest.json").read_text("utf-8"))
        found |= {f"{space} {name}": str(manifest[name]) for name in DIGESTS}
    return found


def main(in_image: list[str]) -> int:
    """Run both and print each digest; return 1 if any differs."""
    checkout = Path(__file__).parents[1]
    # The image's user is another one, whose files may not be deleted from here.
    with TemporaryDirectory(prefix="kgtextvec-", ignore_cleanup_errors=True) as both:
        here, there = Path(both, "checkout"), Path(both, "image")
        here.mkdir()
        there.mkdir()
        Path(both).chmod(0o755)
        there.chmod(0o777)
        run = [sys.executable, "-m", "kgtextvec", "demo"]
        wanted = [f"{space}/manifest.json" for space in SPACES]
        subprocess.run([*run, "--", *wanted], cwd=here, check=True)
        words = [word.replace("{}", str(there)) for word in in_image]
        subprocess.run([*words, "kgtextvec", "demo"], cwd=checkout, check=True)
        mine, theirs = digests_of(here), digests_of(there)
    for name, digest in mine.items():
        same = digest == theirs[name]
        print(f"{name}: {digest[:16]}" + ("" if same else f", in the image {theirs[name][:16]}"))
    if mine != theirs:
        print("ERROR: the image makes other vectors than the checkout.", file=sys.stderr)
    return int(mine != theirs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
