"""Resizing, cropping and normalising equal torch's and Pillow's, as each checkpoint's source uses them."""

import math
import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from mvit_cli.media import transforms
from mvit_cli.media.transforms import crop_boxes, crops_of, resized_size
from mvit_cli.protocol import Transform

GREY, GREY_STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)
TORCHVISION = Transform(GREY, GREY_STD, 256, 224)
PYSLOWFAST = Transform(GREY, GREY_STD, 256, 224, resize_dtype="float")
LARGE = Transform(GREY, GREY_STD, 312, 312, resize_dtype="float")
TIMM = Transform((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 248, 224, "bicubic", antialias=True)

SIZES = [(256, 340), (320, 240), (131, 175), (16, 16), (361, 641), (720, 1280), (64, 640)]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def torch_resize(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    planes = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    return F.interpolate(planes, size=size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("num_crops", [1, 3])
def test_bilinear_on_uint8_is_torchvisions(size, num_crops):
    frame = noise(*size)
    whole = np.rint(torch_resize(frame, resized_size(*size, TORCHVISION)))
    boxes = crop_boxes(*whole.shape[:2], TORCHVISION, num_crops)
    for picture, box in zip(crops_of(frame, TORCHVISION, num_crops), boxes, strict=True):
        assert picture.dtype == np.uint8
        off = np.abs(picture - whole[box.top : box.top + 224, box.left : box.left + 224])
        # Another order of float32 operations moves a value that lies on the edge between two levels.
        assert off.max() <= 1
        assert (off > 0).mean() < 1e-4


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("transform", [PYSLOWFAST, LARGE])
def test_bilinear_on_floats_is_pyslowfasts(size, transform):
    frame = noise(*size)
    whole = torch_resize(frame, resized_size(*size, transform))
    boxes = crop_boxes(*whole.shape[:2], transform, 3)
    for picture, box in zip(crops_of(frame, transform, 3), boxes, strict=True):
        assert picture.dtype == np.float32
        inside = whole[box.top : box.top + box.side, box.left : box.left + box.side]
        # float32 source places up to 1280 carry 1e-4 of a pixel; times a step of up to 255 levels.
        assert np.abs(picture - inside).max() < 0.03


@pytest.mark.parametrize("size", [(375, 500), (500, 333), (100, 80), (248, 300)])
def test_bicubic_is_pillows(size):
    frame = noise(*size)
    height, width = resized_size(*size, TIMM)
    whole = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
    top, left = round((height - 224) / 2), round((width - 224) / 2)
    (picture,) = crops_of(frame, TIMM, 1)
    assert np.array_equal(picture, whole[top : top + 224, left : left + 224])


@pytest.mark.parametrize("size", [(256, 341), (341, 256), (256, 340), (375, 500), (1080, 1920), (333, 500)])
def test_sizes_follow_each_source(size):
    short, long = min(size), max(size)
    torchvision = int(256 * long / short)
    pyslowfast = math.floor((float(long) / short) * 256)
    for transform, expected in ((TORCHVISION, torchvision), (PYSLOWFAST, pyslowfast)):
        height, width = resized_size(*size, transform)
        assert (min(height, width), max(height, width)) == (256, expected)
        assert (height > width) == (size[0] > size[1])


def test_centre_of_an_odd_remainder():
    # 341 - 224 = 117: half of it is 58.5, to the even place in torchvision, up in PySlowFast.
    assert [box.left for box in crop_boxes(256, 341, TORCHVISION, 1)] == [58]
    assert [box.left for box in crop_boxes(256, 341, PYSLOWFAST, 1)] == [59]
    assert [box.top for box in crop_boxes(343, 256, TORCHVISION, 1)] == [60]
    assert [box.top for box in crop_boxes(343, 256, PYSLOWFAST, 1)] == [60]


def test_three_crops_lie_along_the_long_side():
    assert crop_boxes(256, 341, PYSLOWFAST, 3) == [(16, 0, 224), (16, 59, 224), (16, 117, 224)]
    assert crop_boxes(341, 256, PYSLOWFAST, 3) == [(0, 16, 224), (59, 16, 224), (117, 16, 224)]
    assert crop_boxes(224, 224, PYSLOWFAST, 3) == [(0, 0, 224)] * 3


@pytest.mark.parametrize(
    ("width", "height", "resized", "left"),
    [
        (426, 240, 398, 87),
        (854, 480, 399, 87),
        (1280, 720, 398, 87),
        (340, 256, 298, 37),
        (320, 240, 299, 37),
    ],
)
def test_mmaction2_rounds_sizes_and_cuts_off_places(width, height, resized, left):
    """MMCV's `rescale_size`, MMAction2's `CenterCrop` and `ThreeCrop`, computed by hand for common sizes."""
    rule = Transform(GREY, GREY_STD, 224, 224, rule="mmaction2")
    assert resized_size(height, width, rule) == (224, resized)
    assert resized_size(width, height, rule) == (resized, 224)
    assert crop_boxes(224, resized, rule, 1) == [(0, left, 224)]
    assert crop_boxes(224, resized, rule, 3) == [(0, 0, 224), (0, left, 224), (0, 2 * left, 224)]
    assert crop_boxes(resized, 224, rule, 3) == [(0, 0, 224), (left, 0, 224), (2 * left, 0, 224)]
    assert crop_boxes(256, resized, rule, 1) == [(16, left, 224)]


def test_three_crops_of_a_square_lie_beside_each_other():
    # PySlowFast `uniform_crop` moves along the height only where the frame is higher than wide.
    for rule in (PYSLOWFAST, Transform(GREY, GREY_STD, 256, 224, rule="mmaction2")):
        assert crop_boxes(256, 256, rule, 3) == [(16, 0, 224), (16, 16, 224), (16, 32, 224)]


def test_three_crops_show_left_centre_right():
    frame = np.zeros((256, 448, 3), np.uint8)
    frame[:, :, 0] = (np.arange(448) // 2).astype(np.uint8)
    left, centre, right = crops_of(frame, TORCHVISION, 3)
    assert left[0, 0, 0] == 0
    assert centre[0, 0, 0] == 112 // 2
    assert right[0, -1, 0] == 447 // 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"resize": 200, "crop": 224},
        {"resize": 256, "crop": 0},
        {"resize": 256, "crop": 224, "rule": "mmaction"},
        {"resize": 256, "crop": 224, "interpolation": "bicubic"},
        {"resize": 256, "crop": 224, "antialias": True, "resize_dtype": "float"},
    ],
)
def test_transform_that_nobody_uses_is_refused(wrong):
    with pytest.raises(ValueError, match=r"does not fit|no known checkpoint|is none of"):
        Transform(GREY, GREY_STD, **wrong)


@pytest.mark.parametrize("transform", [TORCHVISION, PYSLOWFAST])
@pytest.mark.parametrize("size", [(1, 65000), (65000, 1)])
def test_a_picture_of_one_row_takes_little_memory(transform, size):
    frame = noise(*size)
    tracemalloc.start()
    pictures = crops_of(frame, transform, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [picture.shape for picture in pictures] == [(224, 224, 3)] * 3
    assert peak < 50 << 20


@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(1, 700), (900, 3), (5, 1400), (375, 500), (720, 1280)])
def test_crops_of_a_strip_are_those_of_the_whole_picture(monkeypatch, kernel, size):
    transform = Transform(GREY, GREY_STD, 256, 224, kernel, antialias=True)
    frame = noise(*size)
    whole = crops_of(frame, transform, 3)
    monkeypatch.setattr(transforms, "WHOLE_PIXELS", 0)
    for ours, theirs in zip(crops_of(frame, transform, 3), whole, strict=True):
        off = np.abs(ours.astype(int) - theirs)
        # Pillow's places are float32: one level at some pixels, where a picture is made smaller.
        assert off.max() <= (0 if min(size) < 256 else 1)
        assert (off > 0).mean() < 0.01


@pytest.mark.parametrize("size", [(1, 65000), (65000, 1), (60, 60000)])
def test_a_low_passed_strip_takes_little_memory(monkeypatch, size):
    resized = []
    resize = Image.Image.resize

    def noted(image, size, *rest, **more):
        resized.append(size)
        return resize(image, size, *rest, **more)

    monkeypatch.setattr(Image.Image, "resize", noted)
    pictures = crops_of(noise(*size), TIMM, 3)
    assert [picture.shape for picture in pictures] == [(224, 224, 3)] * 3
    assert resized == [(224, 224)] * 3
