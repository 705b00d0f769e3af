"""Spreadsheets as ECMA-376 has them, written by hand."""

import html
import io
import zipfile

SHEET = (
    '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/'
    'main"><sheetData>{}</sheetData></worksheet>'
)
BOOK = """<?xml version="1.0"?><workbook
 xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
 xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{}</sheets>
</workbook>"""
RELATIONS_OF_BOOK = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
    'relationships">{}</Relationships>'
)
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
STYLES = """<?xml version="1.0"?><styleSheet
 xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2">
<xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>"""


def cell_of(value):
    """A cell as ECMA-376 has it: text, a number, or (number,): a day."""
    if isinstance(value, tuple):
        return f'<c s="1"><v>{value[0]}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    text = html.escape(value, quote=False)
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def spreadsheet_of(*sheets):
    """An .xlsx with some sheets, each a list of rows."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        numbers = range(1, len(sheets) + 1)
        links = "".join(
            f'<Relationship Id="r{n}" Type="{RELATION}worksheet" Target="worksheets/s{n}.xml"/>'
            for n in numbers
        )
        links += f'<Relationship Id="st" Type="{RELATION}styles" Target="styles.xml"/>'
        names = "".join(f'<sheet name="S{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
        start = f'<Relationship Id="b" Type="{RELATION}officeDocument" Target="xl/workbook.xml"/>'
        book.writestr("_rels/.rels", RELATIONS_OF_BOOK.format(start))
        book.writestr("xl/workbook.xml", BOOK.format(names))
        book.writestr("xl/_rels/workbook.xml.rels", RELATIONS_OF_BOOK.format(links))
        book.writestr("xl/styles.xml", STYLES)
        for n, rows in zip(numbers, sheets, strict=True):
            body = "".join(f"<row>{''.join(map(cell_of, row))}</row>" for row in rows)
            book.writestr(f"xl/worksheets/s{n}.xml", SHEET.format(body))
    return out.getvalue()
