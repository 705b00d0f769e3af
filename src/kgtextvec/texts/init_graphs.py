"""init's graph: all files of edges together, and triples that only a table of nodes gives away."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kgtextvec.edge_file import is_number
from kgtextvec.errors import InputError
from kgtextvec.texts.recognisers import TableGuess, TableSample
from kgtextvec.triples import open_edges

# Of a file's heads and of its tails, those that a table must have.
ENOUGH_ENDS = 0.5
EDGES_LOOKED_AT = 10_000


@dataclass
class KnownIds:
    """What the rows of the tables are called: by `id`, by `label::id`, by `name`."""

    forms: dict[str, set[str]] = field(
        default_factory=lambda: {"id": set(), "label::id": set(), "name": set()}
    )

    def add(self, columns: dict[str, list[str]]) -> None:
        """Add rows."""
        self.forms["id"].update(columns["id"])
        self.forms["name"].update(columns["name"])
        pairs = zip(columns["label"], columns["id"], strict=True)
        self.forms["label::id"].update(f"{label}::{one}" for label, one in pairs)

    def guess_triples(self, sample: TableSample) -> TableGuess | None:
        """Recognise triples without a header: three columns, the ends of which are rows."""
        for row in sample.all_rows():
            if len(row) != 3 and not (len(row) == 4 and is_number(row[3])):
                return None
        try:
            (file,) = open_edges([sample.path])
            edges = next(file.batches()).slice(0, EDGES_LOOKED_AT)
        except (InputError, StopIteration):
            return None
        ends = [edges[part].to_pylist() for part in ("head", "tail")]
        for form, known in self.forms.items():
            heads, tails = (sum(one in known for one in end) / len(edges) for end in ends)
            if min(heads, tails) >= ENOUGH_ENDS:
                doubt = (
                    f"of the first {len(edges):,} edges, {100 * heads:.0f} % of the heads and"
                    f" {100 * tails:.0f} % of the tails are rows of the tables, by {form}"
                )
                return TableGuess("triples without a header", "graph", {}, [doubt])
        return None


def files_of_graph(sample: TableSample) -> list[Path]:
    """Return a sample's files of edges, its header file among them."""
    return [*sample.headers, sample.path, *sample.more]


def with_graphs_joined(
    graphs: Sequence[tuple[TableSample, TableGuess]],
) -> list[tuple[TableSample, TableGuess]]:
    """Make one graph of all files of edges that need no settings: they are read as one."""
    plain = [one for one in graphs if not one[1].settings]
    others = [one for one in graphs if one[1].settings]
    if not plain or (len(plain) == 1 and not plain[0][0].headers):
        return [*plain, *others]
    first, *more = (path for sample, _ in plain for path in files_of_graph(sample))
    forms = dict.fromkeys(guess.form for _, guess in plain)
    doubts = list(dict.fromkeys(doubt for _, guess in plain for doubt in guess.doubts))
    if len(plain) > 1 and not all(sample.headers for sample, _ in plain):
        doubts.append(
            "these files are read as one graph. Remove those that hold test triples, and name"
            " them in evaluate.test_triples"
        )
    sample = replace(plain[0][0], path=first, more=more, headers=())
    return [(sample, TableGuess(" and ".join(forms), "graph", {}, doubts)), *others]
