"""Templates of pages: what is put into one is escaped, and no character of it can steer a browser or hide."""

import base64
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from mvit_cli.report.formats import clock, percent
from mvit_cli.report.tables import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def rendered(name: str, **values: Any) -> "Markup":
    """A template, filled in.

    Args:
        name: its file below the folder of reports, as `page/beginning.html`.
        values: what stands in it; text that is no `Markup` is escaped, its control characters become `\\x1b`.
    """
    from markupsafe import Markup

    return Markup(_environment().get_template(name).render(**values))


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        finalize=_visible,
        loader=FunctionLoader(_source),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, clock=clock, base64=_base64, exact=repr)
    return environment


def _source(name: str) -> str:
    return files("mvit_cli.report").joinpath(*name.split("/")).read_text("utf-8")


def _visible(value: object) -> object:
    """What the templates print passes here, before it is escaped."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
