"""Whether a file's bytes are the published ones. A digest once computed is remembered until the file changes."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from mvit_cli.checkpoints.fetch.caches import verified_dir
from mvit_cli.checkpoints.fetch.place import Source
from mvit_cli.checkpoints.formats.archive import open_torch
from mvit_cli.checkpoints.formats.header import read_header
from mvit_cli.checkpoints.formats.kinds import HEAD_BYTES, refuse_other_files
from mvit_cli.checkpoints.formats.shards import check_beside, is_index, shards_of
from mvit_cli.errors import CheckpointError


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


def why_no_checkpoint(path: Path, source: Source) -> str | None:
    """What a file is that is no whole checkpoint, by its first bytes and its table of contents; None if it is one.

    A file whose digest is published is known by that; of another only what it is and how long it claims to be can tell
    a page, a pointer or a half of it. Reads no numbers.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    try:
        if is_index(path, head):
            shards_of(path)
            return None
        if head[8:9] != b"{":
            refuse_other_files(path, head)
        if source.sha256 or source.sha256_prefix:
            return None
        read_header(path) if head[8:9] == b"{" else open_torch(path)
    except CheckpointError as error:
        return error.message.removeprefix(f"{path}: ")
    return None


def sha256_of_checkpoint(path: Path, *, again: bool = False) -> str:
    """Digest of a checkpoint's bytes: of its file, or of an index and all files that it names.

    That is the sha256 of a list as `sha256sum` writes it, `DIGEST  NAME` a line, sorted by name: moved together they
    are the same checkpoint, and none of them can be another.

    Raises:
        CheckpointError: an index that is none, or names a file that is not there.
    """
    if not is_index(path):
        return sha256_of(path, again=again)
    lines = []
    for file in sorted([path, *shards_of(path)], key=lambda file: file.name):
        check_beside(file, path)
        lines.append(f"{sha256_of(file, again=again)}  {file.name}\n")
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def sha256_of(path: Path, *, again: bool = False) -> str:
    """Digest of a file, from memory if size, times and inode are those of the last computation."""
    stamp = _stamp_of(path)
    stat = path.stat()
    # The inode and the time of change are those that whoever sets the time of modification back cannot set, too.
    state = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino} {stat.st_ctime_ns} "
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
    return verified_dir() / name
