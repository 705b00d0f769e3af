# What fine-tuning depends on, and what a tuned model is to the rules that come after.

TUNED = config["finetune"]


def tuned_models():
    """Catalogue entries of the models to be made: that of the old one, with another source."""
    found = {}
    for name, wanted in TUNED.items():
        base = CATALOGUE.get(wanted["from"], {})
        if name in CATALOGUE or name in ("texts", "exports"):
            raise WorkflowError(
                f"config, finetune: the name {name} is taken. Call the new model something else."
            )
        if base.get("kind") != "elmo" or not has_checkpoint(base["source"]):
            raise WorkflowError(
                f"config, finetune.{name}.from: {wanted['from']} is no ELMo of the catalogue that"
                " comes with a training checkpoint. Name one, such as bioelmo-checkpoint."
            )
        found[name] = base | {"source": f"finetune:{wanted['from']}"}
    return found


def has_checkpoint(sources):
    """Whether a checkpoint is among the files, or what is among them can't be seen from here."""
    listed = sources if isinstance(sources, list) else [sources]
    return any(
        isinstance(source, str) or any(name.endswith(".index") for name in source)
        for source in listed
    )


CATALOGUE |= tuned_models()


wildcard_constraints:
    model=one_of([*MODELS, *(wanted["from"] for wanted in TUNED.values())]),


def base_record(wildcards):
    """What says which files training starts from."""
    return f"<resources>/downloads/{TUNED[wildcards.model]['from']}.json"


def base_folder(wildcards):
    """These files. They are unpacked anew whenever needed, which is no reason to train anew."""
    return ancient(f"<resources>/unpacked/{TUNED[wildcards.model]['from']}")


def tuning_texts(wildcards):
    """The text to learn from: a table's texts, or a file."""
    text = TUNED[wildcards.model]["text"]
    return ancient(texts_made(text).shards) if text in TABLES else users_file(text)


def tuning_manifest(wildcards):
    """A table's manifest, whose digest tells whether its texts changed."""
    text = TUNED[wildcards.model]["text"]
    return ancient(texts_made(text).manifest) if text in TABLES else []


def tuning_digest(wildcards):
    """Digest of a table's texts; a file is watched by Snakemake itself."""
    text = TUNED[wildcards.model]["text"]
    return manifest(texts_made(text).manifest)["digest"] if text in TABLES else ""


def held_out_file(wildcards):
    """The text to measure on, where it is a file of its own."""
    held_out = TUNED[wildcards.model]["held_out"]
    return users_file(held_out) if isinstance(held_out, str) else []


def tuning(wildcards):
    """Return a param: the settings of training, as flags of the engine."""
    wanted = TUNED[wildcards.model]
    of_table = CATALOGUE[wanted["from"]].get("tokens", "treebank_hyphen")
    usual = of_table if wanted["text"] in TABLES else "whitespace"
    flags = {
        "origin": wanted["from"],
        "text-name": wanted["text"],
        "tokens": wanted["tokens"] or usual,
        "held-out": held_out_file(wildcards) or wanted["held_out"],
    }
    for key in (
        "epochs",
        "batch_size",
        "unroll_steps",
        "learning_rate",
        "dropout",
        "clip_norm",
        "softmax",
        "samples",
        "seed",
    ):
        flags[key.replace("_", "-")] = wanted[key]
    return " ".join(
        f"--{flag} {shlex.quote(str(value))}"
        for flag, value in flags.items()
        if value is not None
    )


def snapshots_every(wildcards, resources):
    """Return a param that is no reason to rerun: how often training is stored."""
    return f"--snapshot-minutes {TUNED[wildcards.model]['snapshot_minutes']}"


def model_files(wildcards):
    """The folder that a model is converted from."""
    if wildcards.model in TUNED:
        return rules.finetune_model.output.folder
    return rules.unpack_model.output[0]


def model_record(wildcards):
    """What says where a model's files are from."""
    if wildcards.model in TUNED:
        return rules.finetune_model.output.downloaded
    return rules.download_model.output[0]
