# What depends on what: by content.
#
# Whatever others build on is a checkpoint that leaves a digest of what it made. A job takes such
# a file as ancient() and the digest as a param: it reruns when the content changed, and only
# then. Two traps of Snakemake: a checkpoint's first output must be among the inputs of a rule
# whose params ask it; and behind a job that is to run, ancient() hides changed params until the
# graph is looked at again, which happens after checkpoints alone.


import gc
import hashlib
from functools import cache

# Jobs are many small objects that live to the end: looking for garbage among them, as often as
# Python does, took a quarter of the time to plan thousands of shards.
gc.set_threshold(200_000)


@cache
def json_at(path, mtime):
    return json.loads(Path(path).read_text("utf-8"))


def manifest(path):
    """Read a manifest, once per change."""
    return json_at(str(path), Path(path).stat().st_mtime_ns)


@cache
def sha256_at(path, mtime):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def shard_names(table):
    """Names of a table's shards: 000-of-001."""
    n_shards = TABLES[table]["shards"]
    width = max(3, len(str(n_shards)))
    return [f"{i:0{width}}-of-{n_shards:0{width}}" for i in range(n_shards)]


def shards_of(wildcards):
    """The vectors of all shards of the table."""
    return expand(
        "<results>/{model}/{table}/shards/{shard}.npy",
        model=wildcards.model,
        table=wildcards.table,
        shard=shard_names(wildcards.table),
    )


def texts_made(table):
    return checkpoints.read_texts.get(table=table).output


def full_made(model, table):
    return checkpoints.gather_shards.get(model=model, table=table).output


def space_made(wildcards):
    """Outputs of the job that makes the space."""
    if wildcards.space == "full":
        return full_made(wildcards.model, wildcards.table)
    return checkpoints.apply_pca.get(
        model=wildcards.model,
        table=wildcards.table,
        n=wildcards.space.removeprefix("pca"),
    ).output


def of_texts(name):
    """Return an input: that output of read_texts for the table."""

    def value(wildcards):
        return ancient(getattr(texts_made(wildcards.table), name))

    return value


def of_full(name):
    """Return an input: that file of the table's full space."""

    def value(wildcards):
        return ancient(getattr(full_made(wildcards.model, wildcards.table), name))

    return value


def of_fitted(name):
    """Return an input: that file of the full space that PCAs are fitted on."""

    def value(wildcards):
        return ancient(getattr(full_made(wildcards.model, FIT_ON), name))

    return value


def of_space(name):
    """Return an input: that file of the space."""

    def value(wildcards):
        return ancient(getattr(space_made(wildcards), name))

    return value


def pca_of(wildcards):
    """The PCA with that number of dims."""
    return ancient(
        checkpoints.fit_pca.get(model=wildcards.model, n=wildcards.n).output.pca
    )


def pca_of_space(wildcards):
    """The PCA of a reduced space; nothing for the full one."""
    if wildcards.space == "full":
        return []
    n = wildcards.space.removeprefix("pca")
    return ancient(checkpoints.fit_pca.get(model=wildcards.model, n=n).output.pca)


def layout_of(wildcards):
    """The coordinates of the space's map."""
    return ancient(checkpoints.draw_map.get(**dict(wildcards)).output.layout)


def full_of_reduced(wildcards):
    """For a reduced space, the full vectors that it is held against."""
    if wildcards.space == "full":
        return []
    return ancient(full_made(wildcards.model, wildcards.table).vectors)


def scores_of(wildcards):
    """The space's scores, when any are wanted."""
    if not config["evaluate"]["scores"]:
        return []
    return ancient(checkpoints.evaluate_space.get(**dict(wildcards)).output.scores)


def full_manifests_of(wildcards):
    """The manifests of a table's full spaces, of every model."""
    return [ancient(full_made(model, wildcards.table).manifest) for model in MODELS]


def digest_in(path):
    """Digest of the vectors and rows that a space's manifest tells of."""
    found = manifest(path)
    return f"{found['vectors_digest'][:16]} {found['index_digest'][:16]}"


def shard_digest(wildcards):
    """Digest of the shard's texts."""
    return manifest(texts_made(wildcards.table).manifest)["shards"][wildcards.shard][
        "digest"
    ]


def rows_digest(wildcards):
    """Digest of the table's rows."""
    return manifest(texts_made(wildcards.table).manifest)["digest"]


def full_digest(wildcards):
    """Digest of the table's full space."""
    return digest_in(full_made(wildcards.model, wildcards.table).manifest)


def fitted_digest(wildcards):
    """Digest of the vectors that PCAs are fitted on."""
    return manifest(full_made(wildcards.model, FIT_ON).manifest)["vectors_digest"][:16]


def space_digest(wildcards):
    """Digest of the space."""
    return digest_in(space_made(wildcards).manifest)


def file_digest(of_wildcards):
    """Return a param: the digest of a small file that an input function names."""

    def value(wildcards):
        path = of_wildcards(wildcards)
        return sha256_at(str(path), Path(path).stat().st_mtime_ns) if path else ""

    return value


def quality_digest(wildcards):
    """Digest of what a quality report tells: the rows and every model's vectors of them."""
    made = [digest_in(full_made(model, wildcards.table).manifest) for model in MODELS]
    return [rows_digest(wildcards), *made]


def named_entities(wildcards):
    """Names of the entities whose neighbours the notebook shows, as JSON."""
    return json.dumps(config["report"]["named"])
