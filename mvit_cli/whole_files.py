"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Gives a name in the target's folder, with its ending: what is written there becomes the target on the way out.

    After an exception nothing of it is left, and the target is as it was. A link in its place is replaced, and never
    what it names.
    """
    # short: the target's own name may be the longest that there is
    unfinished = target.with_name(f".mvit-{os.getpid()}{target.suffix.lower()}")
    unfinished.unlink(missing_ok=True)
    try:
        yield unfinished
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)
