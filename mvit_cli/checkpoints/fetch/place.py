"""Where a checkpoint lies: on the Hugging Face Hub, behind a URL, or inside the package."""

import re
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from mvit_cli.addresses import redacted
from mvit_cli.errors import UsageError

LIMIT_BYTES = 20 << 30
"""Of a checkpoint, larger than any MViT; where a card knows the size, twice that is allowed."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HUB_REPOSITORY = re.compile(r"(?P<hub>[^/@]+/[^/@]+)(@(?P<revision>[^/@]+))?/?")
_HUB_PAGE = re.compile(r"https://huggingface\.co/(?P<hub>[^/@?#]+/[^/@?#]+)(/tree/(?P<revision>[^/@?#]+))?/?")
_HUB_URI = re.compile(r"hf://(?P<hub>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?/(?P<file>.+)")


class HubFile(NamedTuple):
    """A file of a Hugging Face Hub repository; `revision` is a branch, a tag or a commit."""

    repo: str
    path: str
    revision: str


class HubRepository(NamedTuple):
    """A Hugging Face Hub repository that was named without a file; `revision` as in `HubFile`."""

    repo: str
    revision: str

    @property
    def where(self) -> str:
        """How it is named: `org/repo[@revision]`."""
        return self.repo if self.revision == "main" else f"{self.repo}@{quote(self.revision, safe='')}"


@dataclass(frozen=True)
class Source:
    """Where a checkpoint lies and how its bytes are known again. Exactly one of `hub`, `url`, `embedded` is given."""

    hub: str | None = None
    file: str | None = None
    revision: str | None = None
    url: str | None = None
    embedded: str | None = None
    sha256: str | None = None
    sha256_prefix: str | None = None
    size_bytes: int | None = None
    size_mb: float | None = None

    def __post_init__(self) -> None:
        if sum(place is not None for place in (self.hub, self.url, self.embedded)) != 1:
            raise ValueError("needs exactly one of the keys 'hub', 'url', 'embedded'")
        if any((part is None) == (self.hub is not None) for part in (self.file, self.revision)):
            raise ValueError("keys 'file' and 'revision' go with 'hub', and only with it")
        if self.hub is not None:
            _check_hub_names(self.hub, self.revision or "")
        if self.url is not None:
            check_url(self.url)
        for key, path in (("embedded", self.embedded), ("file", self.file)):
            if path is not None and not _stays_inside(path):
                raise ValueError(f"{key} {path!r} leads outside its folder")
        for key, digits, length in (("sha256", self.sha256, "{64}"), ("sha256_prefix", self.sha256_prefix, "{8,63}")):
            if digits is not None and not re.fullmatch(f"[0-9a-f]{length}", digits):
                raise ValueError(f"{key} {digits!r} is not {length} lower-case hex digits")

    @property
    def hub_file(self) -> HubFile | None:
        """The three parts of a place on the Hub."""
        return None if self.hub is None else HubFile(self.hub, self.file or "", self.revision or "")

    @property
    def where(self) -> str:
        """The address, without credentials: `hf://org/repo[@revision]/file`, `https://...` or `embedded`."""
        if self.hub is not None:
            at = "" if self.revision == "main" else f"@{self.revision}"
            return f"hf://{self.hub}{at}/{self.file}"
        return "embedded" if self.url is None else redacted(self.url)

    @property
    def approximate_bytes(self) -> int | None:
        """Size to show, in bytes: exact where known, else as published (rounded)."""
        if self.size_bytes is not None:
            return self.size_bytes
        return None if self.size_mb is None else round(self.size_mb * 1e6)


def is_uri(text: str) -> bool:
    """Whether the user named an address rather than a card or a file."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def repository_of(text: str) -> HubRepository | None:
    """The repository behind `org/repo[@revision]`, `hf://org/repo[@revision]` or its page; None for anything else."""
    plain = text.removeprefix("hf://")
    parts = _HUB_PAGE.fullmatch(text) if text.startswith("https://") else _HUB_REPOSITORY.fullmatch(plain)
    if parts is None:
        return None
    revision = unquote(parts["revision"] or "main")
    try:
        _check_hub_names(parts["hub"], revision)
    except ValueError:
        return None
    return HubRepository(parts["hub"], revision)


def source_of_uri(uri: str) -> Source:
    """The place behind `hf://org/repo[@revision]/path/in/repo` or `https://...`.

    Raises:
        UsageError: another scheme, or an address that is not well formed. The message carries no credentials.
    """
    try:
        if not uri.startswith("hf://"):
            return Source(url=uri)
        parts = _HUB_URI.fullmatch(uri)
        if parts is None:
            raise ValueError("not of the form hf://org/repo/file")
        return Source(hub=parts["hub"], file=parts["file"], revision=unquote(parts["revision"] or "main"))
    except ValueError as error:
        raise UsageError(
            f"weights {redacted(uri)!r}: {error}", "use hf://org/repo[@revision]/file or https://host/file"
        ) from None


def check_url(url: str) -> None:
    """Refuses what is neither https nor on this machine.

    Raises:
        ValueError: says why, without credentials or query.
    """
    shown = redacted(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # its own message can quote a password
        raise ValueError(f"url {shown!r} is not an address") from None
    if not (parts.scheme == "https" and host) and not (parts.scheme == "http" and host in LOOPBACK):
        raise ValueError(f"url {shown!r} is not an https address")
    if port == 0 or re.search(r"[\x00-\x20\x7f]", url) or parts.path.endswith("/") or not parts.path:
        raise ValueError(f"url {shown!r} is not the address of a file")


def _check_hub_names(hub: str, revision: str) -> None:
    names = hub.split("/")
    if len(names) != 2 or not all(
        _HUB_NAME.fullmatch(name) and ".." not in name and "--" not in name for name in names
    ):
        raise ValueError(f"hub {hub!r} is not of the form org/repo")
    if not all(_HUB_NAME.fullmatch(part) for part in revision.split("/")) or ".." in revision:
        raise ValueError(f"revision {revision!r} is no branch, tag or commit")


def _stays_inside(path: str) -> bool:
    return not re.search(r"[\\:\x00-\x1f]", path) and all(part not in ("", ".", "..") for part in path.split("/"))
