"""Edges as JSON lines: one object a line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from kgtextvec.errors import InputError
from kgtextvec.unpacked import UnpackedFile

BYTES_AT_ONCE = 1 << 20


def keys_of_line(path: Path, line: str) -> list[str]:
    """Return the keys of a line's object. Raises InputError when it is none."""
    try:
        return list(msgspec.json.decode(line, type=dict[str, Any]))
    except msgspec.DecodeError as error:
        raise InputError(
            f"{path}: line 1 is not a JSON object ({error}). Write one object per line."
        ) from None


def json_blocks(
    path: Path, max_ratio: int, names: Sequence[str], places: Sequence[int]
) -> Iterator[dict[int, Any]]:
    """Yield the values of some keys, by place in `names`, as strings; absent and null ones are "".

    Raises InputError where a line is no object, or a value is a list or an object.
    """
    fields: list[Any] = [(f"f{place}", str | int | float | None, None) for place in places]
    renamed = {f"f{place}": names[place] for place in places}
    decoder = msgspec.json.Decoder(msgspec.defstruct("Edge", fields, rename=renamed))
    line = 1
    with UnpackedFile(path, max_ratio) as stream:
        pending = b""
        while True:
            block = stream.read(BYTES_AT_ONCE)
            data = pending + block
            cut = data.rfind(b"\n") + 1 if block else len(data)
            data, pending = data[:cut], data[cut:]
            if data.strip():
                last = line + data.rstrip().count(b"\n")
                try:
                    rows: list[Any] = decoder.decode_lines(data.removeprefix(b"\xef\xbb\xbf"))
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise InputError(
                        f"{path}: between lines {line} and {last}: {error}. Write one object per"
                        " line, with strings as head, relation and tail."
                    ) from None
                yield {
                    place: pa.array([as_string(getattr(row, f"f{place}")) for row in rows])
                    for place in places
                }
            line += data.count(b"\n")
            if not block:
                return


def as_string(value: str | int | float | None) -> str:
    """Return a value of JSON as a string."""
    return value if isinstance(value, str) else "" if value is None else str(value)
