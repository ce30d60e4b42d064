"""Names of files that a run makes of its inputs: safe on every system, and unlike for inputs that are."""

import hashlib
import re

MOST_LETTERS = 80
MOST_LETTERS_OF_PLACE = 40


def name_for(path: str, place: str = "") -> str:
    """The input's own name, made safe, and what makes it unlike all others.

    Args:
        path: as rows have it.
        place: what tells several files of one input apart.
    """
    stem = _safe(path.replace("\\", "/").rpartition("/")[2]).strip(".") or "input"
    digest = hashlib.blake2b(f"{path}{place}".encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{stem[:MOST_LETTERS]}{_safe(place)[:MOST_LETTERS_OF_PLACE]}-{digest}"


def _safe(text: str) -> str:
    return re.sub(r"[^\w.@-]+", "_", text, flags=re.ASCII)
