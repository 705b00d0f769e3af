"""The header of safetensors, for files that are written row by row."""

import json


def header_of(shapes: dict[str, tuple[int, int]]) -> bytes:
    """Return the header before the bytes of float32 tensors, which follow in the same order."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = shape[0] * shape[1] * 4
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
