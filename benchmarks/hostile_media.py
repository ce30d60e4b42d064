"""Small videos and pictures in fifty formats, and what is done to their bytes; a file follows from a seed and a number.

`python benchmarks/hostile_media.py SEED NUMBER FILE` makes one again.
"""

import io
import random
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from hostile_bytes import MUTATIONS as OF_ANY_BYTES
from hostile_bytes import Mutation

FRAMES, RATE, WIDTH, HEIGHT = 30, 12, 64, 64
UNDAMAGED = "none"


@dataclass(frozen=True)
class Video:
    """How a video is written.

    Attributes:
        codec: FFmpeg's encoder.
        pix_fmt: what it takes.
        options: of the encoder.
        muxing: options of the muxer.
        size: where the codec does not take any.
        rate: frames a second, where the codec does not take any.
        frames: fewer of what is large.
        container: FFmpeg's muxer, where the suffix does not tell.
    """

    codec: str
    pix_fmt: str = "yuv420p"
    options: tuple[tuple[str, str], ...] = ()
    muxing: tuple[tuple[str, str], ...] = ()
    size: tuple[int, int] = (WIDTH, HEIGHT)
    rate: int = RATE
    frames: int = FRAMES
    container: str | None = None


@dataclass(frozen=True)
class Still:
    """How Pillow writes a picture, or an animation of several."""

    format: str
    pictures: int = 1
    mode: str = "RGB"
    options: tuple[tuple[str, Any], ...] = ()


_X264 = (("preset", "veryfast"), ("bf", "2"), ("g", "10"), ("threads", "1"))
_X265 = (("preset", "ultrafast"), ("x265-params", "log-level=none:pools=none:frame-threads=1"))
_VPX = (("deadline", "realtime"), ("cpu-used", "8"), ("g", "10"))
_G = (("g", "10"),)

FORMATS: dict[str, Video | Still] = {  # a name is a suffix and, after a dash, what is in it
    "mp4-h264": Video("libx264", options=_X264),
    "mp4-fragmented": Video("libx264", options=_X264, muxing=(("movflags", "frag_keyframe+empty_moov"),)),
    "mp4-hevc": Video("libx265", options=_X265),
    "mp4-mpeg4": Video("mpeg4", options=(*_G, ("bf", "2"))),
    "mp4-av1": Video("libsvtav1", options=(("preset", "12"), ("svtav1-params", "lp=1"))),
    "mov-prores": Video("prores", "yuv422p10le", frames=8),
    "mov-mjpeg": Video("mjpeg", "yuvj420p"),
    "mov-png": Video("png", "rgb24", frames=8),
    "mov-qtrle": Video("qtrle", "rgb24", frames=8),
    "mkv-h264": Video("libx264", options=_X264),
    "mkv-ffv1": Video("ffv1", frames=8),
    "mkv-hevc": Video("libx265", "yuv420p10le", _X265),
    "webm-vp8": Video("libvpx", options=_VPX),
    "webm-vp9": Video("libvpx-vp9", options=_VPX),
    "ivf-vp8": Video("libvpx", options=_VPX),
    "ogv-vp8": Video("libvpx", options=_VPX, container="ogg"),
    "avi-mpeg4": Video("mpeg4", options=_G),
    "avi-mjpeg": Video("mjpeg", "yuvj420p"),
    "avi-huffyuv": Video("huffyuv", "yuv422p", frames=6),
    "avi-raw": Video("rawvideo", "bgr24", frames=4),
    "avi-cinepak": Video("cinepak", "rgb24", frames=8),
    "flv-flv1": Video("flv", options=_G),
    "flv-h264": Video("libx264", options=_X264),
    "ts-mpeg2": Video("mpeg2video", options=_G, rate=25),
    "ts-h264": Video("libx264", options=_X264),
    "m2ts-h264": Video("libx264", options=_X264, muxing=(("mpegts_m2ts_mode", "1"),), container="mpegts"),
    "mpg-mpeg1": Video("mpeg1video", options=_G, rate=25),
    "vob-mpeg2": Video("mpeg2video", options=_G, rate=25),
    "m2v-mpeg2": Video("mpeg2video", options=_G, rate=25),
    "wmv-wmv2": Video("wmv2", options=_G),
    "asf-msmpeg4": Video("msmpeg4", options=_G),
    "3gp-h263": Video("h263", options=_G, size=(128, 96)),
    "rm-rv10": Video("rv10", options=_G, size=(128, 96)),
    "mxf-mpeg2": Video("mpeg2video", options=_G, rate=25),
    "nut-mpeg4": Video("mpeg4", options=_G),
    "dv-pal": Video("dvvideo", "yuv420p", size=(720, 576), rate=25, frames=2),
    "y4m-raw": Video("wrapped_avframe", frames=4, container="yuv4mpegpipe"),
    "h264-bare": Video("libx264", options=_X264),
    "hevc-bare": Video("libx265", options=_X265),
    "mjpeg-bare": Video("mjpeg", "yuvj420p"),
    "swf-flv1": Video("flv", options=_G),
    "gif-animated": Video("gif", "rgb8", frames=10),
    "apng-animated": Video("apng", "rgb24", (("plays", "0"),), frames=8),
    "webp-animated": Still("WEBP", 8),
    "avif-animated": Still("AVIF", 4),
    "png-still": Still("PNG"),
    "png-palette": Still("PNG", mode="P"),
    "png-16-bit": Still("PNG", mode="I;16"),
    "jpg-still": Still("JPEG"),
    "jpg-progressive": Still("JPEG", options=(("progressive", True),)),
    "jpg-cmyk": Still("JPEG", mode="CMYK"),
    "webp-still": Still("WEBP"),
    "bmp-still": Still("BMP"),
    "tiff-deflate": Still("TIFF", options=(("compression", "tiff_adobe_deflate"),)),
    "tiff-lzw": Still("TIFF", 2, options=(("compression", "tiff_lzw"),)),
    "ico-still": Still("ICO"),
    "avif-still": Still("AVIF"),
    "jp2-still": Still("JPEG2000"),
    "ppm-still": Still("PPM"),
    "tga-still": Still("TGA"),
    "qoi-still": Still("QOI"),
    "gif-still": Still("GIF"),
}
REFUSED = frozenset({"ico-still", "swf-flv1"})
"""Formats that are none of ours: whole files are refused too."""

NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 1 << 24, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40)
"""What a size, a count or a stamp is set to; others are drawn."""
_SIGNS = (
    b"moov",
    b"mdhd",
    b"stts",
    b"stsz",
    b"ctts",
    b"elst",
    b"tkhd",
    b"stsd",
    b"RIFF",
    b"avih",
    b"strh",
    b"\x44\x89",
)
_RIFF = (b"LIST", b"hdrl", b"avih", b"strh", b"strf", b"movi", b"idx1", b"00dc", b"VP8 ", b"ANIM", b"ANMF", b"VP8X")
_BOXES = tuple(
    b"ftyp moov trak mdia minf stbl stsd stts stsz stco ctts stsc elst mdat mvhd tkhd mdhd avcC hvcC"
    b" moof traf trun meta iloc iprp ispe av1C jp2h jp2c".split()
)
_CHUNKS = (b"IHDR", b"IDAT", b"fdAT", b"acTL", b"fcTL", b"PLTE", b"IEND")
_ELEMENTS = (b"\x2a\xd7\xb1", b"\x44\x89", b"\x1f\x43\xb6\x75", b"\xe7", b"\xb0", b"\xba", b"\xae", b"\xa3")  # of EBML


def _frames(size: tuple[int, int], count: int) -> Iterator["np.ndarray[Any, Any]"]:
    """A textured picture that moves."""
    width, height = size
    picture = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    picture = picture.repeat(8, axis=0).repeat(8, axis=1)
    for number in range(count):
        yield np.roll(picture, (number, 2 * number), (0, 1))


def _video(how: Video, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"seed.{suffix}")
        muxing = {"fflags": "+bitexact", **dict(how.muxing)}  # no date and no random numbers
        with av.open(str(path), "w", format=how.container, options=muxing) as container:
            stream = container.add_stream(how.codec, rate=how.rate, options=dict(how.options))
            stream.width, stream.height = how.size
            stream.pix_fmt = how.pix_fmt
            stream.codec_context.thread_count = 1
            for picture in _frames(how.size, how.frames):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=how.pix_fmt)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path.read_bytes()


def _still(how: Still) -> bytes:
    from PIL import Image

    first, *others = (Image.fromarray(picture) for picture in _frames((WIDTH, HEIGHT), how.pictures))
    if how.mode == "I;16":
        first = Image.fromarray(np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 16)
    elif how.mode != "RGB":
        first = first.convert(how.mode)
    held = io.BytesIO()
    several = {"save_all": True, "append_images": others, "duration": 100} if others else {}
    first.save(held, how.format, **several, **dict(how.options))
    return _undated(held.getvalue()) if how.format == "AVIF" else held.getvalue()


def _undated(data: bytes) -> bytes:
    """Boxes without the times at which they were made."""
    undated = bytearray(data)
    for sign in (b"mvhd", b"tkhd", b"mdhd"):
        for at in _places_of(sign, data):
            count = 16 if data[at + 4] else 8  # by the version of the box
            undated[at + 8 : at + 8 + count] = bytes(count)
    return bytes(undated)


@cache
def whole(name: str) -> bytes:
    """An undamaged file of a format."""
    how = FORMATS[name]
    return _video(how, name.split("-")[0]) if isinstance(how, Video) else _still(how)


# --- damage that knows something of containers; what knows nothing is in `hostile_bytes.py`


def sizes(data: bytes, rng: random.Random) -> bytes:
    """The length of boxes, chunks or elements set to something else: MP4, RIFF, PNG and EBML."""
    places = _lengths(data)
    if not places:
        return numbers(data, rng)
    damaged = bytearray(data)
    for start, width, order in rng.sample(places, min(len(places), rng.randint(1, 3))):
        old = int.from_bytes(damaged[start : start + width], order)
        value = rng.choice((old + 1, old - 1, old // 2, old * 2, rng.choice(NUMBERS), rng.getrandbits(32)))
        damaged[start : start + width] = (value % (1 << 8 * width)).to_bytes(width, order)
    return bytes(damaged)


def _lengths(data: bytes) -> list[tuple[int, int, Any]]:
    """Where lengths stand: `(offset, bytes, order)`."""
    places: list[tuple[int, int, Any]] = []
    if data[:4] in (b"RIFF", b"FORM"):
        order: Any = "little" if data[:4] == b"RIFF" else "big"
        places = [(4, 4, order), *((at + 4, 4, order) for sign in _RIFF for at in _places_of(sign, data))]
    elif data[4:8] in (b"ftyp", b"wide", b"moov", b"mdat", b"jP  "):
        places = [(at - 4, 4, "big") for sign in _BOXES for at in _places_of(sign, data) if at >= 4]
    elif data[:4] == b"\x89PNG":
        places = [(at - 4, 4, "big") for sign in _CHUNKS for at in _places_of(sign, data)]
    elif data[:4] == b"\x1a\x45\xdf\xa3":
        elements = [at + len(sign) for sign in _ELEMENTS for at in _places_of(sign, data)]
        places = [(at, width, "big") for at in elements for width in (1, 2)]
    return [(start, width, order) for start, width, order in places if start + width <= len(data)]


def _places_of(sign: bytes, data: bytes, most: int = 8) -> list[int]:
    found, at = [], data.find(sign)
    while at >= 0 and len(found) < most:
        found.append(at)
        at = data.find(sign, at + 1)
    return found


def numbers(data: bytes, rng: random.Random) -> bytes:
    """Numbers of two, four or eight bytes in the head, in the tail or behind a known sign set to extremes."""
    damaged = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        width, order = rng.choice((1, 2, 4, 4, 8)), rng.choice(("little", "big"))
        signs = [at for sign in _SIGNS for at in _places_of(sign, data, 2)]
        reach = min(len(data), 600)
        start = rng.choice((rng.randrange(reach), len(data) - reach + rng.randrange(reach)))
        if signs and rng.random() < 0.6:
            start = rng.choice(signs) + rng.randrange(4, 48)
        value = rng.choice(NUMBERS) if rng.random() < 0.7 else rng.getrandbits(8 * width)
        if start + width <= len(data):
            damaged[start : start + width] = (value % (1 << 8 * width)).to_bytes(width, order)
    return bytes(damaged)


def doubles(data: bytes, rng: random.Random) -> bytes:
    """An EBML duration, or eight or four bytes anywhere, set to a floating-point number no clip has."""
    value = rng.choice((0.0, -1.0, 1e6, 2e9, 1e300, float("inf"), float("nan"), 5e-324))
    places = [at + 3 for at in _places_of(b"\x44\x89\x88", data)] or [rng.randrange(max(1, len(data) - 8))]
    start = rng.choice(places)
    return (data[:start] + struct.pack(">d", value) + data[start + 8 :])[: len(data)]


def spliced(data: bytes, rng: random.Random) -> bytes:
    """The beginning of this file and the end of another."""
    other = whole(rng.choice(tuple(FORMATS)))
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def embedded(data: bytes, rng: random.Random) -> bytes:
    """Another file within this one, or before it, or behind it."""
    other = whole(rng.choice(tuple(FORMATS)))
    start = rng.choice((0, len(data), rng.randrange(len(data))))
    return data[:start] + other + data[start:]


def junk_before(data: bytes, rng: random.Random) -> bytes:
    """Up to 4 KB of noise, zeros or line breaks before the file."""
    count = rng.choice((1, 2, 7, 16, 512, 4096))
    return rng.choice((rng.randbytes(count), bytes(count), b"\n" * count, b"#EXTM3U\n", b"ffconcat\n", b"<MPD")) + data


def doubled_head(data: bytes, rng: random.Random) -> bytes:
    """The head twice, or many times."""
    head = data[: rng.choice((32, 256, 2048))]
    return head * rng.choice((1, 2, 50)) + data


def several(data: bytes, rng: random.Random) -> bytes:
    """Two to four kinds of damage one after the other."""
    for _ in range(rng.randint(2, 4)):
        if data:
            data = _KINDS[rng.choice(tuple(_KINDS))](data, rng)
    return data[:2_000_000]


_KINDS: dict[str, Mutation] = OF_ANY_BYTES | {
    each.__name__: each for each in (sizes, numbers, doubles, spliced, embedded, junk_before, doubled_head)
}
MUTATIONS: dict[str, Mutation] = {**_KINDS, "several": several}


def checksums_mended(data: bytes) -> bytes:
    """A PNG whose chunks have right checksums again, so that a decoder looks at what is in them."""
    mended, start = bytearray(data), 8
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        end = start + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", mended, end, zlib.crc32(data[start + 4 : end]))
        start = end + 4
    return bytes(mended)


@dataclass(frozen=True)
class HostileFile:
    """One file of the fuzz.

    Attributes:
        name: of the file, without a folder; begins with its number. Bytes, as systems have them.
        valid: whether it is undamaged, and of a format of ours.
    """

    number: int
    name: bytes
    format: str
    mutation: str
    data: bytes
    valid: bool


_NAMES = (
    *(b"<img src=x onerror=alert(1)>", b'" onmouseover="alert(1)', b"' onload='alert(1)", b"&lt;script&gt;"),
    *(b"\x1b]52;c;aGk=\x07", b"\xe2\x80\xaetxt.exe", b"\xff\xfe", b"a\nb", b"javascript:alert(1)"),
    *(b"|x|`y`", b"=cmd()", b"%s%n{0}", b"[bold red]x[]"),
)
"""What stands in the names of some files."""


def make_file(seed: int, number: int) -> HostileFile:
    """The file of this number; of each format the first is undamaged, and one in fifty later."""
    rng = random.Random(f"{seed} {number}")
    names = tuple(FORMATS)
    name = names[number % len(names)]
    data = whole(name)
    mutation = UNDAMAGED if number < len(names) or rng.random() < 0.02 else rng.choice(tuple(MUTATIONS))
    if mutation != UNDAMAGED:
        data = MUTATIONS[mutation](data, rng)
        if data[:4] == b"\x89PNG" and rng.random() < 0.5:
            data = checksums_mended(data)
    suffix = name.split("-")[0]
    if mutation != UNDAMAGED and rng.random() < 0.1:  # the name of another format
        suffix = rng.choice(names).split("-")[0]
    odd = rng.choice(_NAMES) if rng.random() < 0.05 else b""
    valid = mutation == UNDAMAGED and name not in REFUSED
    return HostileFile(number, b"%d%b.%b" % (number, odd, suffix.encode()), name, mutation, data, valid)


def main() -> None:
    """Makes one file again, or tells the sizes of the undamaged ones."""
    if len(sys.argv) == 1:
        for name in FORMATS:
            print(f"{name:18} {len(whole(name)):8,} bytes")
        return
    seed, number, path = sys.argv[1:]
    made = make_file(int(seed), int(number))
    Path(path).write_bytes(made.data)
    print(f"{made.name!r}: {made.format}, {made.mutation}, {len(made.data):,} bytes")


if __name__ == "__main__":
    main()
