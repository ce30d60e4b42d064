"""What no page that we write may hold, whatever the files in it are called."""

import re
from html.parser import HTMLParser

# Elements without an end.
VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
LEADING = ("src", "srcset", "href", "action", "formaction", "data", "poster", "background", "xlink:href", "ping")
OUTSIDE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
INSIDE = re.compile(r"^\s*(?:data:image/(?:jpeg|png|svg\+xml|webp);|#)", re.IGNORECASE)
FETCHED = frozenset(
    {"script", "img", "link", "iframe", "embed", "object", "source", "audio", "video", "base", "form", "use"}
)


class _Looker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.open: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.scripts += tag == "script"
        for name, value in attrs:
            led = name in LEADING and value and not INSIDE.match(value)
            if led and (OUTSIDE.match(value or "") or tag in FETCHED):
                self.faults.append(f"<{tag} {name}={value!r:.80}> leads out of the page")
            if name.startswith("on") or (name == "style" and "url(" in (value or "")):
                self.faults.append(f"<{tag} {name}={value!r:.80}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "li", "td", "tr") and tag not in self.open[-1:]:
            self.faults.append(f"</{tag}> closes {self.open[-1:]}")
        elif self.open[-1:] != [tag]:
            self.faults.append(f"</{tag}> where {self.open[-1:]} is open")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        inside = self.open[-1:]
        if inside == ["script"] and "alert(" in data:
            self.faults.append("a name is part of a script")
        if inside == ["style"] and ("url(" in data or "@import" in data):
            self.faults.append("a style fetches something")


def faults_of_page(page: bytes, most_scripts: int = 1) -> list[str]:
    """What is wrong with it, in words."""
    looker = _Looker()
    try:
        text = page.decode()
    except UnicodeDecodeError as error:
        return [f"the page is no UTF-8: {error}"]
    looker.feed(text)
    looker.close()
    faults = looker.faults[:5]
    if looker.open:
        faults.append(f"the page leaves open: {looker.open[-5:]}")
    if looker.scripts > most_scripts:
        faults.append(f"the page has {looker.scripts} scripts")
    if not text.rstrip().endswith("</html>"):
        faults.append("the page does not end")
    return faults
