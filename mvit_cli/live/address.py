"""What the user named as a stream, and what FFmpeg may open for it: that, by the protocols it needs, and no more."""

import os
import re
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mvit_cli.addresses import redacted
from mvit_cli.errors import MediaError, MViTError, UsageError
from mvit_cli.media.guards import check_file

Kind = Literal["device", "network", "stdin", "pipe", "file"]

# By scheme, what FFmpeg may open on the way. A server cannot lead to another protocol, nor to a file of this machine.
PROTOCOLS = {
    "rtsp": "rtp,udp,tcp",
    "rtsps": "rtp,srtp,udp,tcp,tls",
    "udp": "udp",
    "tcp": "tcp",
    "http": "http,tcp",
    "https": "https,tls,tcp",
}
# Containers and bare streams that are read. No playlists: they name other addresses.
# fmt: off
FORMATS = ",".join((
    "mpegts", "mpeg", "mov", "mp4", "matroska", "webm", "flv", "live_flv", "avi", "ogg", "nut", "asf", "ivf", "obu",
    "h264", "hevc", "vvc", "m4v", "mpegvideo", "mjpeg", "mpjpeg", "yuv4mpegpipe", "gif", "dv", "rtsp", "av1",
))
# fmt: on
BY_FFMPEG = "ffmpeg -i ... -f mpegts - | mvit watch -"
DEVICE_FORMATS = {"linux": "v4l2", "darwin": "avfoundation"}
_RAW = re.compile(r"(\d{1,5})x(\d{1,5})@(\d+(?:\.\d+)?(?:/\d+)?)(?::([a-z0-9_]+))?", re.ASCII)


@dataclass(frozen=True)
class Address:
    """A stream, as a worker opens it.

    Attributes:
        kind: what it is.
        url: what FFmpeg opens; of standard input empty.
        name: what people are shown: no user, password or query.
        format: the demuxer; None: FFmpeg finds it among `FORMATS`.
        options: of FFmpeg.
    """

    kind: Kind
    url: str
    name: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def comes_back(self) -> bool:
        """Whether there may be more after it broke or ended."""
        return self.kind in ("device", "network")


def address_of(source: str, raw: str | None = None) -> Address:
    """The stream that a word on the command line means.

    Args:
        source: `0`, `/dev/video0`, an address, `-`, a named pipe or a file.
        raw: of bare pixels, `WxH@FPS[:FORMAT]`.

    Raises:
        UsageError: neither of these.
        MViTError: it is not there.
    """
    scheme, separator, _ = source.partition("://")
    if raw is not None and source != "-" and not _is_pipe(source):
        raise UsageError("--raw describes bare pixels on standard input or in a named pipe", "drop --raw")
    if separator:
        return _of_network(source, scheme.lower())
    if source == "-":
        return _of_stdin(raw)
    if source.isdecimal() or source.startswith("/dev/video"):
        return _of_device(source)
    return _of_path(source, raw)


def _of_network(source: str, scheme: str) -> Address:
    name = shown(source)
    if scheme not in PROTOCOLS:
        raise UsageError(
            f"{name}: streams over {scheme} are not watched",
            f"there are {', '.join(f'{known}://' for known in PROTOCOLS)}; others: {BY_FFMPEG}",
        )
    options = {"protocol_whitelist": PROTOCOLS[scheme], "format_whitelist": FORMATS}
    if scheme in ("rtsp", "rtsps"):
        options["rtsp_transport"] = "tcp"  # whole packets: over UDP the first loss smears the picture
    if scheme == "udp":
        options["overrun_nonfatal"] = "1"
    if scheme.startswith("http"):
        options["max_redirects"] = "0"
    if scheme == "https":
        options["tls_verify"] = "1"
    if re.search(r"[\x00-\x20\x7f]", source) or not re.search(r"://[^/?#]", source):
        raise UsageError(f"{name} is not an address", "give one as rtsp://host:554/path")
    return Address("network", source, name, None, options)


def shown(source: str) -> str:
    """An address for people's eyes: cameras have passwords in paths too (`/user=admin&password=...`)."""
    name = redacted(source)
    host, slash, path = name.partition("://")[2].partition("/")
    return f"{name.partition('://')[0]}://{host}/..." if slash and re.search(r"[=&;@%]", path) else name


def _of_stdin(raw: str | None) -> Address:
    if sys.platform == "win32":
        raise UsageError("standard input is not watched on Windows", "send the stream to tcp://127.0.0.1:PORT?listen")
    try:
        is_terminal = os.isatty(0)
        os.fstat(0)
    except OSError:
        raise MViTError("standard input is closed", f"pipe a video in, as: {BY_FFMPEG}") from None
    if is_terminal:
        raise UsageError("standard input is a terminal", f"pipe a video in, as: {BY_FFMPEG}")
    format, options = _raw_format(raw)
    return Address("stdin", "", "standard input", format, {"protocol_whitelist": "pipe", **options})


def _of_device(source: str) -> Address:
    name = f"camera {source}" if source.isdecimal() else source
    format = DEVICE_FORMATS.get(sys.platform)
    if format is None:
        raise UsageError(f"{name}: cameras are not opened on this system", BY_FFMPEG)
    if format == "avfoundation":
        return Address("device", source, name, format, {"framerate": "30"})
    path = f"/dev/video{source}" if source.isdecimal() else source
    if not os.path.exists(path):
        there = sorted(str(path) for path in Path("/dev").glob("video*"))
        hint = f"there are {', '.join(there)}" if there else "no camera is connected: there is no /dev/video*"
        raise MViTError(f"{name}: there is no {path}", hint)
    if not stat.S_ISCHR(os.stat(path).st_mode):
        raise UsageError(f"{path} is no device", "name a camera, as 0 or /dev/video0")
    if not os.access(path, os.R_OK | os.W_OK):
        raise MViTError(f"{name}: no permission to open {path}", "join its group: sudo usermod -aG video $USER")
    return Address("device", path, name, format)


def _of_path(source: str, raw: str | None) -> Address:
    path = os.path.abspath(source)  # FFmpeg reads "a:b" as a protocol
    if _is_pipe(source):
        format, options = _raw_format(raw)
        return Address("pipe", path, source, format, {"protocol_whitelist": "file", **options})
    try:
        check_file(path)
    except MediaError as error:
        hint = "give a camera (0), an address (rtsp://...), -, a named pipe or a file"
        raise MViTError(f"{source}: {error.message}", hint) from error
    return Address("file", path, source, None, {"protocol_whitelist": "file", "format_whitelist": FORMATS})


def _is_pipe(source: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(source).st_mode)
    except (OSError, ValueError):
        return False


def _raw_format(raw: str | None) -> tuple[str | None, dict[str, str]]:
    """Demuxer and options of bare pixels.

    Raises:
        UsageError: it is not of that form.
    """
    if raw is None:
        return None, {"format_whitelist": FORMATS}
    found = _RAW.fullmatch(raw)
    if not found or not int(found[1]) or not int(found[2]):
        raise UsageError(
            f"--raw {raw!r} is not WIDTHxHEIGHT@FPS[:FORMAT]", "for example 640x480@30 or 640x480@25:yuv420p"
        )
    width, height, rate, pixels = found.groups()
    options = {"video_size": f"{width}x{height}", "framerate": rate, "pixel_format": pixels or "rgb24"}
    return "rawvideo", options
