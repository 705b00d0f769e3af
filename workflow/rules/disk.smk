# Before the first job: how much disk the run will take, about, and how much is free.
import os
import subprocess


def tell_disk():
    """Let the engine tell. It is an estimate: whatever comes of it, the run begins."""
    plan = {
        "tables": {
            name: str(users_file(table["file"])) for name, table in TABLES.items()
        },
        "models": {
            model: {key: CATALOGUE[model].get(key) for key in ("kind", "dims")}
            for model in MODELS
        },
        "spaces": SPACES,
        "exports": config["exports"],
        "probes": {probe: corpora_of(probe) for probe in PROBES},
    }
    where = {
        "store": config["store"],
        "downloads": config["downloads"],
        "results": config.get("pathvars", {}).get("results", "results"),
        "resources": config.get("pathvars", {}).get("resources", "resources"),
    }
    flags = [word for name, path in where.items() for word in (f"--{name}", path)]
    subprocess.run(
        [sys.executable, "-P", "-m", "kgtextvec", "disk", json.dumps(plan), *flags],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=False,
    )


onstart:
    tell_disk()
