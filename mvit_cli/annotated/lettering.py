"""Which font has the letters of a class's name: nothing is drawn as an empty box, and nothing unshaped."""

import importlib.util
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path

from mvit_cli.errors import at_most, printable

PILLOWS_OWN = ""
"""Latin letters only, but on every machine."""

MOST_LETTERS = 120
# Files of fonts that are opened at most, to look for letters that the usual ones lack.
MOST_FONTS = 400
# No font has this letter.
NOBODYS = "\U0010fffe"
SIZE = 24
# Scripts that are written from right to left.
FROM_THE_RIGHT = frozenset({"R", "AL", "AN"})
_SYSTEM_FOLDERS = {
    "win32": (r"C:\Windows\Fonts",),
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
}
_OTHER_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts")


class Lettering:
    """Finds for each label what can be written of it.

    Args:
        note: is told, once, of letters that no font here has.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note: Callable[[str], None] | None = note

    def written(self, label: str, index: int) -> tuple[str, str]:
        """What is written for a class, and the font's file: its name, or its index where no font has the letters."""
        text = at_most(printable(label), MOST_LETTERS)
        font = font_for(text)
        if font is not None:
            return text, font
        if self._note:
            self._note(f"no font here has all letters of {text!r}: in videos such classes are called by their index")
            self._note = None
        return f"class {index}", PILLOWS_OWN


@lru_cache(maxsize=1024)
def font_for(text: str) -> str | None:
    """The file of a font that has all letters of a text; None where there is none, or nothing that joins them."""
    if _needs_shaping(text) and not _shapes():
        return None
    return next((font for font in _fonts() if has_letters(font, text)), None)


def has_letters(font: str, text: str) -> bool:
    """Whether a font draws each letter of a text, and draws it otherwise than one that it lacks."""
    from PIL import ImageFont

    try:
        face = ImageFont.truetype(font, SIZE) if font else ImageFont.load_default(SIZE)
        assert isinstance(face, ImageFont.FreeTypeFont)
        lacking = _drawn(face, NOBODYS)
        return all(_drawn(face, letter) not in (lacking, b"") for letter in set(text) if not letter.isspace())
    except (OSError, ValueError, TypeError, AssertionError):  # no outlines, damaged, or Pillow without FreeType
        return False


def _drawn(face: object, letter: str) -> bytes:
    """The pixels of one letter, with the room it takes; nothing where it leaves no ink."""
    mask = face.getmask(letter)  # type: ignore[attr-defined]
    pixels = bytes(mask)
    return b"%d,%d:" % mask.size + pixels if any(pixels) else b""


def _needs_shaping(text: str) -> bool:
    """Whether letters stand from right to left, or are joined with their neighbours to others."""
    return any(
        unicodedata.bidirectional(letter) in FROM_THE_RIGHT or unicodedata.category(letter) in ("Mn", "Mc")
        for letter in text
    )


@cache
def _shapes() -> bool:
    from PIL import features

    return bool(features.check("raqm"))


def _fonts() -> Iterator[str]:
    """Pillow's own, then DejaVu as matplotlib brings it, then those of the system, likely ones first."""
    yield PILLOWS_OWN
    yield from _matplotlibs()
    yield from _systems()


@cache
def _matplotlibs() -> tuple[str, ...]:
    spec = importlib.util.find_spec("matplotlib")
    places = spec.submodule_search_locations if spec else None
    files = [Path(place, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf") for place in places or ()]
    return tuple(str(file) for file in files if file.is_file())


@cache
def _systems() -> tuple[str, ...]:
    found = []
    for folder in _SYSTEM_FOLDERS.get(sys.platform, _OTHER_FOLDERS):
        for here, _, names in os.walk(os.path.expanduser(folder)):
            found += [os.path.join(here, name) for name in names if name.lower().endswith((".ttf", ".otf", ".ttc"))]
    return tuple(sorted(found, key=_unlikeliness)[:MOST_FONTS])


def _unlikeliness(path: str) -> tuple[bool, bool, str]:
    """Plain ones first: fonts without serifs that are neither bold nor slanted."""
    name = os.path.basename(path).lower()
    odd = any(word in name for word in ("bold", "italic", "oblique", "light", "thin", "black", "mono", "condensed"))
    return odd or "serif" in name, not name.startswith(("notosans", "dejavusans")), path
