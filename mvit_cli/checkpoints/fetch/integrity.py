"""Whether a file's bytes are the published ones. A digest once computed is remembered until the file changes."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from mvit_cli.checkpoints.fetch.place import Source


def cache_home() -> Path:
    """The user's cache folder: `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def what_is_wrong(path: Path, source: Source, *, again: bool = False) -> str | None:
    """Compares size and sha256 with what the source says; None if nothing contradicts it.

    Args:
        again: compute the digest anew even if it is remembered.
    """
    size = path.stat().st_size
    if source.size_bytes is not None and size != source.size_bytes:
        return f"it has {size} bytes instead of {source.size_bytes}"
    expected = source.sha256 or source.sha256_prefix
    if expected is None:
        return None
    digest = sha256_of(path, again=again)
    if digest.startswith(expected):
        return None
    return f"its sha256 is {digest[: len(expected)]} instead of {expected}"


def sha256_of(path: Path, *, again: bool = False) -> str:
    """Digest of a file, from memory if size and time of change are those of the last computation."""
    stamp = _stamp_of(path)
    stat = path.stat()
    state = f"{stat.st_size} {stat.st_mtime_ns} "
    with suppress(OSError):
        remembered = stamp.read_text()
        if remembered.startswith(state) and not again:
            return remembered.removeprefix(state)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    with suppress(OSError):  # a cache that cannot be written costs time, not correctness
        stamp.parent.mkdir(parents=True, exist_ok=True)
        unfinished = stamp.with_suffix(f".{os.getpid()}")
        unfinished.write_text(state + digest)
        unfinished.replace(stamp)
    return digest


def _stamp_of(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    return cache_home() / "mvit" / "verified" / name
