"""init: look at a user's files, recognise their forms, and write a config for them."""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from kgtextvec.errors import InputError
from kgtextvec.files import whole_file
from kgtextvec.progress import say
from kgtextvec.registry import RECOGNISERS
from kgtextvec.texts.containers import OBO_GRAPHS
from kgtextvec.texts.findings import plain
from kgtextvec.texts.init_graphs import KnownIds, files_of_graph, with_graphs_joined
from kgtextvec.texts.opening import TAB_NAMES
from kgtextvec.texts.recognisers import TableGuess, TableSample, other_label

SHOWN_TEXTS = 3
# A larger table is not checked to its end.
CHECKED_BYTES = 64 << 20
HEAD = """\
# Written by kgtextvec init. Look at the lines with "Not sure" and at the sample texts, then run
#   kgtextvec run --config {out}
# docs/inputs.md and config/README.md explain every key.
"""
SEVERAL_TABLES = """\
# Not sure: are these tables parts of one graph? Exports for trainers hold one table of entities,
# and scores see only the edges within a table. If they are, make them one table:
#   file: [a.csv, b.tsv]   columns: {id: [id of a, id of b], …}
"""
TAIL = """\
models: [biobert-base-cased-v1.1]   # `kgtextvec models` lists others
spaces: [full, pca400]
exports: [npy, tsv, parquet]
"""


@dataclass
class ProposedTable:
    """One part of the config: a table or a graph, how it was found, and what it looks like."""

    sample: TableSample
    guess: TableGuess
    name: str = ""
    texts: list[tuple[str, str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def init(
    files: Annotated[list[Path], "your files: nodes, relation types, edges, in any common form"],
    *,
    out: Annotated[Path, "the config to write; never overwritten"] = Path("config.yaml"),
    yes: Annotated[bool, "ask nothing: take the likeliest mapping, others become comments"] = False,
) -> None:
    """Recognise the form of your files and write a commented config for them.

    Recognises KGX, Hetionet, PrimeKG, BioMedGPS, Neo4j's import files and BioCypher's, DRKG,
    ontologies, plain lists and other tables. Writes the terms and edges of OBO Graphs JSON as
    tables next to the config. Asks where two mappings are possible, on a terminal only. Raises
    InputError if the config or such a table exists, or if no file is recognised.
    """
    from kgtextvec.texts.samples import samples_of

    if out.exists():
        raise InputError(f"{out}: exists, and is not overwritten. Give another name with --out.")
    asking = not yes and sys.stdin.isatty() and sys.stderr.isatty()
    proposals, unknown = [], []
    samples = [one for sample in samples_of(files) for one in with_tables_made(sample, out.parent)]
    for sample in samples:
        guess = guess_form(sample)
        if guess is None:
            unknown.append(sample)
            continue
        if guess.others and asking:
            choose_mapping(sample, guess)
        proposals.append(ProposedTable(sample, guess))
    proposals = with_parts_joined(proposals)
    name_tables(proposals)
    known = KnownIds()
    for one in proposals:
        preview(one, known)
    proposals = with_one_graph(proposals, unknown, known)
    if not proposals:
        raise InputError("no file was recognised. Write the config by hand; see config/README.md.")
    with whole_file(out) as part:
        part.write_text(config_text(proposals, out), "utf-8")
    for one in proposals:
        more = f" and {len(one.sample.more)} more" if one.sample.more else ""
        where = f"{plain(str(one.sample.path), 1000)}{more}: {one.guess.form}"
        say(f"{where}, as {one.name or one.guess.role}")
        for doubt in (*one.problems, *one.guess.doubts):
            say(f"  not sure: {doubt}")
        for why, settings in one.guess.others:
            say(f"  or: {why}: {flow(settings)}")
    if any(one.name and one.guess.role != "ontology" for one in proposals):
        say(f"{out}: written. Look at its sample texts, then run: kgtextvec run --config {out}")
    else:
        say(f"{out}: written, but no table of nodes is in it yet. Do what its comments say")


def with_tables_made(sample: TableSample, folder: Path) -> list[TableSample]:
    """Return a sample, or those of the tables that are made of it: of OBO Graphs JSON."""
    from kgtextvec.texts.obographs import write_ontology
    from kgtextvec.texts.samples import sample_of

    if sample.what != OBO_GRAPHS:
        return [sample]
    tables = write_ontology(sample.path, folder)
    say(f"{plain(str(sample.path), 1000)}: {sample.what}, written as tables")
    for note in (*map(str, tables.files), *tables.notes):
        say(f"  {plain(note, 1000)}")
    return [replace(sample_of(path), what=sample.what) for path in tables.files]


def with_one_graph(
    proposals: Sequence[ProposedTable], unknown: Sequence[TableSample], known: KnownIds
) -> list[ProposedTable]:
    """Return the proposals with all files of edges in one graph; warn of files left out.

    Among the files without a form are triples of what the tables have.
    """
    graphs = [(one.sample, one.guess) for one in proposals if one.guess.role == "graph"]
    for sample in unknown:
        guess = known.guess_triples(sample)
        if guess is not None:
            graphs.append((sample, guess))
            continue
        columns = ", ".join(plain(name, 30) for name in sample.first[:12])
        hint = "" if len(sample.first) < 3 else ". Edges? Then name its columns under graph"
        shown = plain(str(sample.path), 1000)
        say(f"WARNING: {shown}: not recognised, left out. Its first line: {columns}{hint}")
    tables = [one for one in proposals if one.guess.role != "graph"]
    return [*tables, *(ProposedTable(*one) for one in with_graphs_joined(graphs))]


def guess_form(sample: TableSample) -> TableGuess | None:
    """Return the guess of the first recogniser, by rank, that has one."""
    recognisers = sorted((RECOGNISERS[name] for name in RECOGNISERS.names()), key=lambda r: r.rank)
    return next((found for one in recognisers if (found := one.guess(sample)) is not None), None)


def choose_mapping(sample: TableSample, guess: TableGuess) -> None:
    """Ask which of several mappings is right, and make it the guess's own."""
    options = [("the likeliest", guess.settings), *guess.others]
    say(f"{sample.path}: {guess.form}. Which mapping is right?")
    for number, (why, settings) in enumerate(options, 1):
        say(f"  {number}: {flow(settings)}  ({why})")
    numbers = [str(number) for number in range(1, len(options) + 1)]
    answer = ""
    while answer not in numbers:
        try:
            answer = input(f"{'/'.join(numbers)} [1]: ").strip() or "1"
        except EOFError:
            answer = "1"
    _, chosen = options.pop(int(answer) - 1)
    guess.settings, guess.others = chosen, []


def with_parts_joined(proposals: Sequence[ProposedTable]) -> list[ProposedTable]:
    """Make one table of all nodes in part files whose headers a pattern such as *-header.csv finds.

    Columns of ours that come from different ones of theirs get all of them.
    """
    nodes = [one for one in proposals if one.sample.headers and one.guess.role == "entities"]
    headers = [path for one in nodes for path in one.sample.headers]
    endings = {(path.parent, re.sub(r"^.*(?=[-_.][^-_.]*\.)", "*", path.name)) for path in headers}
    if len(nodes) < 2 or len(endings) > 1:
        return list(proposals)
    first, *rest = nodes
    columns: dict[str, list[str]] = {}
    settings = dict(first.guess.settings)
    doubts = list(first.guess.doubts)
    for one in nodes:
        for ours, theirs in one.guess.settings["columns"].items():
            if theirs not in columns.setdefault(ours, []):
                columns[ours].append(theirs)
        settings |= {key: value for key, value in one.guess.settings.items() if key != "text"}
        doubts += [doubt for doubt in one.guess.doubts if doubt not in doubts]
    if any("text" not in one.guess.settings for one in nodes):
        settings.pop("text", None)
    folder, pattern = next(iter(endings))
    settings["header_file"] = str(folder / pattern)
    settings["columns"] = {k: one[0] if len(one) == 1 else one for k, one in columns.items()}
    files = [path for one in nodes for path in (one.sample.path, *one.sample.more)]
    rows = [row for one in nodes for row in one.sample.rows]
    sample = replace(first.sample, rows=rows, headers=headers, more=files[1:])
    others = other_label(settings)
    guess = replace(first.guess, settings=settings, doubts=doubts, others=others)
    return [
        ProposedTable(sample, guess) if one is first else one
        for one in proposals
        if one not in rest
    ]


def name_tables(proposals: Sequence[ProposedTable]) -> None:
    """Name the tables: entities, relation_types, and further ones as their files."""
    taken: set[str] = set()
    for one in proposals:
        if one.guess.role == "graph":
            continue
        kind = "relation_types" if one.guess.role == "relation_types" else "entities"
        stem = one.sample.path.name.partition(".")[0]
        name = kind if kind not in taken else re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")
        number = 1
        while name in taken or not name:
            number += 1
            name = f"{kind}_{number}"
        one.name = name
        taken.add(name)


def preview(one: ProposedTable, known: KnownIds) -> None:
    """Read the table as the config would: its first texts, what is wrong with it, its ids."""
    from kgtextvec.settings.base import read_settings
    from kgtextvec.settings.tables import Reading
    from kgtextvec.texts.check import refused
    from kgtextvec.texts.table import CheckedTable

    sample, guess = one.sample, one.guess
    if guess.role not in ("entities", "relation_types"):
        return
    name = sample.path.name.removesuffix(".gz").removesuffix(".zst").removesuffix(".xz")
    if sample.format != "tsv" and name.endswith(TAB_NAMES):
        guess.settings = {"format": sample.format, **guess.settings}
    values = {"kind": guess.role, **guess.settings}
    values.pop("header_file", None)
    table = CheckedTable(
        sample.path,
        read_settings(Reading, values, f"{sample.path}: "),
        more=sample.more,
        headers=sample.headers,
    )
    size = sum(path.stat().st_size for path in table.files)
    with refused(table):
        for rows in table.rows():
            found = zip(rows.columns["id"], rows.columns["label"], rows.texts, strict=True)
            one.texts += list(islice(found, SHOWN_TEXTS - len(one.texts)))
            if guess.role == "entities":
                known.add(rows.columns)
            if size > CHECKED_BYTES and len(one.texts) == SHOWN_TEXTS:
                break
    if table.findings.outcome == "error":
        one.problems.append(f"kgtextvec lint rejects the table: {table.findings.error_message()}")


def config_text(proposals: Sequence[ProposedTable], out: Path) -> str:
    """Return the config's text: tables, graph, and the usual models and exports."""
    lines = HEAD.format(out=out).splitlines()
    tables = [one for one in proposals if one.guess.role in ("entities", "relation_types")]
    others = [one for one in proposals if one.guess.role == "ontology"]
    graphs = [one for one in proposals if one.guess.role == "graph"]
    lines.append("tables:")
    if not tables:
        lines.append("  # No table of nodes with texts was among the files; one is needed:")
        lines.append("  # entities: {file: nodes.tsv, kind: entities}")
    for one in tables:
        lines += indented(part_of_config(one), "  ")
    for one in others:
        lines += indented(part_of_config(one), "  # ")
    if len(tables) > 1:
        first = next((one.name for one in tables if one.guess.role == "entities"), "")
        lines.append(f"# PCA is fitted on the table {first or 'entities'} (reduce.fit_on).")
    if graphs and sum(one.guess.role == "entities" for one in tables) > 1:
        lines += SEVERAL_TABLES.splitlines()
    for number, one in enumerate(graphs):
        lines += indented(part_of_config(one), "" if number == 0 else "# ")
        if number == 1:
            lines.append("# Only one graph can be read with these settings: choose one.")
    return "\n".join([*lines, *TAIL.splitlines()]) + "\n"


def part_of_config(one: ProposedTable) -> Iterator[str]:
    """Yield the lines of a table or of the graph, with comments."""
    sample, guess = one.sample, one.guess
    files: Any = str(sample.path)
    if sample.more:
        files = [str(path) for path in (sample.path, *sample.more)]
    rows = f", {len(sample.rows) + ('header' in guess.settings):,} rows looked at"
    counted = rows if guess.role in ("entities", "relation_types") else ""
    yield f"{one.name or 'graph'}:"
    yield f"  # {guess.form}: {sample.format}{counted}"
    yield f"  {flow({'file': files})}"
    if guess.role != "graph":
        yield f"  kind: {'entities' if guess.role == 'ontology' else guess.role}"
    for key, value in guess.settings.items():
        yield f"  {flow({key: value})}"
    if guess.role == "graph":
        yield from (f"  # {line}" for line in columns_of_edges(sample))
    for doubt in (*one.problems, *guess.doubts):
        yield f"  # Not sure: {plain(doubt, 1000)}"
    for why, settings in guess.others:
        yield f"  # Or, if {plain(why, 200)}: replace the keys above by"
        for key, value in settings.items():
            yield f"  #   {flow({key: value})}"
    for why, settings in guess.ideas:
        yield f"  # For {why}: {flow(settings)}"
    for node, label, text in one.texts:
        yield f"  # Text of {plain(node)} ({plain(label)}): {plain(text, 160)}"


def columns_of_edges(sample: TableSample) -> Iterator[str]:
    """Yield what the reader of edges takes for head, relation and tail."""
    from kgtextvec.triples import open_edges

    try:
        files = open_edges(files_of_graph(sample))
    except InputError as error:
        yield f"Not sure: the files can't be read as edges: {plain(str(error), 1000)}"
        return
    for columns in dict.fromkeys(file.columns_shown for file in files):
        yield f"Its columns: {columns}"


def flow(settings: dict[str, Any]) -> str:
    """Return settings as one line of YAML, without the outer braces."""
    import yaml

    text: str = yaml.safe_dump(
        settings, default_flow_style=True, sort_keys=False, width=10**9, allow_unicode=True
    )
    return text.strip()[1:-1]


def indented(lines: Iterator[str], before: str) -> list[str]:
    """Return lines with the same characters before each."""
    return [(before + line).rstrip() for line in lines]
