"""A server that speaks OpenAI's /v1/embeddings as an encoder."""
