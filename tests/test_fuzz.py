"""Whatever bytes a reader is given, it reads them or says in one line why not."""

from pathlib import Path

import fuzz
import pytest


@pytest.mark.parametrize("path", sorted(fuzz.CORPUS.iterdir()), ids=lambda path: path.name)
def test_inputs_that_once_failed_are_read_or_refused(tmp_path, path):
    """A traceback, minutes of work, or damage that nobody noticed."""
    target, _, what = path.name.partition("-")
    place = tmp_path / path.name
    place.write_bytes(path.read_bytes())
    found = fuzz.outcome(fuzz.TARGETS[target][0], place)
    sound = ("16000_columns", "zstd_flipped", "footer_flipped", "surrogate", "150000", "nul.tsv")
    assert found in (("accepted", "refused") if what.startswith(sound) else ("refused",))


def faults(target: str, rounds: int, folder: Path) -> list[tuple[str, bytes]]:
    found = fuzz.fuzz(target, rounds, folder)
    return [(what, data) for what, data in found if what not in ("accepted", "refused")]


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_mutated_inputs_are_read_or_refused(tmp_path, target):
    assert not faults(target, 40, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_thousands_of_mutated_inputs_are_read_or_refused(tmp_path, target):
    assert not faults(target, 1500, tmp_path)
