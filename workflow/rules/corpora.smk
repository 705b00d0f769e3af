# Which corpora word vectors are probed with, and how.

PROBES = [name for name in ("ner", "nli") if name in config["probe"]]


wildcard_constraints:
    probe=one_of(PROBES),


def probes():
    """The results of every model and every probe that has its corpora."""
    return expand("<results>/{model}/probes/{probe}.json", model=MODELS, probe=PROBES)


def files_of(probe, part):
    """The files of a part (train, dev, test) of a probe's corpora."""
    found = config["probe"][probe].get(part) or []
    if isinstance(found, dict):
        found = [found["sentences"], found["genes"]]
    return [users_file(path) for path in ([found] if isinstance(found, str) else found)]


def corpus(part):
    """Return an input: those of the wildcard's probe."""

    def value(wildcards):
        return files_of(wildcards.probe, part)

    return value


def corpora_of(probe):
    """What is asked for the disk that word vectors will take: the files, and how numbers are kept."""
    parts = [files_of(probe, part) for part in ("train", "dev", "test")]
    files = [str(file) for part in parts for file in part]
    return {"files": files, "stored": config["probe"]["stored"]}


def reading(wildcards):
    """Return a param: how the corpora are read and checked, as flags of the engine."""
    found = config["probe"][wildcards.probe]
    if wildcards.probe == "ner":
        return f"--bad-tags {found['bad_tags']}"
    return f"--labels {shlex.quote(','.join(found['labels']))}"


def checking(wildcards, resources):
    """The same where it decides only what is refused."""
    return reading(wildcards)


def training(wildcards):
    """Return a param: how probes are trained, as flags of the engine."""
    found = config["probe"]
    seeds = found["seeds"]
    seeds = range(seeds) if isinstance(seeds, int) else seeds
    flags = {
        "scheme": (
            config["probe"]["ner"]["scheme"] if wildcards.probe == "ner" else "bio"
        ),
        "controls": ",".join(found["controls"]),
        "seeds": ",".join(map(str, seeds)),
        "epochs": found["epochs"],
        "batch-size": found["batch_size"],
        "learning-rate": found["learning_rate"],
    }
    return " ".join(
        f"--{flag} {shlex.quote(str(value))}" for flag, value in flags.items()
    )
