"""Files of the Hugging Face Hub, in the Hub's own cache."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from mvit_cli.addresses import redacted
from mvit_cli.checkpoints.fetch.caches import delete_cached, hub_cache_dir, with_published_digest
from mvit_cli.checkpoints.fetch.integrity import what_is_wrong, why_no_checkpoint
from mvit_cli.checkpoints.fetch.limits import first_answer, first_answer_s, refuse_astray
from mvit_cli.checkpoints.fetch.place import HubFile, HubRepository, Source
from mvit_cli.checkpoints.fetch.transfer import announce
from mvit_cli.checkpoints.fetch.url import limit_of, no_checkpoint, not_the_published, reason_of, unreachable
from mvit_cli.errors import DownloadError

MAX_SETTINGS_BYTES = 1 << 20
"""Of a text beside a checkpoint; timm's has 1,000."""

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EEXIST)


def download_from_hub(place: HubFile, source: Source, name: str, *, progress: bool, again: bool = False) -> Path:
    """Downloads with huggingface_hub (its cache, `HF_ENDPOINT`, `HF_TOKEN`), then checks the sha256 itself.

    huggingface_hub compares sizes only, and repeats a refused connection for 23 s: the first question is asked once.

    Raises:
        DownloadError: nothing answered, the file is refused, missing or cut off, or it is not the published one.
    """
    path, etag, url = _downloaded(place, name, limit_of(source), progress=progress, again=again)
    wrong = what_is_wrong(path, with_published_digest(source, etag))
    if wrong:
        delete_cached(path)
        raise not_the_published(name, url, wrong)
    other = why_no_checkpoint(path, source)
    if other:
        delete_cached(path)
        raise no_checkpoint(name, url, other)
    return path


def download_settings(place: HubFile, *, again: bool = False) -> Path | None:
    """A JSON object that lies beside a checkpoint and says how it wants to be used; None if the repository has none.

    Raises:
        DownloadError: it cannot be had although it is there, or is something else.
    """
    try:
        path, _, url = _downloaded(place, place.path, MAX_SETTINGS_BYTES, progress=False, again=again)
    except DownloadError as error:
        if _is_missing(error.__context__):
            return None
        raise
    if not path.read_bytes().lstrip().startswith(b"{"):
        delete_cached(path)
        raise DownloadError(f"{url} is no JSON", "the repository's owner can mend it")
    return path


def _is_missing(error: BaseException | None) -> bool:
    """Whether the Hub answered that the repository has no such file."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(error, errors.EntryNotFoundError) or (status == 404 and type(error) is errors.HfHubHTTPError)


def _downloaded(
    place: HubFile, name: str, limit_bytes: int, *, progress: bool, again: bool
) -> tuple[Path, str | None, str]:
    """The file in the Hub's cache, unchecked; its ETag, and its address to show."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    url = hf_hub_url(place.repo, place.path, revision=place.revision)
    try:
        metadata = first_answer(url, lambda: get_hf_file_metadata(url, timeout=first_answer_s()))
    except Exception as error:  # each version of huggingface_hub has the exceptions of its HTTP library
        raise _explained(error, name, redacted(url)) from None
    _check_answer(metadata.etag, metadata.commit_hash, name, redacted(url))
    if metadata.location != url:
        refuse_astray(url, metadata.location)
    if metadata.size is not None and metadata.size > limit_bytes:
        raise DownloadError(
            f"{name}: {redacted(url)} has {metadata.size} bytes, more than {limit_bytes}", "is it an MViT checkpoint?"
        )
    announce(name, redacted(url), metadata.size, progress)
    try:
        with _bars(progress), _answers_checked(name, redacted(url)):
            path = Path(
                hf_hub_download(
                    place.repo,
                    place.path,
                    revision=place.revision,
                    cache_dir=hub_cache_dir(),
                    library_name="mvit",
                    force_download=again,
                    etag_timeout=first_answer_s(),
                )
            )
    except DownloadError:  # an answer that is refused
        raise
    except Exception as error:  # as above, or a plain OSError
        raise _broken_off(error, name, redacted(url)) from None
    return path, metadata.etag, redacted(url)


@contextmanager
def _answers_checked(name: str, where: str) -> Iterator[None]:
    """Holds every answer to the rules of the first: a server may answer the library otherwise than it answered us.

    Raises:
        DownloadError: as `_check_answer` and `refuse_astray`, from within the library.
    """
    from huggingface_hub import get_session

    session = get_session()
    hooks = session.event_hooks

    def check(response: Any) -> None:
        asked, headers = str(response.request.url), response.headers
        etag = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
        of_hub = response.request.method == "HEAD"  # of what is asked for its head only, names of files are made
        _check_answer(etag or None if of_hub else None, headers.get("X-Repo-Commit"), name, where)
        if response.is_redirect and (leads_to := headers.get("Location")):
            refuse_astray(asked, urljoin(asked, leads_to))

    session.event_hooks = {**hooks, "response": [*hooks.get("response", ()), check]}
    try:
        yield
    finally:
        session.event_hooks = hooks


def _check_answer(etag: str | None, commit: str | None, name: str, where: str) -> None:
    """Refuses an answer whose ETag or commit would lead out of the cache: huggingface_hub makes paths of both.

    Raises:
        DownloadError: names what is wrong with the answer.
    """
    if etag is not None and not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", etag):
        raise DownloadError(f"{name}: {where} answers with an ETag that is none", "do not use this mirror")
    if commit is not None and not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise DownloadError(f"{name}: {where} answers with a commit that is none", "do not use this mirror")


def files_of_repository(repository: HubRepository) -> list[str]:
    """Paths of all files of a repository, as the Hub lists them.

    Raises:
        DownloadError: nothing answered, or there is no such repository or revision.
    """
    from huggingface_hub import HfApi, constants

    def ask() -> list[str]:
        info = HfApi(library_name="mvit").model_info(
            repository.repo, revision=repository.revision, timeout=first_answer_s()
        )
        return [sibling.rfilename for sibling in info.siblings or ()]

    try:
        return first_answer(constants.ENDPOINT, ask)
    except Exception as error:  # each version of huggingface_hub has the exceptions of its HTTP library
        raise _explained(error, repository.where, f"hf://{repository.where}") from None


def _explained(error: Exception, name: str, where: str) -> DownloadError:
    """What the Hub's answer means for the user."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, errors.GatedRepoError):
        message = f"{name}: {where} is gated: its owner must grant access"
        return DownloadError(message, "ask for access on the repository's page, then set HF_TOKEN")
    if isinstance(error, errors.RepositoryNotFoundError) or status in (401, 403):
        message = f"{name}: {where}: no such repository, or it needs a permission that was not given ({status})"
        return DownloadError(message, "check the name; for a private repository set HF_TOKEN")
    if isinstance(error, errors.RevisionNotFoundError):
        return DownloadError(
            f"{name}: {where}: the repository has no such revision", "leave @revision out, or correct it"
        )
    if isinstance(error, errors.EntryNotFoundError) or status == 404:
        return DownloadError(f"{name}: {where}: the repository has no such file ({status})", "check the file's name")
    if status is not None:
        return DownloadError(f"{name}: {where} answered with an error ({status})", "try again later")
    return _not_writable(error, name) or unreachable(name, where, reason_of(error))


def _broken_off(error: Exception, name: str, where: str) -> DownloadError:
    """Why a transfer that had begun did not end well: the cache, or the connection."""
    message = f"{name}: the transfer from {where} broke off: {reason_of(error)}"
    return _not_writable(error, name) or DownloadError(message, "run it again")


def _not_writable(error: Exception, name: str) -> DownloadError | None:
    if not (isinstance(error, OSError) and error.errno in _NOT_WRITABLE):
        return None
    message = f"{name}: cannot write to {hub_cache_dir()}: {reason_of(error)}"
    return DownloadError(message, "free some room, or set HF_HOME to a folder that can be written")


@contextmanager
def _bars(show: bool) -> Iterator[None]:
    """Keeps huggingface_hub's own progress bars off unless wanted; without a terminal they show nothing anyway."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # public, but not named in its __all__
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if show or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
