"""Small files in the forms that knowledge graphs are published in, written for the tests."""

import json
from pathlib import Path

KGX_NODES = """id\tcategory\tname\tdescription\tsynonym\txref
EX:1\tbiolink:NamedThing|biolink:Disease\tscurvy\tBleeding gums.\tbarlow disease|moeller disease\t
EX:2\tbiolink:NamedThing|biolink:Disease\tpellagra\tSkin, gut and mind suffer.\t\tX:1
EX:3\tbiolink:NamedThing|biolink:Gene\tVKORC1\t\tVKOR\t
EX:4\t\tthiamine\tA vitamin.\taneurin\t
"""
KGX_EDGES = """id\tsubject\tpredicate\tobject\tprimary_knowledge_source
e1\tEX:4\tbiolink:treats\tEX:1\tinfores:ex
e2\tEX:3\tbiolink:related_to\tEX:2\tinfores:ex
"""
HETIONET_NODES = """id\tname\tkind
Gene::101\talpha kinase\tGene
Disease::DOID:7\tgamma fever\tDisease
Compound::DB1\tacetyl thing\tCompound
"""
HETIONET_EDGES = "source\tmetaedge\ttarget\nCompound::DB1\tCtD\tDisease::DOID:7\n"
PRIMEKG_NODES = """node_index,node_id,node_type,node_name,node_source
0,9796,gene/protein,PHYHIP,NCBI
1,13924,disease,"osteogenesis imperfecta, type 13",MONDO
2,DB0001,drug,Copper,DrugBank
"""
PRIMEKG_EDGES = """\
relation,display_relation,x_index,x_id,x_type,x_name,x_source,\
y_index,y_id,y_type,y_name,y_source
protein_protein,ppi,0,9796,gene/protein,PHYHIP,NCBI,1,13924,disease,osteogenesis,MONDO
"""
BIOMEDGPS_ENTITIES = """id\tlabel\tname\tdescription\tresource\ttaxid\tsynonyms\tpmids\txrefs
ENTREZ:1\tGene\tA1BG\talpha-1-B glycoprotein\tEntrez\t9606\tA1B|ABG\t\t
DOID:83\tDisease\tcataract\tClouding of the lens.\tDOID\t\t\t\t
"""
BIOMEDGPS_TYPES = "relation_type\tdescription\nEX::treats::Compound:Disease\tIt treats it.\n"
BIOMEDGPS_RELATIONS = (
    "relation_type\tresource\tpmids\tkey_sentence\tsource_id\tsource_type\ttarget_id\ttarget_type\n"
    "EX::causes::Gene:Disease\tEX\t\t\tENTREZ:1\tGene\tDOID:83\tDisease\n"
)
NEO4J_NODES = """id:ID(Gene);name;synonyms:string[];comment;:LABEL
g1;'alpha; kinase';'ak|akin';'binds, often';Gene|Protein
g2;beta kinase;;;Gene|Protein
"""
NEO4J_EDGES = ":START_ID;:END_ID;:TYPE\ng1;g2;INTERACTS\n"
BIOCYPHER = {
    "Gene-header.csv": ":ID;name;synonyms:string[];id;:LABEL\n",
    "Gene-part000.csv": "g1;'alpha kinase';'ak|akin';'g1';Gene|BiologicalEntity\n",
    "Gene-part001.csv": "g2;'beta kinase';;'g2';Gene|BiologicalEntity\n",
    "Disease-header.csv": ":ID;name;id;:LABEL\n",
    "Disease-part000.csv": "d1;'gamma fever';'d1';Disease\n",
}
DRKG_TRIPLES = "Gene::2157\tGNBR::E::Compound:Gene\tGene::5264\n" * 3
DRKG_NODES = "node\tname\nGene::2157\tcoagulation factor VIII\nGene::5264\tphytanoyl hydroxylase\n"
OBO = "format-version: 1.2\nontology: ex\n\n[Term]\nid: EX:1\nname: alpha\n"
OBO_GRAPHS = json.dumps({"graphs": [{"nodes": [{"id": "EX:1", "lbl": "alpha"}], "edges": []}]})
SYMBOLS = "TP53\nBRCA1\nEGFR\nMYC\nKRAS\n"
ENTITY2TEXT = "/m/027rn\tDominican Republic\n/m/06cx9\trepublic, form of state\n"
ENTITY2ID = "Gene::2157\t0\nGene::5264\t1\n"
# As in PrimeKG's and Neo4j's world: `label` is the name, `type` the label.
LABEL_IS_NAME = "node_id,type,label,definition\n" + "".join(
    f'X:{n},{("Gene", "Disease", "Drug")[n % 3]},"name {n}, whole",{"about" if n % 2 else ""}\n'
    for n in range(30)
)
FILES = {
    "kgx_nodes.tsv": KGX_NODES,
    "kgx_edges.tsv": KGX_EDGES,
    "hetionet_nodes.tsv": HETIONET_NODES,
    "hetionet_edges.sif": HETIONET_EDGES,
    "primekg_nodes.csv": PRIMEKG_NODES,
    "primekg_edges.csv": PRIMEKG_EDGES,
    "entities.tsv": BIOMEDGPS_ENTITIES,
    "relation_types.tsv": BIOMEDGPS_TYPES,
    "relations.tsv": BIOMEDGPS_RELATIONS,
    "neo4j_nodes.csv": NEO4J_NODES,
    "neo4j_edges.csv": NEO4J_EDGES,
    "drkg.tsv": DRKG_TRIPLES,
    "drkg_nodes.tsv": DRKG_NODES,
    "terms.obo": OBO,
    "terms.json": OBO_GRAPHS,
    "symbols.txt": SYMBOLS,
    "entity2text.txt": ENTITY2TEXT,
    "entity2id.txt": ENTITY2ID,
    "label_is_name.csv": LABEL_IS_NAME,
    **BIOCYPHER,
}


def write_forms(folder: Path) -> None:
    """Write all files into a folder."""
    for name, text in FILES.items():
        (folder / name).write_text(text, "utf-8")
