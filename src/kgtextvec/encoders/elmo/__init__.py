"""ELMo in PyTorch: the network, a fast engine for many texts, and bilm-tf's files in and out."""
