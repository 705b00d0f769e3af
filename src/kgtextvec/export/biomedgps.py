"""Files for BioMedGPS: vectors for its trainer and its server, a plane for its pages.

The server's rules are those of its structs EntityEmbedding, RelationEmbedding and Entity2D and of
the tables that it makes (src/model/kge.rs and core.rs of open-prophetdb/biomedgps).
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kgtextvec.checksums import vector_digests
from kgtextvec.device import available_cores
from kgtextvec.errors import InputError
from kgtextvec.export.floats import LONGEST, spell_rows
from kgtextvec.export.tsv import filled, quoted, string_bytes, write_tsv
from kgtextvec.files import check_recorded_digest, whole_file
from kgtextvec.parquet_files import read_parquet
from kgtextvec.progress import say
from kgtextvec.records import write_record
from kgtextvec.space import Space, checked_space

DIMS_OF_SERVER = 400  # of its default table
PLANE_COLUMNS = ("umap_x", "umap_y", "tsne_x", "tsne_y")


def export_biomedgps(
    space_dir: Annotated[Path, "the space's folder"],
    *,
    dims: Annotated[int, "the dims in the file's name"],
    out: Annotated[Path, "the TSV; a .json of the same name is written, too"],
    threads: Annotated[int, "0: all cores of the job"] = 0,
) -> None:
    """Write all rows as BioMedGPS's TSV, and a .json with the rows its server would refuse.

    Raises InputError when the space doesn't have the dims in the file's name.
    """
    space = checked_space(space_dir)
    if space.dims != dims:
        raise InputError(
            f"{space_dir}: has {space.dims} dims; ask for …_embeddings_{space.dims}.tsv, or add"
            f" pca{dims} to spaces."
        )
    faults = refused_fields(space)
    refused = len({fault["embedding_id"] for fault in faults})
    write_tsv(space, out, threads or available_cores())
    if refused:
        say(
            f"WARNING: {out}: BioMedGPS's server would refuse {refused:,} of {space.rows:,}"
            f" rows, first embedding_id {faults[0]['embedding_id']} ({faults[0]['why']}). All are"
            f" in the file and named in {out.with_suffix('.json').name}."
        )
    write_record(
        out.with_suffix(".json"),
        {
            "form": "biomedgps",
            "model": space.manifest["model"]["name"],
            "space": space.manifest["space"],
            space.kind.name: {
                "table": space.manifest["table"],
                "file": out.name,
                "rows": space.rows,
                "dims": dims,
                **vector_digests(space.manifest),
                "fits_the_servers_default_table": dims == DIMS_OF_SERVER,
                "refused": refused,
                "refused_rows": faults,
            },
        },
    )


def refused_fields(space: Space) -> list[dict[str, Any]]:
    """Return the fields that the server's checks would refuse: embedding_id, field, value, why.

    A row may have several.
    """
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for rule in space.kind.server_rules:
        column = filled(space.column, rule.column, space.kind)
        lengths = pc.utf8_length(column)
        bad = pc.or_(pc.equal(lengths, 0), pc.greater(lengths, rule.longest))
        why = f"must have 1 to {rule.longest} characters"
        note_refused(found, column, bad, rule.field, why)
        if rule.pattern:
            bad = pc.invert(pc.match_substring_regex(column, rule.pattern))
            note_refused(found, column, bad, rule.field, f"must match {rule.pattern}")
    again = np.ones(space.rows, bool)
    again[space.first_rows()] = False
    fields = {column: name for name, column in space.kind.tsv.items()}
    key = " and ".join(fields[column] for column in space.kind.key)
    why = f"{key} are taken by an earlier row"
    note_refused(found, space.column("node_id"), pa.array(again), "id", why)
    return [found[key] for key in sorted(found)]


def note_refused(
    found: dict[tuple[int, str], dict[str, Any]],
    column: pa.Array,
    bad: pa.Array,
    field: str,
    why: str,
) -> None:
    """Add rows (n,) that are bad, one fault a field."""
    for row in np.flatnonzero(np.asarray(bad)).tolist():
        value = column[row].as_py()
        fault = {"embedding_id": row + 1, "field": field, "value": value, "why": f"{field} {why}"}
        found.setdefault((row, field), fault)


def export_entity2d(
    space_dir: Annotated[Path, "the space's folder"],
    *,
    layout: Annotated[Path, "layout.parquet that draw-map wrote"],
    out: Annotated[Path, "the TSV to write"],
) -> None:
    """Write the entities' places on the map, as BioMedGPS's table of two dims has them.

    Rows that the map leaves out (a sample of a large table) are left out here, since the server
    takes no empty place. Raises InputError when the map lacks t-SNE or UMAP.
    """
    space = checked_space(space_dir)
    check_recorded_digest(layout)
    places = read_parquet(layout)
    if places.num_rows != space.rows:
        raise InputError(
            f"{layout}: has {places.num_rows} rows, {space_dir} {space.rows}. Rerun draw-map."
        )
    lacking = [name for name in PLANE_COLUMNS if name not in places.schema.names]
    if lacking or not space.rows:
        raise InputError(
            f"{layout}: has no {' and no '.join(lacking) or 'rows'}; entity2d needs both"
            " maps. Set report.layouts to [tsne, umap]."
        )
    plane = np.column_stack([places[name].to_numpy() for name in PLANE_COLUMNS]).astype(np.float32)
    shown = np.flatnonzero(np.isfinite(plane).all(axis=1))
    if not len(shown):
        raise InputError(f"{layout}: places no row. Set report.layouts to [tsne, umap].")
    fields = [space.column(name).take(pa.array(shown)) for name in ("id", "label", "name")]
    numbers = pa.array(shown + 1).cast(pa.string())
    joined = [quoted(pc.fill_null(field, "")) for field in fields]
    heads, bounds = string_bytes(pc.binary_join_element_wise(numbers, *joined, "", "\t"))
    plane = np.ascontiguousarray(plane[shown])
    text = np.empty((plane.size + 1) * LONGEST + len(heads), np.uint8)
    n = spell_rows(plane.view(np.uint32), heads, bounds, text, ord("\t"))
    with whole_file(out, record_digest=True) as part, part.open("wb") as file:
        names = ["embedding_id", "entity_id", "entity_type", "entity_name", *PLANE_COLUMNS]
        file.write(("\t".join(names) + "\n").encode())
        file.write(text[:n].data)
    if len(shown) < space.rows:
        say(f"{out}: {len(shown):,} of {space.rows:,} rows; the map leaves out the others")
