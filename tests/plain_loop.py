"""The independent computation: one text at a time, no padding, AutoModel, as BioMedGPS does."""

from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer


def plain_loop(
    folder: Path, texts: list[str], max_tokens: int, pooling: str = "mean"
) -> np.ndarray:
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModel.from_pretrained(str(folder)).eval()
    vectors = []
    for text in texts:
        inputs = tokenizer(
            text,
            return_tensors="pt",
            truncation=True,
            max_length=max_tokens,
            split_special_tokens=True,
            return_special_tokens_mask=True,
        )
        special = inputs.pop("special_tokens_mask")[0].bool()
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state[0]
        if pooling == "cls":
            vector = hidden[0]
        elif pooling == "max":
            vector = hidden.max(0).values
        elif pooling == "mean_no_special" and not special.all():
            vector = hidden[~special].mean(0)
        else:
            vector = hidden.mean(0)
        vectors.append(vector.numpy())
    return np.array(vectors)
