"""YAML files that people write, read with the line of the first fault."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from kgtextvec.errors import InputError, without_escapes
from kgtextvec.files import parse_json

YAML_NAMES = (".yaml", ".yml")
CONFIG_FILES = ("--configfile", "--configfiles")  # Snakemake's options


def read_yaml(path: Path, advice: str = "Correct it.") -> Any:
    """Read a YAML (or JSON) file.

    Raises InputError, which ends with `advice`, when it is absent or not valid, with the line of
    the fault; a key that a mapping has twice is one.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Correct the path.") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 (byte {error.start}). Save it as UTF-8, then run again."
        ) from None
    try:
        return parse_json(text)
    except ValueError:
        pass  # as Snakemake does: JSON first, since JSON may hold tabs, then YAML
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        refuse_repeated_keys(path, node)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        why = " ".join(str(error.problem or error.context).split())
        raise InputError(f"{path}{where}: not valid YAML ({why}). {advice}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = without_escapes(" ".join(str(error).split())[:100])
        raise InputError(f"{path}: not valid YAML ({why}). {advice}") from None


def refuse_repeated_keys(path: Path, root: yaml.Node | None) -> None:
    """Raise InputError if a mapping has a key twice; YAML itself would silently take the last."""
    left, seen = [root] if root else [], set()
    while left:
        node = left.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            first: dict[str, int] = {}
            for key, value in node.value:
                left.append(value)
                if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                    continue
                line = key.start_mark.line + 1
                if key.value in first:
                    raise InputError(
                        f"{path}, line {line}: the key {key.value} is given twice, first in line"
                        f" {first[key.value]}. Remove one of them."
                    )
                first[key.value] = line


def check_yaml_files(words: Sequence[str]) -> None:
    """Check the YAML files among the words of Snakemake's command line.

    Snakemake reads them before any file of the workflow and does not say where the fault is.
    Without a --configfile, config/config.yaml is checked. Ends the process with code 2 and one
    line at the first fault. Called by `kgtextvec run` and the profiles.
    """
    absent = [path for path in config_files_in(words) if not path.exists()]
    if absent:
        print(f"ERROR: {absent[0]}: no such file. Correct the path.", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    values = [word.partition("=")[2] if word.startswith("--") else word for word in words]
    paths = [Path(value) for value in values if value.endswith(YAML_NAMES)]
    if not any(word.startswith("--configfile") for word in words):
        paths.append(Path("config/config.yaml"))
    for path in paths:
        if path.is_file():
            try:
                read_yaml(path)
            except InputError as error:
                print(f"ERROR: {error}", file=sys.stderr)  # noqa: T201
                sys.exit(2)


def config_files_in(words: Sequence[str]) -> list[Path]:
    """Return the config files that --configfile names: one or more words, or after its `=`."""
    found: list[Path] = []
    listed = False
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            listed = name in CONFIG_FILES
            found += [Path(value)] if listed and equals else []
        elif listed:
            found.append(Path(word))
    return found
