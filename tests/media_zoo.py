"""Small files of every codec, container and structure, each with what a plain decode from its start shows."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from media_clips import draw

os.environ.setdefault("SVT_LOG", "1")  # of an encoder that tells its settings on standard error

SIZE = (112, 80)
# Coded pixels -> upright ones, by the matrix (a, b, c, d).
MATRICES = {
    (1, 0, 0, 1): lambda pixels: pixels,
    (-1, 0, 0, 1): lambda pixels: pixels[:, ::-1],
    (1, 0, 0, -1): lambda pixels: pixels[::-1],
    (-1, 0, 0, -1): lambda pixels: pixels[::-1, ::-1],
    (0, 1, -1, 0): lambda pixels: np.rot90(pixels, -1),
    (0, -1, 1, 0): lambda pixels: np.rot90(pixels),
    (0, 1, 1, 0): lambda pixels: pixels.swapaxes(0, 1),
    (0, -1, -1, 0): lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
}
CONTAINERS = {
    "libx264": ("mp4", "mov", "mkv", "ts", "flv", "avi", "h264", "mp4-fragmented"),
    "libx265": ("mp4", "mkv", "ts", "hevc", "mp4-fragmented"),
    "mpeg4": ("mp4", "mkv", "avi", "ts", "m4v-raw"),
    "mpeg2video": ("ts", "mpg", "mkv", "mp4", "m2v"),
    "libvpx": ("webm", "mkv"),
    "libvpx-vp9": ("webm", "mp4", "mkv"),
    "flv": ("flv",),
    "mjpeg": ("avi", "mov", "mkv"),
    "qtrle": ("mov",),
    "wmv2": ("wmv",),
    "h263p": ("avi",),
    "libsvtav1": ("mp4", "mkv", "webm"),
}
RAW = {"h264", "hevc", "m4v-raw", "m2v"}
# Containers that keep the times and the key frames they are given.
EXACT = {"mp4", "mov", "mkv", "webm", "flv", "mp4-fragmented"}
# Decoders that show frames although those they refer to are missing: the truth begins at the first key frame.
SHOWS_ANYTHING = {"mpeg4", "flv", "wmv2", "h263p", "qtrle"}


@dataclass(frozen=True)
class Structure:
    """What one file is made of."""

    codec: str
    container: str
    frames: int
    fps: Fraction
    gop: int
    b_frames: int = 0
    open_gop: bool = False
    pause_at: int = 0
    jitter: bool = False
    cut_packets: int = 0
    hidden_frames: int = 0
    all_keys: bool = False
    repeat: int = 0
    joined: bool = False
    matrix: tuple[int, int, int, int] = (1, 0, 0, 1)
    seed: int = 0


@dataclass
class Truth:
    """The frames of a plain decode: pixels as coded, and time stamps."""

    pixels: list[np.ndarray] = field(default_factory=list)
    pts: list[int | None] = field(default_factory=list)
    time_base: Fraction = Fraction(1)


def any_structure(seed: int) -> Structure:
    rng = random.Random(seed)
    codec = rng.choice([name for name, containers in CONTAINERS.items() for _ in containers])
    container = rng.choice(CONTAINERS[codec])
    frames = rng.randint(12, 60)
    reorders = codec in ("libx264", "libx265", "mpeg4", "mpeg2video") and container != "flv"
    exact = container in EXACT
    timed = exact and codec != "mpeg2video"  # whose encoder knows a few rates only
    odd = rng.random()  # one oddity of the stream at a time, one of the picture beside it
    return Structure(
        codec,
        container,
        frames,
        Fraction(25) if codec in ("mpeg2video", "flv") else rng.choice([Fraction(25), Fraction(30000, 1001)]),
        gop=rng.choice([1, 4, 10, 25, 100]),
        b_frames=rng.choice([0, 1, 2, 3]) if reorders and codec != "mpeg2video" else rng.choice([0, 2]) * reorders,
        open_gop=rng.random() < 0.5,
        pause_at=rng.randrange(2, frames - 1) if timed and odd < 0.15 else 0,
        jitter=timed and 0.1 < odd < 0.25,
        cut_packets=rng.randrange(1, 12) if 0.25 < odd < 0.45 and codec not in ("mjpeg", "libsvtav1") else 0,
        hidden_frames=rng.randrange(1, 10) if container in ("mp4", "mov") and 0.45 < odd < 0.6 else 0,
        all_keys=exact and 0.6 < odd < 0.75,
        repeat=rng.randrange(2, 10) if container in ("mkv", "flv", "webm") and 0.75 < odd < 0.85 else 0,
        joined=container == "ts" and 0.6 < odd < 0.8,
        matrix=rng.choice(list(MATRICES)) if container in ("mp4", "mov") and rng.random() < 0.5 else (1, 0, 0, 1),
        seed=seed,
    )


def write(structure: Structure, folder: Path) -> str:
    """Encodes and multiplexes a file; returns its path."""
    suffix = {"mp4-fragmented": "mp4", "m4v-raw": "m4v"}.get(structure.container, structure.container)
    path = folder / f"{structure.seed}.{suffix}"
    options = {"movflags": "frag_keyframe+empty_moov"} if structure.container == "mp4-fragmented" else {}
    if structure.hidden_frames:
        options["avoid_negative_ts"] = "disabled"
    name = {"m4v-raw": "m4v"}.get(structure.container)
    with av.open(str(path), "w", format=name, options=options) as container:
        stream = container.add_stream(structure.codec, rate=structure.fps, options=_options(structure))
        stream.width, stream.height = SIZE
        stream.pix_fmt = {"mjpeg": "yuvj420p", "qtrle": "rgb24"}.get(structure.codec, "yuv420p")
        stream.codec_context.thread_count = 1
        for packet in _told(structure, _packets(structure, stream)):
            packet.stream = stream
            container.mux(packet)
    if structure.matrix != (1, 0, 0, 1):
        _patch_matrix(path, structure.matrix)
    if structure.joined:  # its stamps begin anew
        path.write_bytes(2 * path.read_bytes())
    return str(path)


def truth_of(path: str, structure: Structure) -> Truth:
    """Decodes from the start, as PyAV does by its defaults."""
    truth = Truth()
    try:
        opened = av.open(path)
    except av.error.FFmpegError:
        return truth  # so much was cut away that it is no video
    with opened as container:
        if not container.streams.video:
            return truth
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        truth.time_base = stream.time_base
        begun = not structure.cut_packets or structure.codec not in SHOWS_ANYTHING
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except EOFError:
                break
            except av.error.FFmpegError:
                continue  # what it refers to was cut away
            for frame in frames:
                begun |= frame.key_frame or (structure.codec == "qtrle" and packet.is_keyframe)
                if not begun:
                    continue
                truth.pixels.append(frame.to_ndarray(format="rgb24", threads=1))
                truth.pts.append(frame.pts)
    return truth


def _options(structure: Structure) -> dict[str, str]:
    gop, b_frames = structure.gop, structure.b_frames
    match structure.codec:
        case "libx264":
            more = "open-gop=1:" if structure.open_gop else ""
            return {"preset": "ultrafast", "g": str(gop), "x264-params": f"{more}bframes={b_frames}:scenecut=0"}
        case "libx265":
            more = f"open-gop={int(structure.open_gop)}:pools=none:frame-threads=1:log-level=error"
            return {"preset": "ultrafast", "x265-params": f"{more}:keyint={gop}:bframes={b_frames}"}
        case "libvpx" | "libvpx-vp9":
            return {"deadline": "realtime", "cpu-used": "8", "g": str(gop)}
        case "libsvtav1":
            return {"preset": "12", "g": str(gop), "svtav1-params": "lp=1"}
    return {"g": str(gop), "bf": str(b_frames)} if b_frames else {"g": str(gop)}


def _packets(structure: Structure, stream: av.VideoStream) -> list[av.Packet]:
    rng = random.Random(structure.seed)
    packets = []
    if structure.jitter or structure.pause_at:
        stream.codec_context.time_base = Fraction(1, 1000)
    for number in range(structure.frames):
        frame = av.VideoFrame.from_ndarray(draw(number, *SIZE), format="rgb24")
        if structure.jitter or structure.pause_at:
            late_ms = rng.choice([0, 0, 7, 15]) if structure.jitter else 0
            late_ms += 30_000 if structure.pause_at and number >= structure.pause_at else 0
            frame.pts, frame.time_base = 40 * number + late_ms, Fraction(1, 1000)
        packets += stream.encode(frame)
    packets += stream.encode()
    return packets


def _told(structure: Structure, packets: list[av.Packet]) -> list[av.Packet]:
    """Returns what is written of the packets, and with which words."""
    kept = packets[structure.cut_packets :]
    if structure.cut_packets:
        first = min(packet.dts for packet in kept)
        for packet in kept:
            packet.pts, packet.dts = packet.pts - first, packet.dts - first
    if structure.hidden_frames:
        shift = round(structure.hidden_frames / structure.fps / kept[0].time_base)
        for packet in kept:
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
    if structure.all_keys:
        for packet in kept:
            packet.is_keyframe = True
    if structure.repeat and not structure.b_frames:
        kept[structure.repeat].pts = kept[structure.repeat].dts = kept[structure.repeat - 1].pts
    return kept


def _patch_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    data = path.read_bytes()
    at = data.index(b"tkhd") + 4 + 40  # of version 0
    a, b, c, d = (part << 16 for part in matrix)
    values = [a, b, 0, c, d, 0, 0, 0, 1 << 30]
    path.write_bytes(data[:at] + b"".join(value.to_bytes(4, "big", signed=True) for value in values) + data[at + 36 :])
