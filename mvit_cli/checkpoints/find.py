"""What the user means by weights. `find` tells it from the words alone; fetching and reading come afterwards."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from mvit_cli.addresses import redacted
from mvit_cli.checkpoints.cards import Card, card_names, load_card
from mvit_cli.checkpoints.fetch.place import HubRepository, Source, is_uri, repository_of, source_of_uri
from mvit_cli.checkpoints.formats.shards import INDEX_SUFFIX, is_part
from mvit_cli.errors import CheckpointError, DownloadError, UsageError

Kind = Literal["none", "file", "card", "repository", "address"]

RANDOM = "none"
"""What random weights are called."""

CHECKPOINT_SUFFIXES = (".safetensors", ".pth", ".pyth", ".pt", ".bin", ".ckpt", INDEX_SUFFIX)

_NAMES = "`mvit weights list` shows all names"


@dataclass(frozen=True)
class Found:
    """What was meant by weights.

    Attributes:
        kind: `none`: random weights; `file`: a checkpoint file that is there, or the index of one in several; `card`:
            published weights; `repository`: the one checkpoint of a Hub repository; `address`: a file of the Hub or
            behind a URL.
        name: what rows and reports call it; without credentials.
        path: of a `file`.
        card: of a `card`.
        source: where the checkpoint of a `card` or an `address` lies.
        repository: of a `repository`.
    """

    kind: Kind
    name: str
    path: Path | None = None
    card: Card | None = None
    source: Source | None = None
    repository: HubRepository | None = None

    @property
    def overrides(self) -> Mapping[str, Any]:
        """Fields of the configuration that the card sets."""
        return self.card.overrides if self.card else {}


@dataclass(frozen=True)
class ResolvedWeights:
    """A checkpoint file on this machine.

    Attributes:
        name: what rows and reports call it: the card's name, or what the user named.
        card: what is known of it; None for a user's own file.
        overrides: fields of the configuration that the card sets.
    """

    path: Path
    name: str
    card: Card | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def find(weights: str | Path) -> Found:
    """What `--weights` names. Reads no checkpoint, needs neither network nor torch.

    A name wins over nothing: a file that is there is that file, whatever it is called. An address or a repository
    whose file a card describes is that card.

    Args:
        weights: `none`, a file, the folder of a checkpoint in several files, a card's name, `org/repo[@revision]`,
            `hf://org/repo[@revision][/file]` or `https://...`; a Path is always a file or a folder.

    Raises:
        UsageError: no text, a misspelt name, or an address that is not well formed.
        CheckpointError: no such file, or something there that is no file.
    """
    text = str(weights)
    if not text.strip():
        raise UsageError("weights '': no name was given", f"leave the option out, or name a file or a card; {_NAMES}")
    if text.strip().lower() == RANDOM:
        return Found("none", RANDOM)
    if not isinstance(weights, Path) and is_uri(text):
        return _at_address(text)
    if path := _file_at(text) or _in_own_folder(text):
        return Found("file", text if path == Path(text) else str(path), path=path)
    if isinstance(weights, Path) or _is_path(text):
        raise CheckpointError(f"weights {text}: no such file", f"check the path; {_NAMES}")
    repository = repository_of(text)
    return _of_repository(repository) if repository else _of_card(load_card(text))


def here(found: Found) -> Path | None:
    """Where the checkpoint lies on this machine, unchecked; None if it must be downloaded. Needs no network.

    Raises:
        UsageError: the repository, as it lies here, holds several checkpoints.
        ValueError: random weights lie nowhere.
    """
    if found.kind == "none":
        raise ValueError("random weights are in no file")
    if found.path:
        return found.path
    from mvit_cli.checkpoints.fetch.locate import locate, locate_source
    from mvit_cli.checkpoints.fetch.repository import locate_repository

    if found.repository:
        return locate_repository(found.repository)
    assert found.source is not None
    return locate(found.card) if found.card else locate_source(found.source)


def must_be_here(found: Found) -> Path:
    """As `here`, for what downloads nothing.

    Raises:
        DownloadError: it is not on this machine.
    """
    path = here(found)
    if path is None:
        raise DownloadError(f"{found.name} is not on this machine", f"`mvit weights pull {found.name}` downloads it")
    return path


def obtain(found: Found, *, progress: bool = True, again: bool = False) -> ResolvedWeights:
    """The checkpoint as a file on this machine, downloaded if need be and checked against what is published.

    Args:
        progress: show a download on stderr.
        again: download it although it is here.

    Raises:
        UsageError: random weights, or a repository of several checkpoints.
        DownloadError: it cannot be had.
    """
    if found.kind == "none":
        raise UsageError("weights none: random weights are in no file", f"name a file or a card; {_NAMES}")
    if found.path:
        return ResolvedWeights(found.path, found.name)
    from mvit_cli.checkpoints.fetch.locate import fetch, fetch_source
    from mvit_cli.checkpoints.fetch.repository import fetch_repository

    if found.repository:
        return ResolvedWeights(fetch_repository(found.repository, progress=progress, again=again), found.name)
    if found.card:
        return ResolvedWeights(
            fetch(found.card, progress=progress, again=again), found.name, found.card, found.overrides
        )
    assert found.source is not None
    return ResolvedWeights(fetch_source(found.source, progress=progress, again=again), found.name)


def resolve_weights(weights: str | Path, *, progress: bool = True) -> ResolvedWeights:
    """`find` and `obtain` in one: the file behind `--weights`. Errors as of both."""
    return obtain(find(weights), progress=progress)


def _file_at(text: str) -> Path | None:
    """The checkpoint file that is there; of a folder that holds one in several files, its index.

    Raises:
        CheckpointError: what is there is no file, or cannot be looked at.
    """
    try:
        mode = Path(text).stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in it
        return None
    except OSError as error:
        raise CheckpointError(f"weights {text}: {error.strerror}", "check the path and its permissions") from error
    if stat.S_ISDIR(mode):
        index = _index_in(Path(text))
        if index:
            return index
        raise CheckpointError(f"weights {text} is a folder, not a checkpoint file", _files_in(Path(text)))
    if not stat.S_ISREG(mode):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise CheckpointError(
            f"weights {text} is {kind}, not a checkpoint file", "write its bytes to a file and name that file"
        )
    return Path(text)


def _in_own_folder(text: str) -> Path | None:
    """The file of that name in the folder of `MVIT_WEIGHTS_DIR`."""
    folder = os.environ.get("MVIT_WEIGHTS_DIR")
    if not folder or not _has_checkpoint_suffix(text) or Path(text).name != text:
        return None
    return _file_at(str(Path(folder).expanduser() / text))


def _index_in(folder: Path) -> Path | None:
    """The index of the folder's checkpoint, where all its other checkpoint files are parts of that."""
    names = _checkpoints_in(folder)
    indexes = [name for name in names if name.endswith(INDEX_SUFFIX)]
    whole = [name for name in names if name not in indexes and not is_part(name)]
    return folder / indexes[0] if len(indexes) == 1 and not whole else None


def _checkpoints_in(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if _has_checkpoint_suffix(path.name))
    except OSError:
        return []


def _files_in(folder: Path) -> str:
    names = [name for name in _checkpoints_in(folder) if not is_part(name)]
    shown = ", ".join(names[:3]) + ", ..." * (len(names) > 3)
    return f"name the file in it: {shown}" if names else "name the file in it"


def _has_checkpoint_suffix(text: str) -> bool:
    return text.lower().endswith(CHECKPOINT_SUFFIXES)


def _is_path(text: str) -> bool:
    """Whether a file was meant rather than a card or a repository: by its suffix, or by where its separators stand."""
    if _has_checkpoint_suffix(text) or "\\" in text or text.startswith(("/", ".", "~")):
        return True
    first, separator, _ = text.partition("/")
    return bool(separator) and (repository_of(text) is None or Path(first).exists())


def _of_card(card: Card) -> Found:
    return Found("card", card.name, card=card, source=card.source)


def _at_address(uri: str) -> Found:
    repository = repository_of(uri)
    if repository:
        return _of_repository(repository)
    source = source_of_uri(uri)
    if source.url and urlsplit(source.url).path.endswith(INDEX_SUFFIX):
        raise UsageError(
            f"weights {redacted(uri)}: a checkpoint in several files is fetched from the Hub only",
            "download the index and all files that it names into one folder, and name that",
        )
    card = next((card for card in map(load_card, card_names()) if _same_place(card.source, source)), None)
    return _of_card(card) if card else Found("address", redacted(uri), source=source)


def _of_repository(repository: HubRepository) -> Found:
    cards = (load_card(name) for name in card_names())
    place = (repository.repo, repository.revision)
    card = next((card for card in cards if (card.source.hub, card.source.revision) == place), None)
    return _of_card(card) if card else Found("repository", repository.where, repository=repository)


def _same_place(published: Source, named: Source) -> bool:
    if named.hub_file:
        return published.hub_file == named.hub_file
    return published.url is not None and published.url == named.url
