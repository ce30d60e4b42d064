"""The one checkpoint of a Hugging Face Hub repository: from its cache, or from the list of its files."""

from collections.abc import Iterable
from pathlib import Path

from mvit_cli.checkpoints.fetch.caches import cached_snapshot
from mvit_cli.checkpoints.fetch.locate import fetch_source, locate_source, refuse_offline
from mvit_cli.checkpoints.fetch.place import HubRepository, Source
from mvit_cli.checkpoints.formats.shards import INDEX, INDEX_SUFFIX, is_part
from mvit_cli.errors import DownloadError, UsageError

SUFFIXES = (".safetensors", f".safetensors{INDEX_SUFFIX}", ".pth", ".pyth", ".pt", ".ckpt", ".bin")
SAME_TENSORS = ("model.safetensors", INDEX, "pytorch_model.bin")
"""Names under which the Hub keeps one network more than once; the first that is there is read."""
OF_TRAINING = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.bin", "scheduler.pt", "rng_state.pth")
"""Files beside a checkpoint that are none."""


def fetch_repository(repository: HubRepository, *, progress: bool = False, again: bool = False) -> Path:
    """The repository's checkpoint as a file on this machine; arguments as of `fetch`.

    The Hub is asked each time which checkpoint it is; where it cannot be, the only one in the cache is taken.

    Raises:
        UsageError: it holds several checkpoints; the message lists them.
        DownloadError: it cannot be had, or holds none.
    """
    from mvit_cli.checkpoints.fetch.hub import files_of_repository

    name = cached_name(repository)
    try:
        refuse_offline(repository.where, f"hf://{repository.where}")
        name = checkpoint_among(files_of_repository(repository), repository)
    except DownloadError as error:
        if name is None or again or not error.unanswered:
            raise
    if name is None:
        raise DownloadError(
            f"{repository.where}: the repository holds no checkpoint", "name a file: hf://org/repo[@revision]/file"
        )
    return fetch_source(_source(repository, name), progress=progress, again=again)


def locate_repository(repository: HubRepository) -> Path | None:
    """Where its checkpoint lies in the Hub's cache; None if none does. Needs no network. Errors as of `cached_name`."""
    name = cached_name(repository)
    return locate_source(_source(repository, name)) if name else None


def cached_name(repository: HubRepository) -> str | None:
    """Which of its checkpoints lies in the Hub's cache; None if none does.

    Raises:
        UsageError: several do.
    """
    snapshot = cached_snapshot(repository.repo, repository.revision)
    if snapshot is None:
        return None
    return checkpoint_among((path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*")), repository)


def checkpoint_among(names: Iterable[str], repository: HubRepository) -> str | None:
    """The one checkpoint in a list of files; None where there is none.

    Raises:
        UsageError: there are several; the message lists them.
    """
    names = set(names)
    same = [name for name in SAME_TENSORS if name in names]
    others = sorted(
        name
        for name in names
        if name.lower().endswith(SUFFIXES)
        and name not in SAME_TENSORS
        and name.rpartition("/")[2] not in OF_TRAINING
        and not is_part(name)
    )
    checkpoints = same[:1] + others
    if len(checkpoints) < 2:
        return checkpoints[0] if checkpoints else None
    shown = ", ".join(checkpoints[:12]) + ", ..." * (len(checkpoints) > 12)
    at = repository.where
    raise UsageError(f"{at} holds {len(checkpoints)} checkpoints: {shown}", f"name one: hf://{at}/{checkpoints[0]}")


def _source(repository: HubRepository, name: str) -> Source:
    return Source(hub=repository.repo, file=name, revision=repository.revision)
