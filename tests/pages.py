"""Reading pages: structure, texts and pictures, by the standard library's parser."""

import base64
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

VOID = {"meta", "img", "br", "input"}


@dataclass
class Element:
    name: str
    attributes: dict[str, str | None]
    children: list["Element | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, name: str, class_: str = "") -> list["Element"]:
        """The elements of that name below this one, in the order of the page."""
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if name in (child.name, "*") and (
                    not class_ or class_ in (child.attributes.get("class") or "").split()
                ):
                    found.append(child)
                found += child.all(name, class_)
        return found

    def values(self) -> list[float]:
        """The exact numbers, in the order of the page."""
        return [float(data.attributes["value"] or "") for data in self.all("data")]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("page", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of <{tag}> is there twice"
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag, f"</{tag}> ends something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read_page(path: Path, complete: bool = True) -> Element:
    """Reads a page; one that is complete must be well nested to its end."""
    reader = _Reader()
    reader.feed(path.read_bytes().decode("utf-8"))
    reader.close()
    assert not complete or len(reader.open) == 1, f"<{reader.open[-1].name}> has no end"
    return reader.open[0]


def picture(image: Element) -> tuple[bytes, Image.Image]:
    """The bytes of a picture that stands in the page, which must be what its attributes say."""
    kind, _, code = (image.attributes["src"] or "").partition(",")
    assert kind == "data:image/jpeg;base64"
    data = base64.b64decode(code, validate=True)
    opened = Image.open(io.BytesIO(data))
    opened.load()
    assert opened.format == "JPEG"
    assert opened.size == (int(image.attributes["width"] or 0), int(image.attributes["height"] or 0))
    return data, opened
