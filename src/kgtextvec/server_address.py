"""Servers: addresses and keys, checked before anything is sent, and whether one may be asked."""

import ipaddress
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kgtextvec.errors import InputError
from kgtextvec.files import parse_json

ENDPOINT = "endpoint.json"  # in a converted model's folder
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names that only a private network resolves.
PRIVATE_ENDINGS = (".local", ".localhost", ".internal", ".svc", ".lan")


@dataclass(frozen=True)
class Endpoint:
    """A model at a server: `url` is the address that /embeddings is appended to."""

    url: str
    model: str

    @classmethod
    def read(cls, folder: Path) -> "Endpoint":
        """Read what convert-model wrote."""
        values = parse_json((folder / ENDPOINT).read_text("utf-8"))
        return cls(values["url"], values["model"])

    def write(self, folder: Path) -> None:
        """Write endpoint.json."""
        values = {"url": self.url, "model": self.model}
        (folder / ENDPOINT).write_text(json.dumps(values, indent=2) + "\n", "utf-8")

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the server's address is one of this machine."""
        return is_loopback(urlsplit(self.url).hostname or "")


@dataclass(frozen=True)
class Key:
    """The server's key; never shown."""

    text: str = field(default="", repr=False)

    def hide(self, message: str) -> str:
        """Return a message without the key, should it be in there."""
        return message.replace(self.text, "(the key)") if self.text else message


def check_address(url: str) -> None:
    """Raise InputError unless `url` is a server's address without a password or a query.

    The message does not repeat the address, which may hold a key.
    """
    try:
        parts = urlsplit(url)
        well_formed = parts.scheme in ("https", "http") and parts.hostname and (parts.port or True)
    except ValueError:
        well_formed = False
    if not well_formed or not url.isprintable() or " " in url:
        raise InputError("must be the server's address, https://…/v1.")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InputError(
            "must not contain a password or a query. Put the key into an environment variable and"
            " name the variable in api_key_env."
        )


def check_variable(name: str) -> None:
    """Raise InputError unless it can be an environment variable; the message does not repeat it."""
    if not VARIABLE.fullmatch(name):
        raise InputError(
            "must be the name of an environment variable, such as OPENAI_API_KEY, and not the key"
            " itself."
        )


def read_key(variable: str | None, url: str) -> Key:
    """Return the key in an environment variable; an empty one where no variable is named.

    Raises InputError when the variable is not set, or when the key would travel unencrypted over
    the open net.
    """
    if variable is None:
        return Key()
    check_variable(variable)
    text = os.environ.get(variable, "").strip()
    if not text:
        raise InputError(
            f"api_key_env: the environment variable {variable} is not set. Set it to the server's"
            " key and run again."
        )
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise InputError(f"api_key_env: what is in {variable} can't be a key. Set it again.")
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_private(parts.hostname or ""):
        raise InputError(
            f"source: the key in {variable} would be sent to {parts.hostname} unencrypted. Use"
            " https."
        )
    return Key(text)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_private(host: str) -> bool:
    """Return whether a host is this machine or one of a private network, by its name alone."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(PRIVATE_ENDINGS)


def is_offline(*variables: str) -> bool:
    """Return whether one of these environment variables forbids requests."""
    values = (os.environ.get(name, "").strip().lower() for name in variables)
    return any(value not in ("", "0", "false", "no", "off") for value in values)
