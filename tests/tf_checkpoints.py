"""TensorFlow checkpoints, written here by the format's description."""

import struct
from pathlib import Path

import numpy as np
import pytest


def number(value: int) -> bytes:
    """Write a base-128 number."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def masked(data: bytes) -> int:
    """Give the stored form of a CRC-32C."""
    crc = pytest.importorskip("google_crc32c").value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def block(items: list[tuple[bytes, bytes]]) -> bytes:
    """Write a LevelDB block, each key sharing what it can with the one before."""
    out, last = b"", b""
    for key, value in items:
        shared = 0
        while shared < min(len(key), len(last)) and key[shared] == last[shared]:
            shared += 1
        out += number(shared) + number(len(key) - shared) + number(len(value))
        out += key[shared:] + value
        last = key
    return out + struct.pack("<II", 0, 1) + b"\0"


def write_checkpoint(prefix: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write `prefix.index` and `prefix.data-00000-of-00001`, two blocks in the index."""
    data, items = b"", [(b"", b"\x08\x01\x1a\x02\x08\x01")]
    for name in sorted(arrays):
        raw = arrays[name].tobytes()
        dims = b"".join(
            b"\x12" + number(len(d)) + d for d in (b"\x08" + number(n) for n in arrays[name].shape)
        )
        entry = b"\x08\x01\x12" + number(len(dims)) + dims + b"\x20" + number(len(data))
        entry += b"\x28" + number(len(raw)) + b"\x35" + struct.pack("<I", masked(raw))
        items.append((name.encode(), entry))
        data += raw
    out, handles = b"", []
    for part in (items[: len(items) // 2], items[len(items) // 2 :], []):
        if not part:
            part = [(key, handle) for key, handle in handles]
        written = block(part)
        handles.append((part[-1][0] + b"~", number(len(out)) + number(len(written) - 1)))
        out += written + struct.pack("<I", masked(written))
    footer = number(0) + number(0) + handles[-1][1]
    prefix.with_name(prefix.name + ".index").write_bytes(
        out + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    )
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)


def checkpoint_name(name: str) -> str:
    """Give a tensor's name in a training checkpoint."""
    name = name.replace("/RNN/MultiRNNCell/Cell", "/rnn/multi_rnn_cell/cell_")
    name = name.replace("LSTMCell/W_0", "lstm_cell/kernel").replace("LSTMCell/B", "lstm_cell/bias")
    return "lm/" + name.replace("LSTMCell/W_P_0", "lstm_cell/projection/kernel")
