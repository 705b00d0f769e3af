"""The text of a PDF that Chromium wrote, in the order of its drawing, without spaces."""

import re
import unicodedata
import zlib

OBJECT = re.compile(rb"(?:^|\s)(\d+) 0 obj(.*?)endobj", re.DOTALL)
STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.DOTALL)
SHOWN = re.compile(rb"/(F\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)>(?=\s*(?:Tj|-?[\d.]*\s*[<\]]))")


def text_of_pdf(pdf: bytes) -> str:
    """Return what is written in a PDF; each font's own table says which letter a number is."""
    objects = {int(number): body for number, body in OBJECT.findall(pdf)}
    letters = {}
    for name, number in set(re.findall(rb"/(F\d+) (\d+) 0 R", pdf)):
        found = re.search(rb"/ToUnicode (\d+) 0 R", objects[int(number)])
        wide = b"/Type0" in objects[int(number)]
        letters[name] = (4 if wide else 2, letters_of(content(objects[int(found[1])])))
    written = []
    for body in objects.values():
        if b"stream" not in body or not (drawn := content(body)) or b" Tf" not in drawn:
            continue
        width, known = 4, {}
        for font, numbers in SHOWN.findall(drawn):
            if font:
                width, known = letters[font]
                continue
            codes = [numbers[at : at + width] for at in range(0, len(numbers), width)]
            written += [known.get(int(code, 16), "") for code in codes]
    return without_spaces("".join(written))


def without_spaces(text: str) -> str:
    """Return a text without spaces, ligatures as their letters."""
    return "".join(unicodedata.normalize("NFKC", text).split())


def content(body: bytes) -> bytes:
    """Return an object's stream, unpacked; nothing if it is not packed by Flate."""
    stream = STREAM.search(body)
    return zlib.decompress(stream[1]) if stream and b"/FlateDecode" in body else b""


def letters_of(table: bytes) -> dict[int, str]:
    """Read a ToUnicode table: number of a glyph -> letters."""
    found = {}
    for block in re.findall(rb"beginbfchar(.*?)endbfchar", table, re.DOTALL):
        for code, letters in re.findall(rb"<(\w+)>\s*<(\w+)>", block):
            found[int(code, 16)] = bytes.fromhex(letters.decode()).decode("utf-16-be")
    for block in re.findall(rb"beginbfrange(.*?)endbfrange", table, re.DOTALL):
        for low, high, letters in re.findall(rb"<(\w+)>\s*<(\w+)>\s*<(\w+)>", block):
            first = int(letters, 16)
            for at in range(int(low, 16), int(high, 16) + 1):
                found[at] = chr(first + at - int(low, 16))
    return found
