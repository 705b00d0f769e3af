"""Self-contained HTML pages: one style, everything escaped, nothing fetched from the net."""

from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"


def page(name: str, **values: Any) -> str:
    """Fill `templates/{name}` with `values` and return the HTML.

    Strings are escaped; only what a caller marks as `markupsafe.Markup` goes in as it is. A value
    that a template asks for and does not get is an error of ours (jinja2.UndefinedError).
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["count"] = count
    environment.filters["share"] = share
    return environment.get_template(name).render(**values)


def count(value: Any) -> str:
    """Write a number with thousands separated; what is not a number is `not known`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "not known"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def share(value: Any) -> str:
    """Write a share of 0..1 as a percentage; what is not a number is `not known`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "not known"
    if 0 < value < 0.0001:
        return "under 0.01 %"
    return f"{100 * value:.2f} %"
