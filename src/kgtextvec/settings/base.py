"""What all settings share: how they are described, read, compared and written as flags."""

import ast
import inspect
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from textwrap import dedent
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct, ValidationError, convert
from msgspec.structs import fields

from kgtextvec.errors import InputError, did_you_mean
from kgtextvec.files import parse_json
from kgtextvec.registry import Registry

# How a setting acts: changes results, unless it is marked as one of speed and place only.
RUN = Meta(extra={"acts": "run"})
# The kinds of model that a setting concerns.
TRANSFORMER_ONLY = Meta(extra={"only": ("transformer",)})
ELMO_ONLY = Meta(extra={"only": ("elmo",)})
ENDPOINT_ONLY = Meta(extra={"only": ("endpoint",)})
READS_WORDS = Meta(extra={"only": ("elmo", "words")})
NOT_ELMO = Meta(extra={"only": ("transformer", "endpoint")})
NOT_ENDPOINT = Meta(extra={"only": ("transformer", "elmo")})


def named_in(registry: Registry[Any]) -> Meta:
    """Return a mark: the value, or each of its values, is a name of the registry."""
    return Meta(extra={"names": registry})


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Some settings, each with its default; never changed after it is made.

    The string under a setting describes it, in messages, in `--help` and in the docs.
    """


# Also tells a path from other texts: what names a file is looked at when the plan is made.
FilePath = Annotated[str, Meta(min_length=1, extra={"is_path": True})]
Count = Annotated[int, Meta(ge=1)]
Seed = Annotated[int, Meta(ge=0)]
TableName = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$")]
ModelName = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
WordSplitter = Literal["treebank_hyphen", "treebank", "whitespace"]


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Setting:
    """One setting, as its class describes it.

    `owner` is its class, `attribute` its name in Python, `key` that in the config. `alternatives`
    are the types that its value may have, with literal values among them. `section` is the class
    of its value where that is a mapping of settings, with `by_name` one of several such mappings.
    """

    owner: type[Settings]
    attribute: str
    key: str
    type: Any
    alternatives: tuple[Any, ...]
    default: Any
    acts: str
    names: Registry[Any] | None
    only: tuple[str, ...] | None
    section: type[Settings] | None
    by_name: bool

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is NODEFAULT

    @property
    def choices(self) -> list[str]:
        """The words that its value, or each of its values, may be; empty if there are others."""
        if self.names is not None:
            return self.names.examples()
        if {str, int, float} & set(self.alternatives):
            return []
        inner = [each for one in self.alternatives for each in alternatives_of(one, items=True)]
        return [one for one in [*self.alternatives, *inner] if isinstance(one, str)]

    @property
    def description(self) -> str:
        """What it does, in Markdown."""
        shared = [meta.description for meta in getattr(self.type, "__metadata__", ())]
        found = [descriptions_in(self.owner).get(self.attribute), *shared]
        return next((one for one in found if one), "")

    @property
    def help(self) -> str:
        """The description as plain text."""
        return self.description.replace("`", "")


@cache
def settings_of(kind: type[Settings]) -> dict[str, Setting]:
    """Return the settings of a class by key."""
    found = {}
    for one in fields(kind):
        extra: dict[str, Any] = {}
        for meta in getattr(one.type, "__metadata__", ()):
            extra |= meta.extra or {}
        alternatives = tuple(alternatives_of(one.type))
        by_name = [one for one in alternatives if get_origin(one) is dict]
        inside = get_args(by_name[0])[1:] if by_name else alternatives
        sections = [
            each for each in inside if isinstance(each, type) and issubclass(each, Settings)
        ]
        default = one.default_factory() if one.default_factory is not NODEFAULT else one.default
        found[one.encode_name] = Setting(
            owner=kind,
            attribute=one.name,
            key=one.encode_name,
            type=one.type,
            alternatives=alternatives,
            default=default,
            acts=extra.get("acts", "vectors"),
            names=extra.get("names"),
            only=extra.get("only"),
            section=sections[0] if sections else None,
            by_name=bool(by_name),
        )
    return found


@cache
def descriptions_in(kind: type[Settings]) -> dict[str, str]:
    """Return {attribute: description}: the strings under the settings, in the classes' source.

    A class without source, or a setting without such a string, has none.
    """
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[: kind.__mro__.index(Settings)]):
        try:
            (tree,) = ast.parse(dedent(inspect.getsource(base))).body
        except OSError:
            continue
        for setting, below in pairwise(getattr(tree, "body", [])):
            if isinstance(setting, ast.AnnAssign) and isinstance(below, ast.Expr):
                name, text = ast.unparse(setting.target), ast.literal_eval(below.value)
                found[name] = " ".join(text.split())
    return found


def alternatives_of(kind: Any, items: bool = False) -> Iterator[Any]:
    """Yield the types and literal values that a type allows; with `items` those in its tuples."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from alternatives_of(get_args(kind)[0], items)
    elif origin in (Union, UnionType):
        for one in get_args(kind):
            yield from alternatives_of(one, items)
    elif origin is Literal:
        yield from get_args(kind)
    elif origin is tuple and items:
        for one in get_args(kind):
            yield from alternatives_of(one)
    elif kind is not NoneType and not items:
        yield kind


def read_settings(kind: type[S], values: object, where: str, strict: bool = True) -> S:
    """Return checked settings from a mapping. Raises InputError that names the key.

    `where` precedes each key in messages, such as "config, embed.". With `strict` false,
    numbers and truth values may come as words.
    """
    if not isinstance(values, Mapping):
        raise InputError(
            f"{where.rstrip('., ')}: {values!r} is not a mapping of settings. Write key: value."
        )
    known = settings_of(kind)
    for key in values:
        if key not in known:
            advice = did_you_mean(str(key), known) or f"The keys are {', '.join(known)}."
            raise InputError(f"{where}{key}: there is no such key. {advice}")
    found = {}
    for key, setting in known.items():
        place = where + (key.replace("_", "-") if where == "--" else key)
        if key in values:
            found[setting.attribute] = read_value(setting, values[key], place, strict)
        elif setting.required:
            raise InputError(f"{place}: missing. Add it: {setting.help}")
    return kind(**found)


def read_value(setting: Setting, value: object, where: str, strict: bool) -> Any:
    """Return the checked value of one setting."""
    section = setting.section
    if section is not None and isinstance(value, Mapping):
        if not setting.by_name:
            return read_settings(section, value, f"{where}.", strict)
        check_names(setting, value, where)
        value = {
            name: read_settings(section, each, f"{where}.{name}.", strict)
            for name, each in value.items()
            if each is not None
        }
    try:
        found = convert(value, setting.type, strict=strict)
    except ValidationError as error:
        wrong = str(error).partition(" - at ")[0]
        if section is not None and not isinstance(value, Mapping):
            advice = mapping_wanted(setting, value, where)
            raise InputError(f"{where}: {advice}") from None
        if value and wrong.startswith("Expected `array") and isinstance(value, str):
            raise InputError(
                f"{where}: {value!r} must be a list. Write {last_key(where)}: [{value}]."
            ) from None
        if setting.choices and wrong.startswith("Invalid enum"):
            wrong = f"choose from {', '.join(setting.choices)}"
        if " matching regex " in wrong:  # the description says it in words
            raise InputError(
                f"{where}: {value!r} is not allowed. Expected: {setting.help}"
            ) from None
        raise InputError(f"{where}: {value!r} is not allowed: {wrong}. {setting.help}") from None
    is_list = any(get_args(one)[1:] == (...,) for one in setting.alternatives)
    if is_list and isinstance(found, tuple) and any(found.count(one) > 1 for one in found):
        raise InputError(f"{where}: {value!r} holds a value twice. Remove one of them.")
    if setting.names is not None and found is not None:
        for name in [found] if isinstance(found, str) else found:
            if name not in setting.names:
                advice = f"{did_you_mean(name, setting.names.examples())} {setting.names.choices()}"
                raise InputError(f"{where}: {name!r} is unknown. {advice.strip()}")
    return found


def mapping_wanted(setting: Setting, value: object, where: str) -> str:
    """Say what to write in place of a value that is no mapping of settings."""
    key, section = last_key(where), setting.section
    if section is None or setting.by_name:
        return f"{value!r} must be a mapping. Write {key}: {{a name of yours: …}}."
    known = settings_of(section)
    if isinstance(value, str) and "file" in known:
        return f"{value!r} must be a mapping. Write {key}: {{file: {value}}}."
    return (
        f"{value!r} must be a mapping. Write {key}: {{key: value}}, with keys {', '.join(known)}."
    )


def last_key(where: str) -> str:
    """Return the key alone: triples of `config, evaluate.triples`."""
    return where.rpartition(" ")[2].rpartition(".")[2]


def check_names(setting: Setting, value: Mapping[Any, object], where: str) -> None:
    """Raise InputError at a name, of a table or a model, that has characters it may not have."""
    kind = next(get_args(one)[0] for one in setting.alternatives if get_origin(one) is dict)
    for name in value:
        try:
            convert(name, kind)
        except ValidationError as error:
            signs = str(error).rpartition("A-Za-z0-9")[2].partition("]")[0]  # those of the pattern
            raise InputError(
                f"{where}: {name!r} can't be a name. Use letters, digits and {' '.join(signs)}, and"
                " a letter or digit first."
            ) from None


def pick(kind: type[S], *given: Settings) -> S:
    """Return those settings of a class that are among the given ones, the others at defaults."""
    values = {
        setting.attribute: getattr(one, setting.attribute)
        for one in given
        for setting in settings_of(kind).values()
        if hasattr(one, setting.attribute)
    }
    return kind(**values)


def changed(*given: Settings, acts: str, kind: str | None = None) -> dict[str, Any]:
    """Return {key: value} of the settings that are not at their defaults, sections left out.

    `acts`: only those that act so, `vectors` or `run`. `kind`: a kind of model; settings for
    another kind are left out.
    """
    return {
        key: value
        for one in given
        for key, setting in settings_of(type(one)).items()
        if setting.section is None and setting.acts == acts
        if kind is None or setting.only is None or kind in setting.only
        if (value := getattr(one, setting.attribute)) != setting.default
    }


def flags(*given: Settings, acts: str, kind: str | None = None) -> str:
    """Return the flags of the command line for what `changed` returns, quoted for a shell."""
    found = changed(*given, acts=acts, kind=kind)
    return " ".join(shlex.join(flag_of(key, value)) for key, value in found.items())


def flag_of(key: str, value: Any) -> list[str]:
    """Return the words of one flag: --long-text window, --no-allow-empty."""
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, tuple):
        # A number alone would be read as one number, not as a list of one.
        alone = len(value) == 1 and not isinstance(value[0], str)
        listed = alone or any("," in str(one) for one in value) or "" in value
        value = json.dumps(value, ensure_ascii=False) if listed else ",".join(map(str, value))
    return [f"--{name}={value}"] if str(value)[:1] in ("-", "") else [f"--{name}", str(value)]


def flow_of_word(word: str) -> object:
    """Return the list or mapping of JSON or of YAML in one line. Raises ValueError."""
    try:
        return parse_json(word)
    except ValueError as error:
        import yaml

        try:
            return yaml.safe_load(word)
        except (yaml.YAMLError, RecursionError):
            raise error from None


def mapping_of_word(word: str) -> object:
    """Return the mapping that a word stands for. Raises ValueError."""
    if word.startswith("{"):
        return flow_of_word(word)
    found: dict[str, object] = {}
    for pair in word.split(","):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair!r} has no =, as in id=node_id,name=label")
        parts = value.split("|")
        found[key.strip()] = parts if len(parts) > 1 else value
    return found


def value_of_word(setting: Setting, word: str) -> object:
    """Return what a word of the command line means: a number, a list, or the word itself.

    A list is written with commas, with bars where its items contain commas, or as in a config:
    [a, b]. A mapping is written as in a config, or as id=node_id,description=definition|comment.
    """
    allowed = setting.alternatives
    if any(get_origin(one) is dict for one in allowed):
        return mapping_of_word(word)
    lists = any(get_origin(one) is tuple for one in allowed)
    if word in allowed:
        return word
    if lists and word.startswith("["):
        return flow_of_word(word)
    if str in allowed:
        for number in (int, float):
            if number in allowed:
                try:
                    return number(word)
                except ValueError:
                    pass
        return word
    separator = "|" if "|" in word else ","
    if lists and (separator in word or int not in allowed):
        return [one.strip() for one in word.split(separator) if one.strip()]
    return word
