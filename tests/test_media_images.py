"""Still images of every mode become upright 8-bit RGB; broken and giant ones are clean errors."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from media_clips import draw, read_number, write_video
from PIL import Image

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import attempt
from mvit_cli.media.images import BYTES_A_PIXEL, FILE_COPIES, probe, read_image
from mvit_cli.media.request import DecodeRequest
from mvit_cli.media.video.index import index_video
from mvit_cli.protocol import Sampling, Transform

RED = (200, 30, 30)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


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


IMAGES = {
    "a.jpg": {},
    "turned.jpg": {"exif": True},
    "all.jpg": {"progressive": True, "subsampling": 0},
    "a.png": {"compress_level": 1, "mode": "RGBA"},
    "a.tif": {"exif": True, "mode": "I"},
    "a.webp": {"quality": 10, "method": 0, "mode": "RGBA", "exif": True},
    "a.avif": {"speed": 10, "quality": 30, "exif": True},
    "a.jp2": {"mode": "RGBA"},
    "a.bmp": {},
}
IN_LITTLE_MEMORY = """
import resource, sys
import av
from PIL import Image
from mvit_cli.media import images
from mvit_cli.media.decode import failure_of

Image.init()
for path in (*sys.argv[2:3], *sys.argv[2:]):  # the first one loads what is loaded late
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    if path != sys.argv[2]:
        resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]), resource.RLIM_INFINITY))
    try:
        print(images.read_image(path).shape)
    except Exception as error:
        print(failure_of(error, path).kind)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory on this system")
def test_no_image_needs_more_memory_than_its_bound_says(tmp_path):
    width, height = 3000, 2000
    ramp = np.arange(width * height * 3, dtype=np.uint32).astype(np.uint8).reshape(height, width, 3)
    turned = Image.Exif()
    turned[0x0112] = 6
    paths = [save(tmp_path, Image.new("RGB", (8, 8)), "first.png")]
    for name, options in IMAGES.items():
        exif = {"exif": turned} if options.pop("exif", False) else {}
        mode = options.pop("mode", "RGB")
        paths.append(save(tmp_path, Image.fromarray(ramp).convert(mode), name, **exif, **options))
    without_end = tmp_path / "b.jpg"
    without_end.write_bytes((tmp_path / "all.jpg").read_bytes()[:-2])
    paths.append(str(without_end))
    pixels_bytes = width * height * BYTES_A_PIXEL

    def said(limit_bytes: int) -> list[str]:
        command = [sys.executable, "-c", IN_LITTLE_MEMORY, str(limit_bytes), *paths]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **ONE_THREAD})
        return done.stdout.splitlines()[2:]

    room = FILE_COPIES * max(os.path.getsize(path) for path in paths[1:] if "tif" not in path and "bmp" not in path)
    shapes = said(pixels_bytes + min(room, pixels_bytes))
    assert [shape in ("(2000, 3000, 3)", "(3000, 2000, 3)") for shape in shapes] == [True] * len(paths[1:]), shapes
    assert "memory" in said(pixels_bytes // 4)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.jpg", "a.avif"])
def test_memory_is_asked_for_before_a_pixel_is_decoded(tmp_path, name, monkeypatch):
    path = save(tmp_path, Image.new("RGB", (100, 80), RED), name)
    monkeypatch.setattr("mvit_cli.media.images.MEMORY_BYTES", 100 * 80 * BYTES_A_PIXEL - 1)
    monkeypatch.setattr("mvit_cli.media.images._to_rgb", None)
    with pytest.raises(MediaError, match="GB of memory") as error:
        read_image(path)
    assert (error.value.kind, error.value.hint) == ("unsupported", "scale the image down")


def test_a_file_that_is_read_whole_counts_itself(tmp_path, monkeypatch):
    path = Path(save(tmp_path, Image.new("RGB", (8, 8), RED), "a.webp"))
    with path.open("ab") as behind:
        behind.truncate(2 << 30)  # takes no room on the disk
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(MediaError, match="GB of memory"):
        read_image(str(path))


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


@pytest.mark.parametrize("options", [{"format": "TIFF", "big_tiff": True}, {"format": "TGA"}, {"format": "QOI"}])
def test_rarer_formats_that_pillow_reads(tmp_path, options):
    try:
        path = save(tmp_path, Image.fromarray(draw(5)), "a.bin", **options)
    except KeyError:
        pytest.skip("this Pillow does not write it")
    assert probe(path) == "image"
    assert read_number(read_image(path)) == 5


def test_letters_before_a_jpeg_and_a_missing_end(tmp_path):
    path = Path(save(tmp_path, Image.fromarray(draw(5)), "a.jpg", quality=95))
    whole = path.read_bytes()
    for before in (b"\xef\xbb\xbf", b"\r\n"):
        path.write_bytes(before + whole)
        assert probe(str(path)) == "image"
        assert read_number(read_image(str(path))) == 5
    path.write_bytes(whole[:-2])
    notes: list[str] = []
    assert np.array_equal(read_image(str(path), notes), np.asarray(Image.open(io.BytesIO(whole))))
    assert notes == ["the JPEG file lacks its end marker; its picture is whole"]
    for missing in (40, 200, len(whole) // 2):
        path.write_bytes(whole[:-missing])
        with pytest.raises(MediaError, match="truncated"):
            read_image(str(path))


@pytest.mark.parametrize(("dtype", "scale"), [(np.int32, 1), (np.uint16, 16), (np.uint16, 257), (np.int32, 1 << 20)])
def test_grey_values_of_more_bits_are_scaled(tmp_path, dtype, scale):
    grey = (draw(5)[..., 0].astype(np.int64) * scale).astype(dtype)
    assert read_number(read_image(save(tmp_path, Image.fromarray(grey), "a.tif"))) == 5


@pytest.mark.parametrize("start", [b"<!DOCTYPE html><html>", bytes(20)])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.mp4"])
def test_what_is_neither_is_said_so_whatever_its_name(tmp_path, start, name):
    (tmp_path / name).write_bytes(start * 30)
    with pytest.raises(MediaError, match="neither a video nor an image") as error:
        index_video(str(tmp_path / name))
    assert error.value.kind == "decode"


@pytest.mark.parametrize("name", ["a.jpg", "b.png", "c.bin"])
def test_message_names_no_object_of_python(tmp_path, name):
    for start in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\x00", b"BM"):
        (tmp_path / name).write_bytes(start + bytes(100))
        with pytest.raises(MediaError) as error:
            read_image(str(tmp_path / name))
        assert "<" not in error.value.message
        assert str(tmp_path) not in error.value.message


LONG_LIST = "".join(f"clips/{number}.mp4\n" for number in range(3000)).encode()
TEXTS = {
    "long": LONG_LIST,
    "one line": b"clips/1.mp4\n",
    "one letter": b"a",
    "no line break": b"/data/clips/1.mp4",
    "utf-8": "ビデオ/Übung 1.mp4\n".encode() * 40,
    "utf-8 with a mark": b"\xef\xbb\xbf" + LONG_LIST[:500],
    "utf-16": "clips/Ü.mp4\r\n".encode("utf-16") * 30,
    "latin-1": "Größe/Übung.avi\r\n".encode("latin-1") * 60,
    "with control characters": b"clips/\x01\x02.mp4\n\x1b[1mbold\x1b[0m\n" * 50,
    "with a NUL": b"clips/1.mp4\0clips/2.mp4\0" * 50,
    "binary further on": LONG_LIST[:6000] + bytes(range(256)) * 4,
    "like an image": b"BMX/clip 1.mp4\nBMX/clip 2.mp4\n",
    "subtitles": b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n",
    "blank": b" \n\n\t\n",
}


def read_as_one(path: Path) -> MediaError:
    outcome = attempt(DecodeRequest(str(path), Sampling("image", 1), Transform((0.5,) * 3, (0.5,) * 3, 32, 32)))
    assert isinstance(outcome, MediaError)
    return outcome


@pytest.mark.parametrize("text", TEXTS)
def test_a_list_named_without_its_letter_says_how(tmp_path, text):
    (tmp_path / "clips.txt").write_bytes(TEXTS[text])
    outcome = read_as_one(tmp_path / "clips.txt")
    assert outcome.kind in ("unsupported", "decode")
    assert "@list.txt" in outcome.hint


@pytest.mark.parametrize("name", ["a.txt", "a.log", "a.nfo", "a.ans", "a.bin", "a.xb", "a.adf", "a.idf", "a", "a.mp4"])
def test_text_is_no_video_whatever_its_name(tmp_path, name):
    (tmp_path / name).write_bytes(LONG_LIST)
    outcome = read_as_one(tmp_path / name)
    assert outcome.message.startswith(("text, not a video", "neither a video nor an image"))


@pytest.mark.parametrize(("name", "options"), [("a.apng", {"duration": 200}), ("b.png", {"duration": 200})])
def test_animations_are_videos_and_their_times_count(tmp_path, name, options):
    frames = [Image.fromarray(draw(number)) for number in range(10)]
    path = save(tmp_path, frames[0], name, save_all=True, append_images=frames[1:], **options)
    assert probe(path) == "video"
    index = index_video(path)
    assert (index.num_frames, round(index.duration_s, 2)) == (10, 2.0)
    assert probe(save(tmp_path, frames[0], "still.apng", format="PNG")) == "image"


def test_jpeg_after_jpeg_is_a_video_but_no_photo_with_an_appendage(tmp_path):
    frames = [Path(save(tmp_path, Image.fromarray(draw(number)), f"{number}.jpg")).read_bytes() for number in range(9)]
    (tmp_path / "a.mjpeg").write_bytes(b"".join(frames))
    assert probe(str(tmp_path / "a.mjpeg")) == "video"
    assert index_video(str(tmp_path / "a.mjpeg")).num_frames == 9
    small = Path(save(tmp_path, Image.fromarray(draw(1)).resize((40, 30)), "s.jpg")).read_bytes()
    for number, behind in enumerate((b"", small, bytes(100), b"\0\0\0\x18ftypmp42" + bytes(500))):
        (tmp_path / f"photo{number}.jpg").write_bytes(frames[0] + behind)
        assert probe(str(tmp_path / f"photo{number}.jpg")) == "image"


def test_a_still_that_is_not_wanted_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("mvit_cli.media.decode.read_image", None)
    path = save(tmp_path, Image.fromarray(draw(5)))
    transform = Transform((0.5,) * 3, (0.5,) * 3, 32, 32)
    outcome = attempt(DecodeRequest(path, Sampling("native", 4), transform, stills=False))
    assert outcome.message == "a still image, where a video is needed"
