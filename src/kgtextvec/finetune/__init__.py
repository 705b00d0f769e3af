"""Fine-tuning: a language model goes on training on the texts of a graph."""
