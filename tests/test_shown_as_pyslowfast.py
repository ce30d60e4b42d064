"""What a file with a cfg of PySlowFast is shown, to the pixel, and its scores, beside loops in that code's words."""

import math
from pathlib import Path
from typing import Any

import av
import golden
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

import mvit_cli

CLIP = Path(__file__).parent / "data" / "pan_left.mp4"
FRAMES, SIDE, VIEWS = 8, 64, 4
MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
PIXELS = 1e-5  # float32 after two ways to interpolate; a level of 8 bits is 1e-2 here
SCORES = 1e-5


def file_of(folder: Path, dataset: str, rate: int, **data: Any) -> Path:
    said = {"MEAN": MEAN, "STD": STD, "NUM_FRAMES": FRAMES, "SAMPLING_RATE": rate, "TARGET_FPS": 24}
    said |= {"TEST_CROP_SIZE": SIDE, "REVERSE_INPUT_CHANNEL": True}
    cfg = yaml.safe_load(golden.cfg_yaml("small_pysf_v2") or "")
    sections: dict[str, dict[str, Any]] = {"DATA": said | data, "MODEL": {"HEAD_ACT": "sigmoid"}}
    sections["TEST"] = {"DATASET": dataset, "NUM_ENSEMBLE_VIEWS": VIEWS, "NUM_SPATIAL_CROPS": 3}
    cfg |= {name: cfg.get(name, {}) | section for name, section in sections.items()}
    path = folder / "own.pyth"
    torch.save({"model_state": golden.state_dict("small_pysf_v2"), "cfg": yaml.safe_dump(cfg)}, path)
    return path


def frames_of_clip() -> tuple[Any, float]:
    with av.open(str(CLIP)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        return frames, float(container.streams.video[0].average_rate or 0)


def shown(frames: Any, indices: list[int], crop: int, *, blue_first: bool) -> Tensor:
    """Read, normalised, short side resized, cut; turned round at the end: `(3, T, H, W)`."""
    clip = torch.tensor(frames[indices].astype("float32") / 255)
    clip = ((clip.flip(-1) if blue_first else clip) - torch.tensor(MEAN)) / torch.tensor(STD)
    height, width = clip.shape[1:3]
    assert width > height
    wide = math.floor(width / height * SIDE)
    clip = F.interpolate(clip.permute(0, 3, 1, 2), size=(SIDE, wide), mode="bilinear", align_corners=False)
    left = (0, math.ceil((wide - SIDE) / 2), wide - SIDE)[crop]
    return clip[..., left : left + SIDE].permute(1, 0, 2, 3)[[2, 1, 0]]


def sampled(dataset: str, rate: int, offsets: bool, count: int, fps: float) -> list[list[int]]:
    """`decoder.py`, `charades.py` and `ssv2.py` in testing."""
    if dataset == "ssv2":
        size = (count - 1) / FRAMES
        edges = [int(np.round(size * place)) for place in range(FRAMES + 1)]
        return [[(edges[place] + edges[place + 1]) // 2 for place in range(FRAMES)]]
    clips = []
    for view in range(VIEWS):
        if dataset == "charades":
            gap = float(max(count - (FRAMES - 1) * rate - 1, 0)) / (VIEWS - 1)
            start = round(gap * view)
            clips.append([max(min(start + place * rate, count - 1), 0) for place in range(FRAMES)])
            continue
        span = max(1.0, rate * FRAMES / 24 * fps)
        room = max(count - span, 0)
        first = view * math.floor(room / (VIEWS - 1)) if offsets else room * view / VIEWS
        clips.append(torch.clamp(torch.linspace(first, first + span - 1, FRAMES), 0, count - 1).long().tolist())
    return clips


@pytest.mark.parametrize(
    ("dataset", "rate", "offsets", "method"),
    [
        ("kinetics", 3, True, "sum"),
        ("kinetics", 3, False, "sum"),
        ("charades", 3, True, "max"),
        ("charades", 30, True, "max"),  # longer than the video
        ("ssv2", 3, True, "sum"),
    ],
)
def test_pixels_and_scores_are_those_of_pyslowfast(
    dataset: str, rate: int, offsets: bool, method: str, tmp_path: Path
) -> None:
    path = file_of(tmp_path, dataset, rate, USE_OFFSET_SAMPLING=offsets, ENSEMBLE_METHOD=method)
    frames, fps = frames_of_clip()
    blue_first = dataset != "kinetics"
    clips = sampled(dataset, rate, offsets, len(frames), fps)
    expected = torch.stack([shown(frames, clip, crop, blue_first=blue_first) for clip in clips for crop in range(3)])
    with mvit_cli.Recogniser(weights=path, top=10) as recogniser:
        pixels = recogniser.preprocess(CLIP)
        (row,) = recogniser.predict([CLIP])
    torch.testing.assert_close(pixels, expected, rtol=0, atol=PIXELS)
    with torch.inference_mode():
        each = torch.sigmoid(mvit_cli.load_model(None, path)(expected))
    scores = each.amax(dim=0) if method == "max" else each.mean(dim=0)
    assert row["status"] == "ok"
    assert not any("assumed" in warning for warning in row["warnings"])
    for one in row["predictions"]:
        assert one["score"] == pytest.approx(scores[one["index"]].item(), abs=SCORES)
