"""Still images by Pillow: upright, RGB, 8 bits."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

from mvit_cli.errors import MediaError
from mvit_cli.media.guards import check_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from mvit_cli.media.guards import CheckedFile

# Twice Pillow's threshold of suspicion, where Pillow itself refuses: 537 MB in RGB.
MAX_IMAGE_PIXELS = 2 * (1024 * 1024 * 1024 // 4 // 3)

# What Pillow is asked to read. It also knows MPEG, PDF and fonts, which are no stills.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
_SIGNATURES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"BM",
    b"II*\x00",  # TIFF
    b"MM\x00*",
    b"\x00\x00\x00\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"mif1", b"heim", b"heis"})


def probe(path: str | CheckedFile) -> Literal["image", "video"]:
    """Tells a still image from a video by the first bytes, never by the name; a GIF is a video.

    What is neither counts as a video, whose reader says so.

    Raises:
        MediaError: not_found, unsupported, empty.
    """
    return "image" if _is_still(check_file(path).head) else "video"


def read_image(path: str | CheckedFile) -> NDArray[np.uint8]:
    """Returns `(H, W, 3)` RGB, turned upright; transparency is ignored, of an animation the first frame is taken.

    Raises:
        MediaError: not_found, unsupported, empty, decode.
    """
    import numpy as np
    from PIL import Image, ImageOps

    file = check_file(path)
    try:
        with warnings.catch_warnings(), open(file.path, "rb") as stream:
            # Oddities of tags and colour profiles; and Pillow's own suspicion, for which the cap below stands.
            warnings.simplefilter("ignore")
            with Image.open(stream, formats=FORMATS) as image:
                _check_size(image)
                return np.asarray(_to_rgb(ImageOps.exif_transpose(image)))
    except (MediaError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise MediaError("unsupported", str(error).split(",")[0], "scale the image down") from error
    except Exception as error:  # broken files make Pillow's plugins raise SyntaxError, struct.error, EOFError ...
        raise MediaError("decode", f"the image cannot be read ({error})", "check that the file is whole") from error


def _is_still(head: bytes) -> bool:
    if head.startswith(_SIGNATURES):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in _HEIF_BRANDS and b"avif" not in head[:64]:
            raise MediaError("unsupported", "a HEIC photo", "convert it to JPEG or PNG")
        return brand in (b"avif", b"avis", *_HEIF_BRANDS)
    return len(head) > 2 and head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace()


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise MediaError(
            "unsupported",
            f"{image.width} x {image.height} pixels are more than {MAX_IMAGE_PIXELS / 1e6:.0f} million",
            "scale the image down",
        )


def _to_rgb(image: Image.Image) -> Image.Image:
    """Converts any mode; of 16 bits a channel the upper 8, where Pillow's own conversion cuts off at 255."""
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I"):
        grey = np.asarray(image.convert("I"))
        return Image.fromarray((grey.clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise MediaError("unsupported", "an image of floating-point numbers", "convert it to 8 or 16 bits")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
