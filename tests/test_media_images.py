"""Still images of every mode become upright 8-bit RGB; broken and giant ones are clean errors."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from media_clips import draw, read_number, write_video
from PIL import Image

from mvit_cli.errors import MediaError
from mvit_cli.media.images import probe, read_image

RED = (200, 30, 30)


def save(tmp_path, image: Image.Image, name: str = "a.png", **options) -> str:
    path = tmp_path / name
    image.save(path, **options)
    return str(path)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("a.png", 0), ("a.bmp", 0), ("a.tif", 0), ("a.ppm", 0), ("a.webp", 4), ("a.jpg", 4), ("a.jp2", 4), ("a.avif", 8)],
)
def test_formats(tmp_path, name, tolerance):
    path = save(tmp_path, Image.new("RGB", (40, 30), RED), name)
    assert probe(path) == "image"
    pixels = read_image(path)
    assert pixels.shape == (30, 40, 3)
    assert np.abs(pixels.astype(int) - RED).max() <= tolerance


def test_content_decides_and_not_the_name(tmp_path):
    assert probe(save(tmp_path, Image.new("RGB", (8, 8)), "still.mp4", format="JPEG")) == "image"
    os.rename(write_video(tmp_path / "a.mp4", 3), tmp_path / "video.jpg")
    assert probe(str(tmp_path / "video.jpg")) == "video"
    assert probe(save(tmp_path, Image.new("P", (8, 8)), "a.gif")) == "video"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    formats = {"CMYK": "tif", "YCbCr": "tif", "LAB": "tif", "HSV": "tif", "PA": "tif"}
    image = Image.new("RGB", (9, 7), (255, 255, 255))
    image = image.convert("P").convert("PA") if mode == "PA" else image
    if mode == "HSV":
        image = image.convert("HSV").convert("RGB")
    elif mode == "LAB":
        image = Image.new("LAB", (9, 7), (255, 128, 128))
    elif mode != "PA":
        image = image.convert(mode)
    pixels = read_image(save(tmp_path, image, f"a.{formats.get(mode, 'png')}"))
    assert pixels.shape == (7, 9, 3)
    assert pixels.dtype == np.uint8
    assert pixels.min() >= 250  # white in every mode


def test_sixteen_bits_keep_their_upper_half(tmp_path):
    grey = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    pixels = read_image(save(tmp_path, Image.fromarray(grey)))
    assert np.array_equal(pixels[..., 0], grey >> 8)


def test_transparent_palette_gives_no_warning(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    path = save(tmp_path, image, transparency=b"\x00\x80")
    assert tuple(read_image(path)[0, 0]) == RED


def test_exif_turns_the_picture_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    coded = np.rot90(draw(5), 1)
    pixels = read_image(save(tmp_path, Image.fromarray(coded), "a.jpg", exif=exif, quality=95))
    assert pixels.shape == (120, 160, 3)
    assert read_number(pixels) == 5


def test_animation_shows_its_first_frame(tmp_path):
    frames = [Image.fromarray(draw(number)) for number in (3, 4)]
    path = save(tmp_path, frames[0], "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert read_number(read_image(path)) == 3


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_cut_image_is_a_clean_error(tmp_path, name, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = Path(save(tmp_path, Image.fromarray(noise), name))
    data = path.read_bytes()
    path.write_bytes(data[: max(20, int(len(data) * share))])
    with pytest.raises(MediaError, match="cannot be read") as error:
        read_image(str(path))
    assert error.value.kind == "decode"


def test_random_bytes_behind_a_signature_are_a_clean_error(tmp_path):
    rng = np.random.default_rng(1)
    for number, start in enumerate((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\x00", b"P6\n")):
        path = tmp_path / str(number)
        path.write_bytes(start + rng.bytes(3000))
        with pytest.raises(MediaError) as error:
            read_image(str(path))
        assert error.value.kind in ("decode", "unsupported")


def test_giant_image_is_refused_from_its_header(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)  # 1.2 GB in RGB
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 4) + b"IDAT" + bytes(8))
    with pytest.raises(MediaError) as error:
        read_image(str(tmp_path / "a.png"))
    assert error.value.kind == "unsupported"


def test_large_photo_is_no_bomb(tmp_path, monkeypatch):
    # Pillow warns above this size and refuses above twice of it; warnings are errors in this run.
    path = save(tmp_path, Image.new("L", (50, 40), 128))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1500)
    assert read_image(path).shape == (40, 50, 3)


def test_heic_says_what_to_do(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100))
    with pytest.raises(MediaError, match="HEIC") as error:
        probe(str(tmp_path / "a.heic"))
    assert "JPEG" in error.value.hint
