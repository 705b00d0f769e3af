"""kgtextvec: texts of a biomedical knowledge graph in, initial embeddings out."""

__version__ = "0.1.0"
