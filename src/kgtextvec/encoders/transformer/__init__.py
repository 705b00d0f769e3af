"""Any transformers model as an encoder: its tokenizer, batches with or without padding, speed."""
