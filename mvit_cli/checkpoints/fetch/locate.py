"""From a card or an address to a file on this machine: the caches are asked first, then the network."""

import os
from dataclasses import replace
from pathlib import Path

from mvit_cli.checkpoints.cards import Card, weights_dir
from mvit_cli.checkpoints.fetch.caches import (
    WORKS_OFFLINE,
    cached_file,
    delete_cached,
    hub_cache_dir,
    url_cache_dir,
    url_cache_path,
    with_published_digest,
)
from mvit_cli.checkpoints.fetch.integrity import what_is_wrong
from mvit_cli.checkpoints.fetch.place import LIMIT_BYTES, Source, source_of_uri
from mvit_cli.checkpoints.formats.shards import is_index, shards_of
from mvit_cli.errors import CheckpointError, DownloadError, tell

SETTINGS = "config.json"
"""The Hub's name for what a checkpoint says of itself, read by `formats/said.py` where it lies beside."""

OFFLINE_SWITCHES = ("MVIT_OFFLINE", "HF_HUB_OFFLINE")


def fetch(card: Card, *, progress: bool = False, again: bool = False) -> Path:
    """The card's checkpoint as a file whose size and sha256 are the published ones; downloaded if need be.

    Args:
        progress: show the download on stderr.
        again: download it although it is here.

    Raises:
        DownloadError: it cannot be had, or it is not the published file (which is then deleted).
    """
    return _obtain(card.source, card.name, published=True, progress=progress, again=again)


def fetch_uri(uri: str, *, progress: bool = False) -> Path:
    """The file behind `hf://org/repo[@revision]/file` or `https://...`, from the cache if it was fetched before.

    Raises:
        UsageError: not such an address.
        DownloadError: it cannot be had.
    """
    return fetch_source(source_of_uri(uri), progress=progress)


def fetch_source(source: Source, *, progress: bool = False, again: bool = False) -> Path:
    """The file at a place that no card describes; arguments and errors as of `fetch`."""
    is_new = again or _locate(source, published=False) is None
    path = _obtain(source, source.where, published=False, progress=progress, again=again)
    if source.hub is not None:
        if is_index(path):
            _obtain_parts(path, source, progress=progress, again=again)
        if is_new:
            _obtain_settings(path, source, progress=progress, again=again)
    return path


def _beside(path: Path, source: Source, name: str) -> Source:
    """A file of the Hub in the folder of another, which lies at `path`, and of the same commit."""
    folder, _, _ = (source.file or "").rpartition("/")
    commit = path.parents[folder.count("/") + 1 if folder else 0].name
    return replace(source, file=f"{folder}/{name}" if folder else name, revision=commit)


def _obtain_settings(path: Path, source: Source, *, progress: bool, again: bool) -> None:
    """What the repository says of how its checkpoint wants to be used, where it says anything.

    The weights are whole without it: if it cannot be had that is told, and rows say what was assumed instead.
    """
    from mvit_cli.checkpoints.fetch.hub import download_settings

    place = _beside(path, source, SETTINGS).hub_file
    assert place is not None
    if not again and cached_file(place):
        return
    try:
        download_settings(place, again=again)
    except DownloadError as error:
        if progress:
            tell(f"{SETTINGS} beside the weights is left out: {error.message}")


def _obtain_parts(index: Path, source: Source, *, progress: bool, again: bool) -> None:
    """All files that an index of the Hub names, of the commit that it is of: they come to lie beside it.

    Raises:
        DownloadError: one cannot be had, or all together are more than any checkpoint.
    """
    parts, total = shards_of(index), 0
    for part in parts:
        place = _beside(index, source, part.name)
        try:
            total += _obtain(place, place.where, published=False, progress=progress, again=again).stat().st_size
        except DownloadError as error:
            message = f"{source.where} is {len(parts)} files, and one is missing: {error.message}"
            raise DownloadError(message, error.hint, unanswered=error.unanswered) from error
        if total > LIMIT_BYTES:
            raise DownloadError(
                f"{source.where}: its files have more than {LIMIT_BYTES} bytes", "is it an MViT checkpoint?"
            )


def locate(card: Card) -> Path | None:
    """Where the card's checkpoint lies on this machine, unchecked; None if it must be downloaded. Needs no network."""
    return _locate(card.source, published=True)


def locate_source(source: Source) -> Path | None:
    """As `locate`, for a place that no card describes; of several files all must be here."""
    path = _locate(source, published=False)
    if path is not None and is_index(path) and not all(part.is_file() for part in shards_of(path)):
        return None
    return path


def verify(card: Card) -> Path:
    """Computes the sha256 of the card's checkpoint anew and gives its path.

    Raises:
        DownloadError: it is not on this machine, or it is not the published file (which is then deleted).
    """
    path = locate(card)
    if path is None:
        raise DownloadError(f"{card.name} is not on this machine", f"`mvit weights pull {card.name}` downloads it")
    _check(path, card.source, card.name, again=True)
    return path


def verify_cached(path: Path, repo: str, name: str) -> None:
    """Computes the sha256 of a file in the Hub's cache anew, and of those it names: large ones are called by it there.

    Raises:
        DownloadError: one is not what the Hub has (which is then deleted).
    """
    for file in [path, *(shards_of(path) if is_index(path) else ())]:
        _check(file, Source(hub=repo, file=file.name, revision="main"), name, again=True)


def cache_dirs() -> dict[str, Path]:
    """The folders searched for checkpoints: what ships with the package, the Hub's cache, torch's cache for URLs."""
    return {"embedded": weights_dir(), "hub": hub_cache_dir(), "url": url_cache_dir()}


def refuse_offline(name: str, where: str) -> None:
    """Stops before a download that the user has forbidden.

    Raises:
        DownloadError: names the switch.
    """
    switch = next((switch for switch in OFFLINE_SWITCHES if _is_on(switch)), None)
    if switch:
        message = f"{name} is not on this machine, and {switch} forbids to download it from {where}"
        raise DownloadError(message, WORKS_OFFLINE, unanswered=True)


def _obtain(source: Source, name: str, *, published: bool, progress: bool, again: bool) -> Path:
    path = _locate(source, published=published)
    if path is not None and (not again or source.embedded is not None):
        _check(path, source, name)
        return path
    refuse_offline(name, source.where)
    if source.hub_file is not None:
        from mvit_cli.checkpoints.fetch.hub import download_from_hub

        return download_from_hub(source.hub_file, source, name, progress=progress, again=again)
    from mvit_cli.checkpoints.fetch.url import download  # what only looks needs no HTTP

    assert source.url is not None  # `_locate` finds or refuses what is embedded
    path = url_cache_path(source.url, published=published)
    download(source.url, source, path, name, progress=progress, again=again)
    return path


def _locate(source: Source, *, published: bool) -> Path | None:
    if source.hub_file is not None:
        return cached_file(source.hub_file)
    if source.url is not None:
        path = url_cache_path(source.url, published=published)
        return path if path.is_file() else None
    path = weights_dir() / (source.embedded or "")
    if not path.is_file():
        raise CheckpointError(f"{path} is missing, although it ships with mvit", "install mvit again")
    return path


def _check(path: Path, source: Source, name: str, *, again: bool = False) -> None:
    """Deletes and reports a cached file that is not the published one; what ships with the package is only reported."""
    if source.hub is not None:
        source = with_published_digest(source, path.resolve().name)
    try:
        wrong = what_is_wrong(path, source, again=again)
        if wrong is None:
            return
        if source.hub is not None:
            delete_cached(path)
        elif source.url is not None:
            path.unlink()
    except OSError as error:
        raise DownloadError(f"{name}: cannot read or replace {path}: {error.strerror}", WORKS_OFFLINE) from error
    if source.embedded is not None:
        raise DownloadError(f"{name}: {path} is not the published file: {wrong}", "install mvit again")
    raise DownloadError(
        f"{name}: {path} is not the published file: {wrong}; it was deleted", "run it again to download it anew"
    )


def _is_on(switch: str) -> bool:
    return os.environ.get(switch, "").strip().upper() in ("1", "ON", "YES", "TRUE")
