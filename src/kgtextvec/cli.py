"""A verb's command line, derived from its function's signature.

A parameter before `*` is a positional argument, one behind it a flag. Its annotation is
`Annotated[type, "help"]`, with a short flag `Annotated[type, "help", "-h"]`, with a registry whose
names are its choices `Annotated[str, "help", FORMS]`. The type is Path, str, int, float, bool, a
Literal, one of them `| None`, or a list of them. A parameter whose type is a class of settings
becomes one flag per setting. `*words` of a verb without other parameters takes every word but
--help as it is, for a program that the verb calls.
"""

import argparse
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from kgtextvec.errors import InputError
from kgtextvec.registry import Registry
from kgtextvec.settings.base import (
    Setting,
    Settings,
    alternatives_of,
    read_settings,
    settings_of,
    value_of_word,
)

Verb = Callable[..., None]
EMPTY = inspect.Parameter.empty


def call(function: Verb, name: str, words: Sequence[str]) -> None:
    """Read the words after a verb and call its function. Raises InputError; exits at --help."""
    # Descriptions are read from source, and choices from all that is installed: 30 ms of a job.
    described = not {"-h", "--help"}.isdisjoint(words)
    if passes_on(function) and not described:
        function(*words)
        return
    function(**arguments_of(function, name, words, described))


def arguments_of(
    function: Verb, name: str, words: Sequence[str], described: bool = False
) -> dict[str, Any]:
    """Read the words after a verb as the arguments of its function; settings are checked.

    Raises InputError for a wrong value of a setting; argparse exits for other wrong words.
    """
    given = vars(parser_of(function, name, described).parse_args(words))
    for parameter_name, kind in sections_of(function).items():
        values = {
            key: setting_value(setting, given.pop(setting_dest(key)))
            for key, setting in settings_of(kind).items()
            if setting_dest(key) in given
        }
        given[parameter_name] = read_settings(kind, values, "--", strict=False)
    return given


def parser_of(function: Verb, name: str, described: bool = True) -> argparse.ArgumentParser:
    """Return the parser of a verb's words; `described`: with descriptions and choices."""
    hints = get_type_hints(function, include_extras=True)
    parser = argparse.ArgumentParser(
        prog=f"kgtextvec {name}",
        description=inspect.getdoc(function),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sections = sections_of(function)
    for parameter in inspect.signature(function).parameters.values():
        kind, *notes = parts_of(hints[parameter.name])
        if passes_on(function):
            parser.add_argument("words", nargs="*", metavar="WORD", help=str(notes[0]))
        elif parameter.name in sections:
            group = parser.add_argument_group(heading(kind))
            for setting in settings_of(kind).values():
                add_setting(group, setting, described)
        else:
            add_argument(parser, parameter, kind, *notes)
    return parser


def passes_on(function: Verb) -> bool:
    """Return whether a verb takes its words as they are."""
    parameters = inspect.signature(function).parameters.values()
    return any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters)


def sections_of(function: Verb) -> dict[str, type[Settings]]:
    """Return the parameters of a verb that stand for a class of settings."""
    hints = get_type_hints(function, include_extras=True)
    kinds = {name: parts_of(hint)[0] for name, hint in hints.items() if name != "return"}
    return {
        name: kind
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, Settings)
    }


def heading(kind: type[Settings]) -> str:
    """Return the title of a class of settings: the first line of its docstring."""
    return (inspect.getdoc(kind) or kind.__name__).splitlines()[0].rstrip(".")


def parts_of(hint: Any) -> tuple[Any, ...]:
    """Return the type of an annotation, the help in it, and its short flag if there is one."""
    return get_args(hint) if get_origin(hint) is Annotated else (hint,)


def add_argument(
    parser: argparse.ArgumentParser,
    parameter: inspect.Parameter,
    kind: Any,
    words: str = "",
    *notes: str | Registry[Any],
) -> None:
    """Declare a parameter that is no class of settings."""
    positional = parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    required = parameter.default is EMPTY
    flag = f"--{parameter.name.replace('_', '-')}"
    short = [note for note in notes if isinstance(note, str)]
    registries = [note for note in notes if isinstance(note, Registry)]
    names = [parameter.name] if positional else [*short, flag]
    options: dict[str, Any] = (
        {"help": words} if required else {"help": words, "default": parameter.default}
    )
    types = list(alternatives_of(kind))
    if types == [bool]:
        parser.add_argument(*names, action="store_true", help=words)
        return
    lists = [one for one in types if get_origin(one) in (list, Sequence)]
    if lists:
        types = list(alternatives_of(get_args(lists[0])[0]))
        options["nargs"] = "+" if required else "*"
    elif not required and (positional or Path in types):
        options["nargs"] = "?"  # a rule's optional input may be no word at all
    literals = [one for one in types if isinstance(one, str)]
    literals += [name for registry in registries for name in registry.names()]
    if literals:
        options["choices"] = literals
    else:
        options["type"] = path_or_none if types == [Path] and not required else types[0]
    if not positional:
        options["required"] = required
    parser.add_argument(*names, **options)


def path_or_none(word: str) -> Path | None:
    """Read a path; the word none, or an empty one, means that there is no such file."""
    return None if word.strip().lower() in {"", "none"} else Path(word)


def add_setting(group: Any, setting: Setting, described: bool) -> None:
    """Declare the flag of a setting; it is left out of the result unless it is given.

    `described`: with its description and choices, which only --help shows.
    """
    if setting.section is not None:
        return
    name = f"--{setting.key.replace('_', '-')}"
    options: dict[str, Any] = {"dest": setting_dest(setting.key), "default": argparse.SUPPRESS}
    if described:
        options["help"] = setting.help.replace("%", "%%")
        if not setting.required and setting.default not in (None, ()):
            options["help"] += f" (default: {word_of(setting.default)})"
    if setting.alternatives == (bool,):
        group.add_argument(name, action=argparse.BooleanOptionalAction, **options)
        return
    choices = setting.choices if described else []
    options["metavar"] = "{" + ",".join(choices) + "}" if choices else setting.key.upper()
    group.add_argument(name, required=setting.required, **options)


def setting_dest(key: str) -> str:
    """Return where argparse keeps the word of a setting; parameters may have the same names."""
    return f"setting {key}"


def setting_value(setting: Setting, given: object) -> object:
    """Return the value of what argparse found."""
    try:
        return value_of_word(setting, given) if isinstance(given, str) else given
    except ValueError as error:
        raise InputError(
            f"--{setting.key.replace('_', '-')}: not readable ({error}). Write it as --help shows."
        ) from None


def word_of(default: Any) -> str:
    """Write a default as the command line takes it."""
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
