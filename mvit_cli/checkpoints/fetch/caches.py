"""Where checkpoints lie on this machine: the Hub's cache and torch's cache for URLs, with the names these give."""

import hashlib
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from mvit_cli.checkpoints.fetch.place import HubFile, Source

WORKS_OFFLINE = (
    "offline: --preset camera needs no download, --weights FILE takes a file; `mvit weights where` shows the caches"
)

_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def cache_home() -> Path:
    """The user's cache folder: `$XDG_CACHE_HOME` or `~/.cache`; a temporary one where nobody has a home."""
    given = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(given) if given else Path("~/.cache")).expanduser()
    except RuntimeError:  # no HOME, and no entry for this user
        return Path(tempfile.gettempdir()) / f"mvit-cache-{os.getuid() if hasattr(os, 'getuid') else 0}"


def _expanded(folder: str) -> Path:
    try:
        return Path(os.path.expandvars(folder)).expanduser()
    except RuntimeError:  # as above
        return Path(os.path.expandvars(folder))


def verified_dir() -> Path:
    """Where digests that were computed once are remembered."""
    return cache_home() / "mvit" / "verified"


def hub_cache_dir() -> Path:
    """Where huggingface_hub keeps its files: `$HF_HUB_CACHE`, `$HF_HOME/hub` or `~/.cache/huggingface/hub`."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if given:
        return _expanded(given)
    home = os.environ.get("HF_HOME")
    return (_expanded(home) if home else cache_home() / "huggingface") / "hub"


def cached_file(place: HubFile) -> Path | None:
    """The file as the Hub's cache has it, without network and without importing huggingface_hub."""
    snapshot = cached_snapshot(place.repo, place.revision)
    path = snapshot / place.path if snapshot else None
    return path if path and path.is_file() else None


def cached_snapshot(repo: str, revision: str) -> Path | None:
    """The folder of a repository's files in the Hub's cache; None if no file of that revision was fetched."""
    folder = hub_cache_dir() / f"models--{repo.replace('/', '--')}"
    commit = revision
    if not _COMMIT.fullmatch(commit):
        branch = folder / "refs" / commit
        commit = branch.read_text().strip() if branch.is_file() else ""
    path = folder / "snapshots" / commit
    return path if _COMMIT.fullmatch(commit) and path.is_dir() else None


def with_published_digest(source: Source, blob_name: str | None) -> Source:
    """Adds the sha256 that the Hub names a large file by, where the card has none of its own."""
    if source.sha256 is None and blob_name is not None and _SHA256.fullmatch(blob_name):
        return replace(source, sha256=blob_name)
    return source


def delete_cached(path: Path) -> None:
    """Removes a file of the Hub's cache together with the blob behind it."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def url_cache_dir() -> Path:
    """`$MVIT_WEIGHTS_DIR`, else where `torch.hub` keeps files from URLs: `$TORCH_HOME` or `~/.cache/torch`."""
    if own := os.environ.get("MVIT_WEIGHTS_DIR"):
        return _expanded(own)
    home = os.environ.get("TORCH_HOME")
    return (_expanded(home) if home else cache_home() / "torch") / "hub" / "checkpoints"


def url_cache_path(url: str, *, published: bool) -> Path:
    """The file's place in the cache.

    Args:
        published: the URL stands in a card, so it has the name that torch gives it. Any other URL gets a digest of
            itself into the name: two hosts may both have a `model.pth`.
    """
    parts = urlsplit(url)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", unquote(parts.path.rpartition("/")[2])).lstrip(".") or "weights"
    if not published:
        without_user = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        stem, dot, suffix = name.rpartition(".")
        name = f"{stem or suffix}-{hashlib.sha256(without_user.encode()).hexdigest()[:12]}{dot}{suffix if stem else ''}"
    return url_cache_dir() / name
