"""HTML as text: what is put into an element is escaped, unless it is HTML already."""

import base64
import html
from collections.abc import Iterable

from mvit_cli.report.formats import percent
from mvit_cli.report.tables import printable

VOID = frozenset({"br", "img", "meta", "rect"})


class Html(str):
    """Text that is HTML: the only text that elements take as it is."""


def text(value: object) -> Html:
    r"""Text from outside; control characters and stray bytes of file names stand as `\x1b`."""
    return value if isinstance(value, Html) else Html(html.escape(printable(str(value))))


def join(parts: Iterable[object]) -> Html:
    """Parts one after the other."""
    return Html("".join(map(text, parts)))


def lines(texts: Iterable[str]) -> Html:
    """Texts one below the other."""
    return Html(tag("br").join(map(text, texts)))


def tag(name: str, /, *content: object, **attributes: object) -> Html:
    """An element.

    Args:
        attributes: `class_` for class, `_` for `-`; True: an attribute without value; None and False: none.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    start = f"<{name}{given}>"
    return Html(start if name in VOID else f"{start}{join(content)}</{name}>")


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(value)}"'


def bar(share: float) -> Html:
    """A horizontal bar as a drawing: unlike a background, it is printed too."""
    rect = tag("rect", width=percent(share).replace(" ", ""), height="100%", rx=3)
    return tag("svg", rect, class_="bar", aria_hidden="true")


def bars(names: str, values: str, rows: Iterable[tuple[str, float, Html]]) -> Html:
    """A table of names, each with a bar and its value.

    Args:
        names: title of the names.
        values: title of the values.
        rows: name, length of the bar from 0 to 1, value.
    """
    head = tag("tr", tag("th", names, scope="col"), tag("th", values, scope="col", colspan=2))
    body = (
        tag("tr", tag("th", name, scope="row"), tag("td", bar(share), class_="wide"), tag("td", value, class_="n"))
        for name, share, value in rows
    )
    return tag("table", tag("thead", head), tag("tbody", *body), class_="scores")


def number(value: float, shown: str) -> Html:
    """A number as people read it, and exactly."""
    return tag("data", shown, value=repr(value))


def jpeg(data: bytes, width: int, height: int, alt: str) -> Html:
    """A picture that stands in the page itself."""
    source = "data:image/jpeg;base64," + base64.b64encode(data).decode()
    return tag("img", src=Html(source), width=width, height=height, alt=alt, decoding="async")


def definitions(entries: Iterable[tuple[str, object]]) -> Html:
    """Names and what they stand for; entries without a value are left out."""
    return tag(
        "dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in entries if value not in (None, ""))
    )
