"""Still images by Pillow: upright, RGB, 8 bits."""

import io
import os
import struct
import warnings
from typing import TYPE_CHECKING, BinaryIO, Literal

from mvit_cli.errors import MediaError
from mvit_cli.media.guards import MEMORY_BYTES, CheckedFile, check_file, is_no_fault_of_the_file, words_of
from mvit_cli.media.shortage import MemoryWatch
from mvit_cli.media.video.webp import animation_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

# What a pixel takes while an image becomes RGB, and how often a file lies in memory that is read whole: the most that
# was measured (24.5 for JPEG 2000 with transparency, 22.7 for JPEG without its end). Whoever decodes without a worker,
# whose memory the system limits, is held to the same by these.
BYTES_A_PIXEL = 26
FILE_COPIES = 3
MAX_IMAGE_PIXELS = MEMORY_BYTES // BYTES_A_PIXEL

# What Pillow is asked to read. It also knows MPEG, PDF and fonts, which are no stills.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "QOI", "TGA")
# A first picture of more is no frame of a stream of JPEG files.
MAX_JPEG_BYTES = 16 << 20
HINT = "check that the file is whole"
_BEFORE_JPEG = b"\xef\xbb\xbf\r\n"
_SIGNATURES = (
    b"\x89PNG\r\n\x1a\n",
    b"BM",
    b"II*\x00",  # TIFF
    b"MM\x00*",
    b"II+\x00",  # BigTIFF
    b"MM\x00+",
    b"qoif",
    b"\x00\x00\x00\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",
)
_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"mif1", b"heim", b"heis"})


def probe(path: str | CheckedFile) -> Literal["image", "video"]:
    """Tells a still image from a video by its bytes, never by the name; GIF and other animations are videos.

    What is neither counts as a video, whose reader says so.

    Raises:
        MediaError: not_found, unsupported, empty.
    """
    file = check_file(path)
    return "image" if _is_still(file.head) and not _is_animation(file) else "video"


def read_image(path: str | CheckedFile, notes: list[str] | None = None) -> "NDArray[np.uint8]":
    """`(H, W, 3)` RGB, turned upright; transparency is ignored, of an animation the first frame is taken.

    Args:
        path: the file, or what `check_file` made of it.
        notes: takes a sentence where the file is not as it should be, but its picture is whole.

    Raises:
        MediaError: not_found, unsupported, empty, decode.
    """
    from PIL import Image, UnidentifiedImageError

    file = check_file(path)
    try:
        with warnings.catch_warnings(), file.open() as whole:
            # Oddities of tags and colour profiles; and Pillow's own suspicion, for which the cap below stands.
            warnings.simplefilter("ignore")
            held_bytes = FILE_COPIES * whole.seek(0, os.SEEK_END) if _is_read_whole(file.head) else 0
            whole.seek(0)
            _check_memory(held_bytes)
            stream = _from_signature(whole, file.head)
            try:
                return _pixels(stream, held_bytes)
            except OSError as error:
                if not file.head.lstrip(_BEFORE_JPEG).startswith(_JPEG) or "truncated" not in str(error):
                    raise
                stream.seek(0)
                pixels = _without_end(stream.read(), held_bytes)
                if pixels is None:
                    raise
                if notes is not None:
                    notes.append("the JPEG file lacks its end marker; its picture is whole")
                return pixels
    except (MediaError, MemoryError):
        raise
    except UnidentifiedImageError as error:  # its text names an object of Python
        raise MediaError("decode", "the image cannot be read (unknown format)", HINT) from error
    except Image.DecompressionBombError as error:
        raise MediaError("unsupported", str(error).split(",")[0], "scale the image down") from error
    except Exception as error:  # broken files make Pillow's plugins raise SyntaxError, struct.error, EOFError ...
        if is_no_fault_of_the_file(error):
            raise
        raise MediaError("decode", f"the image cannot be read ({words_of(error)})", HINT) from error


def _is_still(head: bytes) -> bool:
    if head.lstrip(_BEFORE_JPEG).startswith(_JPEG) or head.startswith(_SIGNATURES) or _is_targa(head):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _HEIF_BRANDS and b"avif" not in head[:64]:
            raise MediaError("unsupported", "a HEIC photo", "convert it to JPEG or PNG")
        return brand in (b"avif", b"avis", *_HEIF_BRANDS)
    return len(head) > 2 and head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace()


def _is_animation(file: CheckedFile) -> bool:
    """Whether pictures follow the first one: APNG and WebP of several, AVIF sequences, JPEG after JPEG."""
    head = file.head
    if head.startswith(b"\x89PNG"):
        control, pixels = head.find(b"acTL"), head.find(b"IDAT")
        frames = head[control + 4 : control + 8]
        return control > 0 and (pixels < 0 or control < pixels) and int.from_bytes(frames, "big") > 1
    if head[4:12] == b"ftypavis":
        return True
    if head.startswith(b"RIFF"):
        return animation_of(file) is not None
    return head.startswith(_JPEG) and b"MPF\x00" not in head and _is_jpeg_stream(file)


def _is_jpeg_stream(file: CheckedFile) -> bool:
    """Whether a second JPEG of the same size stands right behind the first: not so behind photos with other appendages.

    Args:
        file: one that begins as JPEG.
    """
    with file.open() as stream:
        data = stream.read(MAX_JPEG_BYTES)
    first = _jpeg_size(data, 0)
    start = 0 if first is None else data.find(_JPEG_END + _JPEG, first[1]) + len(_JPEG_END)
    if first is None or start < len(_JPEG_END):
        return False
    second = _jpeg_size(data, start)
    return second is not None and second[0] == first[0]


def _jpeg_size(data: bytes, start: int) -> tuple[bytes, int] | None:
    """Height and width of a JPEG as they stand in it, and where its scan begins (ITU T.81, B.1); None if cut.

    Thumbnails in the segments before are passed over.
    """
    place, size = start + 2, b""
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if marker in range(0xC0, 0xD0) and marker not in (0xC4, 0xC8, 0xCC):
            size = data[place + 5 : place + 9]
        place += 2 + length
        if marker == 0xDA:
            return size, place
    return None


def _is_targa(head: bytes) -> bool:
    """Whether a header is TGA's, which has no signature: its fields must fit each other (Truevision, version 2.0)."""
    if len(head) < 18:
        return False
    has_map, kind, width, height, depth = head[1], head[2], *struct.unpack_from("<HH", head, 12), head[16]
    fits = (has_map, kind) in ((1, 1), (1, 9), (0, 2), (0, 3), (0, 10), (0, 11))
    is_map = depth == 8 and head[7] in (15, 16, 24, 32) if has_map else not any(head[3:8])
    return fits and is_map and width > 0 and height > 0 and depth in (8, 15, 16, 24, 32) and head[17] & 0xC0 == 0


def _from_signature(stream: BinaryIO, head: bytes) -> BinaryIO:
    """A stream that begins with the picture: some JPEG files stand behind a byte order mark or line break."""
    ahead = len(head) - len(head.lstrip(_BEFORE_JPEG))
    if not ahead or not head[ahead:].startswith(_JPEG):
        return stream
    stream.seek(ahead)
    return io.BytesIO(stream.read())


def _is_read_whole(head: bytes) -> bool:
    """Whether all of a file lies in memory before its first pixel: WebP, AVIF, and JPEG where its end is looked for."""
    return head[:4] == b"RIFF" or head[4:8] == b"ftyp" or head.lstrip(_BEFORE_JPEG).startswith(_JPEG)


def _pixels(stream: BinaryIO, held_bytes: int) -> "NDArray[np.uint8]":
    import numpy as np
    from PIL import Image, ImageOps

    with MemoryWatch(), Image.open(stream, formats=FORMATS) as image:
        _check_size(image)
        _check_memory(held_bytes + image.width * image.height * BYTES_A_PIXEL)
        ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(_to_rgb(image, image.format))


def _without_end(data: bytes, held_bytes: int) -> "NDArray[np.uint8] | None":
    """The pixels of a JPEG file without its end marker; None where more than the marker is missing.

    A decoder that has got all pixels passes over whatever stands before the end marker; else it takes it for pixels.
    """
    import numpy as np

    as_it_is = _pixels(io.BytesIO(data + _JPEG_END), held_bytes)
    with_more = _pixels(io.BytesIO(data + bytes(range(1, 255)) * 256 + _JPEG_END), held_bytes)
    return as_it_is if np.array_equal(as_it_is, with_more) else None


def _check_size(image: "Image.Image") -> None:
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise MediaError(
            "unsupported",
            f"{image.width} x {image.height} pixels are more than {MAX_IMAGE_PIXELS / 1e6:.0f} million",
            "scale the image down",
        )


def _check_memory(needed_bytes: int) -> None:
    if needed_bytes > MEMORY_BYTES:
        raise MediaError(
            "unsupported",
            f"the image needs {needed_bytes / 1e9:.1f} GB of memory, more than {MEMORY_BYTES / 1e9:.1f} GB",
            "scale the image down",
        )


def _bits_of(highest: int) -> int:
    """The bits of a grey value in a TIFF file, which does not say that 8 or 12 of them stand in 16 or 32."""
    return next(bits for bits in (8, 12, 16, 20, 24, 28, 31) if highest < 2**bits)


def _to_rgb(image: "Image.Image", file_format: str | None) -> "Image.Image":
    """Converts any mode; of 16 bits a channel the upper 8, where Pillow's own conversion cuts off at 255."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):
        grey = np.asarray(image.convert("I")).clip(0)
        bits = _bits_of(int(grey.max())) if file_format == "TIFF" else 16
        return Image.fromarray((grey.clip(0, 2**bits - 1) >> (bits - 8)).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise MediaError("unsupported", "an image of floating-point numbers", "convert it to 8 or 16 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
