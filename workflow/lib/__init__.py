"""The helpers of the rules: what the config asks for, input files, digests, targets."""
