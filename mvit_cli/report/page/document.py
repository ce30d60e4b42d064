"""The frame of a page: one file that needs neither another nor a network, and lets only its own style and script in."""

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from mvit_cli.report.page.templates import rendered
from mvit_cli.report.palette import stylesheet

if TYPE_CHECKING:
    from markupsafe import Markup


def beginning(job: str, command: str, leads: Sequence[str], notes: Sequence[str] = ()) -> "Markup":
    """All from the first byte to what stands below the title; the element `header` is open.

    Args:
        job: the title: what the page is about.
        command: what made it, as `mvit predict`.
        leads: lines below the title, the most important first.
        notes: warnings that hold for all of the page.
    """
    from markupsafe import Markup

    style = stylesheet() + _text("page.css")
    script = _text("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return rendered(
        "page/beginning.html",
        job=job,
        command=command,
        leads=leads,
        notes=notes,
        policy=Markup(policy),  # quotes of a policy stay quotes
        style=Markup(style),
        script=Markup(script),
    )


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
