# Which files go into exports that hold entities and relation types together, and their digests.
# The rules are in export.smk.
from types import SimpleNamespace


def spaces_of_bundle(wildcards):
    """Outputs of the jobs that make the bundle's spaces."""
    return [
        space_made(
            SimpleNamespace(model=wildcards.model, table=table, space=wildcards.space)
        )
        for table in bundle().values()
        if table
    ]


def of_bundle(name):
    """Return an input: that file of each of the bundle's spaces."""

    def value(wildcards):
        return [ancient(getattr(made, name)) for made in spaces_of_bundle(wildcards)]

    return value


def bundle_digests(wildcards):
    """Digests of the bundle's spaces."""
    return [digest_in(made.manifest) for made in spaces_of_bundle(wildcards)]


def align_to(wildcards):
    """The trainer's id maps, or its triples."""
    paths = ALIGN["to"]
    return [
        users_file(path) for path in (paths if isinstance(paths, list) else [paths])
    ]


def align_settings(wildcards):
    """How to align, as flags of the engine."""
    scale = ALIGN["scale"]
    words = scale if isinstance(scale, str) else ",".join(str(end) for end in scale)
    return (
        f"--form {ALIGN['form']} --missing {ALIGN['missing']} --scale={words}"
        f" --seed {ALIGN['seed']}"
    )


def with_dims(wildcards):
    """Outputs of the job that makes the table's space with so many dims."""
    space = f"pca{wildcards.dims}"
    return space_made(
        SimpleNamespace(
            model=wildcards.model,
            table=wildcards.table,
            space=space if space in SPACES else "full",
        )
    )


def of_dims(name):
    """Return an input: that file of the space with so many dims."""

    def value(wildcards):
        return ancient(getattr(with_dims(wildcards), name))

    return value


def dims_digest(wildcards):
    """Digest of the space with so many dims."""
    return digest_in(with_dims(wildcards).manifest)


def mapped(wildcards):
    """The entities' space whose map BioMedGPS shows: the first reduced one, if there is one."""
    reduced = [space for space in SPACES if space != "full"]
    return SimpleNamespace(
        model=wildcards.model,
        table=bundle()["entities"],
        space=reduced[0] if reduced else "full",
    )


def of_mapped(name):
    """Return an input: that file of the mapped space."""

    def value(wildcards):
        return ancient(getattr(space_made(mapped(wildcards)), name))

    return value


def mapped_layout(wildcards):
    """The coordinates of its map."""
    return ancient(checkpoints.draw_map.get(**vars(mapped(wildcards))).output.layout)


def mapped_digest(wildcards):
    """Digest of the mapped space."""
    return digest_in(space_made(mapped(wildcards)).manifest)


def biomedgps_reports():
    """What is told of each of BioMedGPS's vector files. The dims of `full` are the model's."""
    found = []
    for model in MODELS:
        for table in TABLES:
            sizes = [
                (
                    str(manifest(full_made(model, table).manifest)["dims"])
                    if space == "full"
                    else space.removeprefix("pca")
                )
                for space in SPACES
            ]
            if len(set(sizes)) < len(sizes):
                raise WorkflowError(
                    f"config, exports: full and pca{sizes[0]} have the same dims, so that"
                    " biomedgps has one name for two files. Leave one out of spaces."
                )
            found += expand(
                "<results>/exports/biomedgps/{model}/{table}_embeddings_{dims}.json",
                model=model,
                table=table,
                dims=sizes,
            )
    return found


def of_form(wildcards):
    """What the exports of a form tell of themselves: their folders, or their reports."""
    if wildcards.form == "biomedgps":
        return biomedgps_reports()
    return expand(
        "<results>/exports/{form}/{model}/{space}",
        form=wildcards.form,
        model=MODELS,
        space=SPACES,
    )


def bundles(wildcards):
    """Every export that lies under results/exports."""
    forms = [form for form in BUNDLED if form in config["exports"]]
    forms += ["aligned"] if ALIGN else []
    found = expand(
        "<results>/exports/{form}/{model}/{space}",
        form=forms,
        model=MODELS,
        space=SPACES,
    )
    if "biomedgps" in config["exports"]:
        found += biomedgps_reports()
        if bundle()["entities"]:
            found += expand(
                "<results>/exports/biomedgps/{model}/entity2d.tsv", model=MODELS
            )
        forms = [*forms, "biomedgps"]
    return found + expand("<results>/exports/{form}/README.md", form=forms)
