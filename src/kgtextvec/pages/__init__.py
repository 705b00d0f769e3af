"""Self-contained HTML pages: one jinja2 environment, one theme, nothing fetched from the net."""

import base64
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgtextvec import __version__
from kgtextvec.pages.numbers import format_count, format_score, format_share
from kgtextvec.pages.theme import CSS_COLOURS

if TYPE_CHECKING:
    import jinja2

PACKAGE = Path(__file__).parents[1]  # templates are named by their paths in it


def render_template(template: str, **values: Any) -> str:
    """Fill a template with `values` and return the HTML.

    `template` is a path in this package: `report/templates/quality.html`. Strings are escaped,
    except those that the caller marks as `markupsafe.Markup`. Raises jinja2.UndefinedError when
    the template uses a value that is missing.
    """
    return page_environment().get_template(template).render(**values)


@cache
def page_environment() -> "jinja2.Environment":
    """Return the environment of all pages: autoescape, StrictUndefined, our filters."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {"count": format_count, "csp": csp_digest}
    environment.filters |= filters | {"score": format_score, "share": format_share}
    environment.globals |= {"css_colours": CSS_COLOURS, "version": __version__}
    return environment


def csp_digest(inline: str) -> str:
    """Return the digest by which a content security policy allows an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
