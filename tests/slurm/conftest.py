"""One cluster for all tests here."""

import os
from collections.abc import Iterator

import pytest
from cluster import Cluster, what_is_missing


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running Slurm; without one the tests are skipped, but in CI they fail."""
    missing = what_is_missing()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"no Slurm: {missing}")
    if missing:
        pytest.skip(f"no Slurm: {missing}")
    with Cluster() as running:
        yield running
