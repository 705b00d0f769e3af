"""Graphs of 20 nodes, in files as each form's publishers write them: those of config/README.md.

Each function writes a form's files into a folder and returns what its edges call the nodes.
"""

import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from spreadsheets import spreadsheet_of

ROOT = Path(__file__).resolve().parents[1]
N = 20
NAMES = [f"{word} {i}" for i in range(N) for word in [("alpha kinase", "gamma fever")[i % 2]]]
LABELS = ["Gene" if i % 2 == 0 else "Disease" for i in range(N)]
RELATIONS = ["binds", "causes"]
EDGES = [
    (a, RELATIONS[n % 2], b)
    for n, (a, b) in enumerate(
        (i, j) for step in (3, 8) for i in range(N) for j in [(i * 7 + step) % N] if i != j
    )
]


def write(path: Path, header: list[str], rows: list[str], end: str = "\n") -> None:
    path.write_text("\n".join([*header, *rows]) + end, "utf-8")


def kgx(folder: Path) -> list[str]:
    """Lists of categories with a prefix; a column relation that is not the relation."""
    ids = [f"EX:{i}" for i in range(N)]
    write(
        folder / "nodes.tsv",
        ["id\tcategory\tname\tdescription\tsynonym"],
        [f"{ids[i]}\tbiolink:Thing|biolink:{LABELS[i]}\t{NAMES[i]}\t\ta|b" for i in range(N)],
    )
    write(
        folder / "edges.tsv",
        ["id\tsubject\tpredicate\tobject\trelation\tknowledge_source"],
        [f"{n}\t{ids[a]}\t{r}\t{ids[b]}\tRO:{n}\tx" for n, (a, r, b) in enumerate(EDGES)],
        end="\n\n",
    )
    return ids


def hetionet(folder: Path) -> list[str]:
    """Ids that hold their label; packed edges."""
    ids = [f"{label}::{i}" for i, label in enumerate(LABELS)]
    rows = [f"{ids[i]}\t{NAMES[i]}\t{LABELS[i]}" for i in range(N)]
    write(folder / "hetionet-v1.0-nodes.tsv", ["id\tname\tkind"], rows)
    text = "".join(f"{ids[a]}\t{r}\t{ids[b]}\n" for a, r, b in EDGES)
    packed = gzip.compress(f"source\tmetaedge\ttarget\n{text}".encode())
    (folder / "hetionet-v1.0-edges.sif.gz").write_bytes(packed)
    return ids


def primekg(folder: Path) -> list[str]:
    """Comma-separated; names in quotes, with commas."""
    header = "node_index,node_id,node_type,node_name,node_source"
    rows = [f'{i},{900 + i},{LABELS[i]},"{NAMES[i]}, x",NCBI' for i in range(N)]
    write(folder / "nodes.csv", [header], rows)
    header = "relation,display_relation,x_index,x_id,x_type,x_name,x_source"
    write(
        folder / "kg.csv",
        [f"{header},y_index,y_id,y_type,y_name,y_source"],
        [
            f'{r},{r} x,{a},{900 + a},{LABELS[a]},"{NAMES[a]}, x",NCBI,'
            f'{b},{900 + b},{LABELS[b]},"{NAMES[b]}, x",NCBI'
            for a, r, b in EDGES
        ],
    )
    return [f"{label}::{900 + i}" for i, label in enumerate(LABELS)]


def primekg_by_names(folder: Path) -> list[str]:
    """The same files; names are ids, as in PyKEEN's own dataset."""
    primekg(folder)
    return [f"{name}, x" for name in NAMES]


def biomedgps(folder: Path) -> list[str]:
    """No key at all: ids and labels in columns of their own."""
    rows = [f"X:{i}\t{LABELS[i]}\t{NAMES[i]}\tabout {i}\tX" for i in range(N)]
    write(folder / "entities.tsv", ["id\tlabel\tname\tdescription\tresource"], rows)
    write(
        folder / "relation_types.tsv",
        ["relation_type\tdescription"],
        [f"{relation}\tIt {relation} it." for relation in RELATIONS],
    )
    head = "relation_type\tresource\tpmids\tkey_sentence\tsource_id\tsource_type\ttarget_id"
    write(
        folder / "relations.tsv",
        [f"{head}\ttarget_type\tscore"],
        [f"{r}\tX\t\t\tX:{a}\t{LABELS[a]}\tX:{b}\t{LABELS[b]}\t1" for a, r, b in EDGES],
    )
    return [f"{label}::X:{i}" for i, label in enumerate(LABELS)]


def neo4j(folder: Path) -> list[str]:
    """Typed headers, single quotes, several labels."""
    write(
        folder / "nodes.csv",
        ["id:ID;name;synonyms:string[];comment;:LABEL"],
        [f"n{i};'{NAMES[i]}';'a|b';'x; y';{LABELS[i]}|Thing" for i in range(N)],
    )
    edges = [f"n{a};'since; then';n{b};{r}" for a, r, b in EDGES]
    write(folder / "edges.csv", [":START_ID;note;:END_ID;:TYPE"], edges)
    return [f"n{i}" for i in range(N)]


def biocypher(folder: Path) -> list[str]:
    """Part files of nodes and of edges, their headers in files of their own."""
    for label in ("Gene", "Disease"):
        mine = [i for i in range(N) if LABELS[i] == label]
        write(folder / f"{label}-header.csv", [], [":ID;name;id;:LABEL"])
        for part in range(2):
            rows = [f"n{i};'{NAMES[i]}';'n{i}';{label}|Thing" for i in mine[part::2]]
            write(folder / f"{label}-part00{part}.csv", [], rows)
    for relation in RELATIONS:
        mine = [edge for edge in EDGES if edge[1] == relation]
        write(folder / f"{relation}-header.csv", [], [":START_ID;note;:END_ID;:TYPE"])
        for part in range(2):
            rows = [f"n{a};'x; y';n{b};{r}" for a, r, b in mine[part::2]]
            write(folder / f"{relation}-part00{part}.csv", [], rows)
    return [f"n{i}" for i in range(N)]


def drkg(folder: Path) -> list[str]:
    """Edges without a header; names from elsewhere."""
    ids = [f"{label}::{i}" for i, label in enumerate(LABELS)]
    write(folder / "names.tsv", ["node\tname"], [f"{ids[i]}\t{NAMES[i]}" for i in range(N)])
    write(folder / "drkg.tsv", [], [f"{ids[a]}\t{r}\t{ids[b]}" for a, r, b in EDGES])
    return ids


def symbols(folder: Path) -> list[str]:
    """A list of names, one a line; triples of names, with weights."""
    names = [name.replace(" ", "-") for name in NAMES]
    write(folder / "symbols.txt", [], names)
    rows = [f"{names[a]}\t{r}\t{names[b]}\t0.5" for a, r, b in EDGES]
    write(folder / "triples.tsv", [], rows)
    return names


def label_is_name(folder: Path) -> list[str]:
    """`label` is the name, `type` the label."""
    rows = [f'X:{i},{LABELS[i]},"{NAMES[i]}, x",about {i}' for i in range(N)]
    write(folder / "nodes.csv", ["node_id,type,label,definition"], rows)
    write(folder / "edges.csv", ["from,to,type"], [f"X:{a},X:{b},{r}" for a, r, b in EDGES])
    return [f"X:{i}" for i in range(N)]


def entity2text(folder: Path) -> list[str]:
    """KG-BERT's: id and text, without a header."""
    write(folder / "entity2text.txt", [], [f"/m/{i}\t{NAMES[i]}, a thing" for i in range(N)])
    write(folder / "train.tsv", [], [f"/m/{a}\t{r}\t/m/{b}" for a, r, b in EDGES])
    return [f"/m/{i}" for i in range(N)]


def parquet(folder: Path) -> list[str]:
    """Data frames as saved."""
    ids = [f"EX:{i}" for i in range(N)]
    table = pa.table({"id": ids, "label": LABELS, "name": NAMES})
    pq.write_table(table, folder / "nodes.parquet")
    heads, relations, tails = zip(*EDGES, strict=True)
    ends = {"src": [ids[a] for a in heads], "dst": [ids[b] for b in tails]}
    pq.write_table(pa.table(ends | {"rel": list(relations)}), folder / "edges.parquet")
    return ids


def jsonl(folder: Path) -> list[str]:
    """JSON lines as KGX writes them: lists are lists."""
    ids = [f"EX:{i}" for i in range(N)]
    nodes = [
        {"id": ids[i], "category": [f"biolink:{LABELS[i]}"], "name": NAMES[i], "synonym": ["a"]}
        for i in range(N)
    ]
    write(folder / "nodes.jsonl", [], [json.dumps(one) for one in nodes])
    edges = [{"subject": ids[a], "predicate": r, "object": ids[b]} for a, r, b in EDGES]
    write(folder / "edges.jsonl", [], [json.dumps(one) for one in edges])
    return ids


def obographs(folder: Path) -> list[str]:
    """An ontology, as ROBOT writes it; its edges are statements about its terms."""
    address = "http://purl.obolibrary.org/obo/EX_"
    nodes: list[dict[str, object]] = [
        {"id": f"{address}{i}", "lbl": name, "type": "CLASS"} for i, name in enumerate(NAMES)
    ]
    edges = [{"sub": f"{address}{a}", "pred": r, "obj": f"{address}{b}"} for a, r, b in EDGES]
    text = json.dumps({"graphs": [{"nodes": nodes, "edges": edges}]}, indent=2)
    (folder / "ex.json").write_text(text, "utf-8")
    return [f"EX:{i}" for i in range(N)]


def spreadsheet(folder: Path) -> list[str]:
    """The first sheet of a spreadsheet; comma-separated edges."""
    ids = [f"EX:{i}" for i in range(N)]
    rows = [("id", "label", "name"), *zip(ids, LABELS, NAMES, strict=True)]
    (folder / "nodes.xlsx").write_bytes(spreadsheet_of(rows))
    write(folder / "edges.csv", ["h,r,t"], [f"{ids[a]},{r},{ids[b]}" for a, r, b in EDGES])
    return ids


# The examples of config/README.md, by how their paragraphs begin.
DOCUMENTED = {
    "KGX": kgx,
    "Hetionet": hetionet,
    "PrimeKG": primekg,
    "BioMedGPS": biomedgps,
    "Neo4j": neo4j,
    "BioCypher": biocypher,
    "DRKG": drkg,
    "A list of symbols": symbols,
    "A table in which": label_is_name,
}
# Those for which init writes the config.
WRITTEN_BY_INIT = {
    "entity2text": entity2text,
    "Parquet": parquet,
    "JSON lines": jsonl,
    "OBO Graphs JSON": obographs,
    "Excel": spreadsheet,
}
PARAGRAPHS = re.findall(
    r"^([^\n`|#][^\n]*(?:\n[^\n]+)*)\n\n```yaml\n(.*?)```",
    (ROOT / "config/README.md").read_text("utf-8"),
    flags=re.DOTALL | re.MULTILINE,
)


def example(form: str) -> dict:
    """Return the config of an example in config/README.md."""
    (text,) = [block for words, block in PARAGRAPHS if words.startswith(form)]
    found: dict = yaml.safe_load(text)
    return found
