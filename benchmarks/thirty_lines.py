"""The script of thirty lines that the product is compared with (bench_e2e).

    python thirty_lines.py FOLDER MODEL OUT DIMS

FOLDER holds entities.tsv and relation_types.tsv; MODEL is a folder for sentence-transformers.
Writes what the workflow writes: vectors and a TSV of both tables, full and reduced.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sentence_transformers import SentenceTransformer
from sklearn.decomposition import PCA

folder, model_folder, out, dims = sys.argv[1:]
Path(out).mkdir()
model = SentenceTransformer(model_folder, device="cpu")
pca = None
for name, spare in (("entities", "name"), ("relation_types", "relation_type")):
    table = pd.read_csv(f"{folder}/{name}.tsv", sep="\t", dtype=str, keep_default_na=False)
    texts = table["description"].where(table["description"] != "", table[spare])
    full = model.encode(texts.tolist())
    pca = pca or PCA(int(dims)).fit(full)
    for space, vectors in (("full", full), (f"pca{dims}", pca.transform(full))):
        np.save(f"{out}/{name}_{space}.npy", vectors)
        numbers = ["|".join(map(str, row)) for row in vectors]
        table.assign(embedding=numbers).to_csv(f"{out}/{name}_{space}.tsv", sep="\t", index=False)
