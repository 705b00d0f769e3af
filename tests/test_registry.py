"""What a registry knows: its package's modules, and modules that other distributions name."""

import sys

import pytest

from kgtextvec.errors import InputError
from kgtextvec.registry import Registry


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with two modules, and a distribution that adds a third as an entry point."""
    package = tmp_path / "zoo_of_tests"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "cat.py").write_text("ANIMAL = 'purrs'\n")
    (package / "dog.py").write_text("raise RuntimeError('listing names must not import')\n")
    (tmp_path / "owls_of_tests.py").write_text("ANIMAL = 'hoots'\n")
    about = tmp_path / "owls-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: owls\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[zoo_of_tests]\nowl = owls_of_tests\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield Registry[str]("zoo_of_tests", "ANIMAL", "animal")
    for name in [name for name in sys.modules if name.endswith("_of_tests")]:
        del sys.modules[name]


def test_names_are_those_of_modules_and_entry_points(installed):
    assert installed.names() == ["cat", "dog", "owl"]


def test_a_name_gives_the_constant_of_its_module(installed):
    assert installed["cat"] == "purrs"
    assert installed["owl"] == "hoots"
    assert "owl" in installed
    assert "cow" not in installed


def test_an_unknown_name_is_refused_with_those_there_are(installed):
    with pytest.raises(InputError, match=r"'cow' is not a known animal.*cat, dog, owl"):
        installed["cow"]
