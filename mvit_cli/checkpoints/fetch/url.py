"""Files behind a URL: streamed into torch's cache, resumed after a break, written atomically."""

import base64
import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

from mvit_cli.addresses import redacted
from mvit_cli.checkpoints.fetch.caches import WORKS_OFFLINE
from mvit_cli.checkpoints.fetch.integrity import what_is_wrong, why_no_checkpoint
from mvit_cli.checkpoints.fetch.limits import first_answer, first_answer_s, read_s, refuse_astray
from mvit_cli.checkpoints.fetch.place import LIMIT_BYTES, Source
from mvit_cli.checkpoints.fetch.transfer import transfer_bar
from mvit_cli.errors import DownloadError

CHUNK_BYTES = 1 << 20


def download(url: str, source: Source, target: Path, name: str, *, progress: bool, again: bool = False) -> None:
    """Brings the file behind `url` to `target`; what a broken transfer left is continued.

    Args:
        source: what is known of the file: size, sha256.
        again: replace a file that is there, once the new one is whole.

    Raises:
        DownloadError: nothing answered, the file is refused or cut off, or it is not the published one.
    """
    from filelock import FileLock

    try:
        lock = target.parent / ".locks" / f"{target.name}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            if again or not target.is_file():  # else another process has brought it meanwhile
                _download_alone(url, source, target, name, progress)
    except OSError as error:
        raise DownloadError(
            f"{name}: cannot write to {target.parent}: {error.strerror or type(error).__name__}",
            "free some room, or set TORCH_HOME to a folder that can be written",
        ) from error


class _Part:
    """An unfinished download: its bytes, and the validator by which the server knows whether they are still good."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self._validator = target.with_name(target.name + ".part.etag")

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def resume_headers(self) -> dict[str, str]:
        """Asks for the rest of the file, provided it has not changed."""
        validator = self._validator.read_text() if self._validator.is_file() else ""
        if not (self.size_bytes and validator):
            return {}
        return {"Range": f"bytes={self.size_bytes}-", "If-Range": validator}

    def start_over(self, headers: http.client.HTTPMessage) -> None:
        etag = headers.get("ETag", "")
        strong = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        self.path.write_bytes(b"")
        self._validator.write_text(strong)

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self._validator.unlink(missing_ok=True)

    def become(self, target: Path) -> None:
        os.replace(self.path, target)
        self.delete()


def _download_alone(url: str, source: Source, target: Path, name: str, progress: bool) -> None:
    part = _Part(target)
    while True:
        before = part.size_bytes
        total, reason = _transfer(url, part, name, limit_of(source), progress)
        if part.size_bytes == total or (total is None and not reason):
            break
        if part.size_bytes <= before:
            of = "" if total is None else f" of {total}"
            raise DownloadError(
                f"{name}: the transfer broke off after {part.size_bytes}{of} bytes ({reason or 'connection closed'})",
                "run it again: it continues where it stopped",
            )
        time.sleep(0.2)  # the server may have just restarted
    wrong = what_is_wrong(part.path, source)
    if wrong:
        part.delete()
        raise not_the_published(name, redacted(url), wrong)
    other = why_no_checkpoint(part.path, source)
    if other:
        part.delete()
        raise no_checkpoint(name, redacted(url), other)
    part.become(target)


def not_the_published(name: str, where: str, wrong: str) -> DownloadError:
    """A file that was deleted because its bytes are not the published ones."""
    return DownloadError(
        f"{name}: the file from {where} is not the published one: {wrong}; it was deleted",
        "run it again; if it stays so, the file was changed at its source or on the way: do not use it",
    )


def no_checkpoint(name: str, where: str, what: str) -> DownloadError:
    """A file that was deleted because it is a page, a pointer or a half of a checkpoint."""
    return DownloadError(
        f"{name}: what came from {where} is no whole checkpoint: {what}; it was deleted",
        "run it again; an address that answers with a page needs a log-in or another link",
    )


def limit_of(source: Source) -> int:
    """Bytes that its file may have."""
    known = source.approximate_bytes
    return LIMIT_BYTES if known is None else 2 * known


def _transfer(url: str, part: _Part, name: str, limit: int, progress: bool) -> tuple[int | None, str]:
    """One connection: its bytes go to the end of the part. Gives the file's size if told, and why it broke off."""
    with _open(url, part, name) as response:
        if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise no_checkpoint(name, redacted(url), "an HTML page")
        if response.status != 206 or not _continues(response, part):
            part.start_over(response.headers)
        start = part.size_bytes
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        with transfer_bar(name, redacted(url), total, start, progress) as advance:
            try:
                _receive(response, part.path, name, limit, advance)
            except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
                return total, reason_of(error)
    return total, ""


def _receive(
    response: http.client.HTTPResponse, path: Path, name: str, limit_bytes: int, advance: Callable[[int], None]
) -> None:
    with path.open("ab") as stream:
        while chunk := response.read(CHUNK_BYTES):
            stream.write(chunk)
            advance(len(chunk))
            if stream.tell() > limit_bytes:
                break
        else:
            return
    path.unlink()
    raise DownloadError(f"{name}: the server sends more than {limit_bytes} bytes", "this is not the published file")


def _continues(response: http.client.HTTPResponse, part: _Part) -> bool:
    """Whether a partial answer begins where the part ends."""
    return response.headers.get("Content-Range", "").startswith(f"bytes {part.size_bytes}-")


class _SameRules(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but only to places that would be accepted as a first address."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        try:
            refuse_astray(req.full_url, newurl)
        except DownloadError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, part: _Part, name: str) -> http.client.HTTPResponse:
    """Connects and asks for what is missing of the file."""
    request = _request(url, part.resume_headers)
    opener = urllib.request.build_opener(_SameRules)
    try:
        response: http.client.HTTPResponse = first_answer(
            request.full_url, lambda: opener.open(request, timeout=max(read_s(), first_answer_s()))
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and part.size_bytes:  # our part is longer than the file: it is of another one
            part.delete()
            return _open(url, part, name)
        _refuse(error.code, name, redacted(url))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise unreachable(name, redacted(url), reason_of(error)) from None
    return response


def _request(url: str, headers: dict[str, str]) -> urllib.request.Request:
    """A GET. User and password of the address become a header that no redirect carries on."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers=headers)
    request.add_header("User-Agent", "mvit")
    if at:
        token = base64.b64encode(unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    return request


def _refuse(status: int, name: str, where: str) -> NoReturn:
    if status in (401, 403):
        message = f"{name}: {where} needs a permission that was not given ({status})"
        raise DownloadError(message, "download it by hand and give the file to --weights")
    if status in (404, 410):
        raise DownloadError(f"{name}: there is no file at {where} ({status})", "`mvit weights list` names others")
    raise DownloadError(f"{name}: {where} answered with an error ({status})", "try again later")


def unreachable(name: str, where: str, reason: str) -> DownloadError:
    """Nothing answered: what was tried, and what works all the same."""
    message = f"{name} is not on this machine, and {where} cannot be reached: {reason}"
    return DownloadError(message, WORKS_OFFLINE, unanswered=True)


def reason_of(error: BaseException | None) -> str:
    """Why a connection failed, in the system's words only: a library's message may quote an address or a header."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        inner = getattr(error, "reason", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
    for cause in reversed(seen):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, OSError) and (cause.strerror or isinstance(cause, TimeoutError)):
            words = cause.strerror or str(cause) or "no answer in time"
            return words[0].lower() + words[1:]
    return type(seen[0]).__name__ if seen else "unknown"
