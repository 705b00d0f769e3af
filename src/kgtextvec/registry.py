"""Registries: a form, score, source, pooling, space or table format is one module.

Each module holds one constant (`FORM`, `SCORE`, …). A module of ours lies in the registry's
package and is known by its file's name; nothing is imported to list the names. A module from
another distribution is known by an entry point, whose group is the package's name:

    [project.entry-points."kgtextvec.export.forms"]
    myform = "my_package.my_module"
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar

from kgtextvec.errors import InputError
from kgtextvec.kinds import KINDS, Kind

T = TypeVar("T")


class Registry(Generic[T]):
    """The modules of one package, and of entry points, that hold a constant of type `T`."""

    def __init__(self, package: str, constant: str, noun: str) -> None:
        """Describe the registry; messages call one of its things a `noun`, such as score."""
        self.package, self.constant, self.noun = package, constant, noun

    def __getitem__(self, name: str) -> T:
        """Import the module of that name; return its constant. Raises InputError if unknown."""
        if name in self.own_names:
            module = import_module(f"{self.package}.{name}")
        elif name in self.plugins:
            module = self.plugins[name].load()
        else:
            raise InputError(f"{name!r} is not a known {self.noun}. {self.choices()}")
        found: T = getattr(module, self.constant)
        return found

    def __contains__(self, name: object) -> bool:
        """Return whether there is a module of that name."""
        return name in self.own_names or name in self.plugins

    def names(self) -> list[str]:
        """Return all names, those of our own modules first."""
        return [*self.own_names, *sorted(set(self.plugins) - set(self.own_names))]

    def examples(self) -> list[str]:
        """Return what messages and docs list: the names."""
        return self.names()

    def choices(self) -> str:
        """Return the sentence that lists the names, for messages."""
        return f"Choose one of {', '.join(self.examples())}."

    @cached_property
    def own_names(self) -> list[str]:
        """Return the names of the package's modules, sorted."""
        top, *below = self.package.split(".")
        spec = find_spec(top)  # of the top alone: to find a package in it would import its parents
        folders = (spec.submodule_search_locations if spec else None) or []
        paths = [path for folder in folders for path in Path(folder, *below).glob("[a-z]*.py")]
        return sorted(path.stem for path in paths)

    @cached_property
    def plugins(self) -> dict[str, EntryPoint]:
        """Return the entry points of other distributions, by name."""
        return {point.name: point for point in entry_points(group=self.package)}


class Patterns(Registry[T]):
    """A registry whose modules stand for many names each: pca for pca64 and pca400.

    The constants have `pattern`, a regular expression of names, and `example`, one for messages.
    """

    def find(self, name: object) -> T | None:
        """Return the constant whose pattern matches the name, if there is one."""
        for module in self.names():
            constant: Any = super().__getitem__(module)
            if re.fullmatch(constant.pattern, str(name)):
                found: T = constant
                return found
        return None

    def __getitem__(self, name: str) -> T:
        """Return the constant whose pattern matches the name. Raises InputError."""
        found = self.find(name)
        if found is None:
            raise InputError(f"{name!r} is not a known {self.noun}. {self.choices()}")
        return found

    def __contains__(self, name: object) -> bool:
        """Return whether a pattern matches the name."""
        return self.find(name) is not None

    def examples(self) -> list[str]:
        """Return one name for each module, such as pcaN."""
        constants: list[Any] = [super(Patterns, self).__getitem__(one) for one in self.names()]
        return [one.example for one in constants]


class Joinable(Registry[T]):
    """A registry whose names may also be given several at once, joined by +."""

    def __contains__(self, name: object) -> bool:
        """Return whether each of the joined names is there, and none twice."""
        parts = str(name).split("+")
        return len(set(parts)) == len(parts) and all(
            super(Joinable, self).__contains__(one) for one in parts
        )


class Listed(Registry[T]):
    """Names and things that a function returns when they are first asked for."""

    def __init__(self, read: Callable[[], Mapping[str, T]], noun: str) -> None:
        """Describe the registry; messages call one of its things a `noun`."""
        self.read, self.noun = read, noun

    @cached_property
    def things(self) -> Mapping[str, T]:
        """All things by name."""
        return self.read()

    def __getitem__(self, name: str) -> T:
        """Return the thing of that name. Raises InputError if unknown."""
        if name not in self.things:
            raise InputError(f"{name!r} is not a known {self.noun}. {self.choices()}")
        return self.things[name]

    def __contains__(self, name: object) -> bool:
        """Return whether there is a thing of that name."""
        return name in self.things

    def names(self) -> list[str]:
        """Return all names."""
        return list(self.things)


def read_id_orders() -> dict[str, Any]:
    """Return the orders of ids that all forms know, by name."""
    forms = map(FORMS.__getitem__, FORMS.names())
    return {name: order for form in forms for name, order in form.id_orders.items()}


# All registries. Their constants' types stand in the packages' own __init__.
POOLINGS: Registry[Any] = Joinable("kgtextvec.encoders.poolings", "POOLING", "pooling")
SOURCES: Registry[Any] = Registry("kgtextvec.models.sources", "SOURCE", "source")
SCORES: Registry[Any] = Registry("kgtextvec.evaluate.scores", "SCORE", "score")
SPACES: Patterns[Any] = Patterns("kgtextvec.reduce.spaces", "SPACE", "space")
FORMATS: Registry[Any] = Registry("kgtextvec.texts.formats", "FORMAT", "table format")
RECOGNISERS: Registry[Any] = Registry("kgtextvec.texts.recognisers", "RECOGNISER", "form of table")
FORMS: Registry[Any] = Registry("kgtextvec.export.forms", "FORM", "export form")
ID_ORDERS: Listed[Any] = Listed(read_id_orders, "form to align to")
TABLE_FORMATS: Listed[Any] = Listed(
    lambda: {"auto": None, **{name: FORMATS[name] for name in FORMATS.names()}}, "table format"
)
KIND_NAMES: Listed[Kind] = Listed(lambda: KINDS, "kind of table")
