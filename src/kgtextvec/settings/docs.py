"""What follows from the settings in writing: the config's JSON schema, tables for config/README.md.

`python -m kgtextvec.settings.docs` writes both again; a test holds them to the settings.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from kgtextvec.settings.base import Setting, Settings, settings_of
from kgtextvec.settings.config import Config

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"
README = ROOT / "config/README.md"
MADE_HERE = "# Written by python -m kgtextvec.settings.docs; edit src/kgtextvec/settings instead.\n"
# Between such a pair of comments in README.md lies the table of the sections named.
TABLE = re.compile(r"(<!-- settings: ([^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of the config."""
    _, definitions = msgspec.json.schema_components([Config], ref_template="#/$defs/{name}")
    for kind, definition in definitions.items():
        classes = {one.__name__: one for one in all_classes(Config)}
        if kind in classes:
            complete(definition, classes[kind])
    root = definitions.pop("Config")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "title": "config of kgtextvec",
        "$defs": definitions,
    }


def complete(definition: dict[str, Any], kind: type[Settings]) -> None:
    """Add to a schema what msgspec does not know: names in registries, null for "left out"."""
    definition.pop("title", None)
    for key, setting in settings_of(kind).items():
        part = definition["properties"][key]
        if setting.section is not None:
            part.pop("default", None)
            if setting.by_name:
                part["additionalProperties"] = {
                    "anyOf": [part["additionalProperties"], {"type": "null"}]
                }
        elif setting.names is not None:
            part.get("items", part)["examples"] = setting.names.examples()


def all_classes(kind: type[Settings]) -> Iterator[type[Settings]]:
    """Yield a class of settings and those of its sections, and of theirs."""
    yield kind
    for setting in settings_of(kind).values():
        if setting.section is not None:
            yield from all_classes(setting.section)


def rows_of(kind: type[Settings], prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """Yield (dotted key, setting) of a class and of its sections, required ones first."""
    required_first = sorted(settings_of(kind).items(), key=lambda item: not item[1].required)
    for key, setting in required_first:
        yield prefix + key, setting
        if setting.section is not None:
            name = ".NAME" if setting.by_name else ""
            yield from rows_of(setting.section, f"{prefix}{key}{name}.")


def table_of(sections: list[str]) -> str:
    """Return the table of those sections, in the order of the config's classes."""
    lines = ["| key | default | what it does |", "|---|---|---|"]
    for key, setting in rows_of(Config):
        if key.partition(".")[0] in sections:
            lines.append(f"| `{key}` | {shown_default(setting)} | {described(setting)} |")
    return "\n".join(lines) + "\n"


def shown_default(setting: Setting) -> str:
    """Return a default as it is written in a config."""
    if setting.required:
        return "(required)"
    if setting.section is not None or setting.default is None:
        return ""
    if isinstance(setting.default, tuple | bool | dict):
        found = yaml.safe_dump(msgspec.to_builtins(setting.default), default_flow_style=True)
        return f"`{found.partition(chr(10) + '...')[0].strip()}`"
    return f"`{setting.default}`"


def described(setting: Setting) -> str:
    """Return a setting's description, with the choices that it does not name."""
    unnamed = [one for one in setting.choices if f"`{one}`" not in setting.description]
    choices = f" ({', '.join(f'`{one}`' for one in setting.choices)})" if unnamed else ""
    text = f"{setting.description}{choices}".replace("|", "\\|")
    return re.sub(r"\bdocs/\w+\.md", lambda page: f"[{page[0]}](../{page[0]})", text)


def schema_text() -> str:
    """Return the text of the schema's file."""
    body = yaml.safe_dump(
        config_schema(), sort_keys=False, width=100, allow_unicode=True, default_flow_style=None
    )
    return MADE_HERE + body


def readme_text(before: str) -> str:
    """Return config/README.md with its tables made anew."""
    return TABLE.sub(
        lambda found: found[1] + "\n" + table_of(found[2].split()) + "\n" + found[3], before
    )


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), "utf-8")
    README.write_text(readme_text(README.read_text("utf-8")), "utf-8")
