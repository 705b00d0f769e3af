"""What the generated README of each form tells: about it, and the lines of code that load it.

A snippet is filled by str.format: folder, model, and of the tables `e` (entities) and `r` (relation
types) what the manifest tells: e[file], e[dims], e[ids], … A part between a line `#if r` (or e) and
the next `#end` stands only where there is such a table.
"""

ABOUT = {
    "biomedgps": (
        "BioMedGPS",
        """\
The TSV files are what BioMedGPS's fork of DGL-KE takes (`--entity-emb-file`,
`--relation-emb-file`) and what its server imports. The `.json` beside each names the rows that
the server would refuse; mend them in the table before you import. The server's default table
holds 400 dims.

```sh
biomedgps-cli importkge --help   # for …_embeddings_….tsv
biomedgps-cli importdb -t entity2d -f entity2d.tsv   # see its --help for the database's address
```
""",
    ),
    "dglke": (
        "DGL-KE",
        """\
Row i of a matrix is the entity (relation) that the map beside it calls i: `i⇥id` in `entities.tsv`
and `relations.tsv`, as DGL-KE writes them. Train with these maps (`--format udd_hrt --data_files
entities.tsv relations.tsv train.tsv`, triples as row numbers), or let `align` (config/README.md)
follow the maps that DGL-KE has written. Its models start from random vectors: put ours in after
`init_emb`, for instance `model.entity_emb.emb[:] = torch.from_numpy(entities)`.
""",
    ),
    "drkg": (
        "DRKG",
        """\
As DRKG ships its own vectors: row i of a matrix is what the map beside it calls i, `id⇥i`.
""",
    ),
    "openke": (
        "OpenKE",
        """\
Row i of a matrix is i in `entity2id.txt` (`relation2id.txt`), whose first line is their number.
Train with these maps beside your triples; put the vectors in with
`model.ent_embeddings.weight.data.copy_(torch.from_numpy(entities))` and `rel_embeddings` alike.
""",
    ),
    "pykeen": (
        "PyKEEN",
        """\
Rows are in the order of sorted ids, which is PyKEEN's. A factory that is made from triples alone
knows only the ids in them: give it our maps, as below, or let `align` (config/README.md) follow
your triples. TransE and others normalise the vectors that they start from. PyKEEN initialises
twice: on a CPU its `PretrainedInitializer` (1.11.1) then gives random numbers to models that don't
normalise, such as ComplEx and RotatE. An initialiser that copies, as below, starts all of them.
""",
    ),
    "pyg": (
        "PyTorch Geometric",
        """\
One tensor per label of nodes; the Parquet file tells which node each row is.
""",
    ),
    "pgvector": (
        "PostgreSQL with pgvector",
        """\
`entities.sql` makes the table, reads `entities.copy` and makes the indexes; run it by psql in its
folder. Rows are numbered as in the table, duplicates included.
""",
    ),
    "word2vec": (
        "gensim and others that read word2vec's binary form",
        """\
The key is the node id (`label::id`); blanks in it are written as %20.
""",
    ),
    "faiss": (
        "faiss",
        """\
An exact index (L2) of the vectors as they are; id i is row i of the Parquet file beside it. For
cosines: normalise (`faiss.normalize_L2`) what `index.reconstruct_n` gives and put it into an
`IndexFlatIP`.
""",
    ),
    "aligned": (
        "your trainer, aligned",
        """\
Row i is the consumer's own id i, by the maps or triples that `align.to` names. `coverage.json`
tells which ids have a text and how the others were filled; `manifest.json` how numbers were
scaled. `selfcheck.json` has ids and lengths of five rows: hold them against what the trainer has.
""",
    ),
}

MATRICES = """\
import numpy

def load(vectors, ids):
    with open(f"{folder}/{{ids}}", encoding="utf-8") as file:
        lines = [line.rstrip("\\n").split("\\t") for line in file]{skip}
    return numpy.load(f"{folder}/{{vectors}}"), {{{pair} for {names} in lines}}

#if e
entities, entity_ids = load("{e[file]}", "{e[map]}")
assert entities.shape == ({e[rows]}, {e[dims]}) and len(entity_ids) == {e[rows]}
print(entities[entity_ids[{e[first]!r}]][:3])
#end
#if r
relations, relation_ids = load("{r[file]}", "{r[map]}")
assert relations.shape == ({r[rows]}, {r[dims]}) and len(relation_ids) == {r[rows]}
print(relations[relation_ids[{r[first]!r}]][:3])
#end
"""


def matrices(pair: str, names: str, skip: str = "") -> str:
    """Fill in how a map's lines read."""
    return MATRICES.replace("{skip}", skip).replace("{pair}", pair).replace("{names}", names)


SNIPPETS = {
    "biomedgps": """\
import numpy, pandas

#if e
entities = pandas.read_csv("{folder}/{e[file]}", sep="\\t", keep_default_na=False)
vectors = numpy.array([cell.split("|") for cell in entities["embedding"]]).astype("float32")
assert vectors.shape == ({e[rows]}, {e[dims]})
#end
#if r
relations = pandas.read_csv("{folder}/{r[file]}", sep="\\t", keep_default_na=False)
vectors = numpy.array([cell.split("|") for cell in relations["embedding"]]).astype("float32")
assert vectors.shape == ({r[rows]}, {r[dims]})
#end
""",
    "dglke": matrices("identifier: int(row)", "row, identifier"),
    "drkg": matrices("identifier: int(row)", "identifier, row"),
    "openke": matrices("identifier: int(row)", "identifier, row", "[1:]"),
    "pykeen": """\
import csv, gzip, numpy, torch
from pykeen.models import TransE
from pykeen.triples import TriplesFactory

def ids(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return {{row["label"]: int(row["id"]) for row in csv.DictReader(file, delimiter="\\t")}}

#if e
entity_to_id = ids("{folder}/{e[map]}")
entities = torch.from_numpy(numpy.load("{folder}/{e[file]}"))
assert entities.shape == ({e[rows]}, {e[dims]}) and len(entity_to_id) == {e[rows]}
#end
#if r
relation_to_id = ids("{folder}/{r[map]}")
relations = torch.from_numpy(numpy.load("{folder}/{r[file]}"))
assert relations.shape == ({r[rows]}, {r[dims]}) and len(relation_to_id) == {r[rows]}
#end
#if both
triples = numpy.array([[{e[first]!r}, {r[first]!r}, {e[last]!r}]])  # yours instead
factory = TriplesFactory.from_labeled_triples(
    triples, entity_to_id=entity_to_id, relation_to_id=relation_to_id
)

def start_from(numbers):
    return lambda weights: numbers.to(weights, copy=True).view(weights.shape)

model = TransE(  # ComplEx or RotatE: half the dims, two numbers make a complex one
    triples_factory=factory,
    embedding_dim={e[dims]},
    entity_initializer=start_from(entities),
    relation_initializer=start_from(relations),
)
#end
""",
    "pyg": """\
import pandas
from safetensors.torch import load_file
from torch_geometric.data import HeteroData

#if e
data = HeteroData()
for label, vectors in load_file("{folder}/{e[file]}").items():
    data[label].x = vectors
nodes = pandas.read_parquet("{folder}/{e[nodes]}")
row_of = dict(zip(nodes["node_id"], nodes["row"]))  # for edge_index
assert sum(data.num_nodes_dict.values()) == {e[rows]}
#end
#if r
relations = load_file("{folder}/{r[file]}")["relation_types"]
relation_of = pandas.read_parquet("{folder}/{r[nodes]}")["node_id"]
assert relations.shape == ({r[rows]}, {r[dims]})
#end
""",
    "word2vec": """\
from gensim.models import KeyedVectors

#if e
entities = KeyedVectors.load_word2vec_format("{folder}/{e[file]}", binary=True)
assert entities.vectors.shape == ({e[rows]}, {e[dims]})
print(entities.most_similar({e[first]!r}, topn=3))
#end
#if r
relations = KeyedVectors.load_word2vec_format("{folder}/{r[file]}", binary=True)
assert relations.vectors.shape == ({r[rows]}, {r[dims]})
#end
""",
    "faiss": """\
import faiss, pandas

#if e
index = faiss.read_index("{folder}/{e[file]}")
nodes = pandas.read_parquet("{folder}/{e[nodes]}")
assert (index.ntotal, index.d) == ({e[rows]}, {e[dims]})
distances, rows = index.search(index.reconstruct(0)[None], min(3, index.ntotal))
print(nodes["node_id"][rows[0]].tolist())
#end
#if r
relations = faiss.read_index("{folder}/{r[file]}")
assert (relations.ntotal, relations.d) == ({r[rows]}, {r[dims]})
#end
""",
    "aligned": """\
import json, numpy

with open("{folder}/selfcheck.json", encoding="utf-8") as file:
    tables = json.load(file)
for table in tables.values():
    vectors = numpy.load("{folder}/" + table["file"])  # or the trainer's own matrix
    assert vectors.shape == (table["rows"], table["dims"])
    for one in table["check"]:  # the trainer's number for one["id"] must be one["row"]
        length = numpy.linalg.norm(vectors[one["row"]].astype("float64"))
        assert abs(length - one["norm"]) <= 1e-6 * max(one["norm"], 1), one
""",
}

SHELL = {
    "pgvector": """\
cd {folder}
#if e
psql --set ON_ERROR_STOP=1 -d graph -f {e[sql]}
echo "SELECT node_id, name FROM entities
  ORDER BY embedding <=> (SELECT embedding FROM entities WHERE row_id = 0) LIMIT 3" | psql -d graph
#end
#if r
psql --set ON_ERROR_STOP=1 -d graph -f {r[sql]}
#end
""",
}
