"""Which frames make the clips of a video: each protocol's arithmetic, laid on the time line of the file.

Every protocol below was written for videos of a constant frame rate. It is computed on a grid of such frames, and each
grid place then takes the frame that is on screen in its middle. Where the rate is constant this is the protocol to the
frame; where it varies, times decide: a clip of two seconds covers two seconds.

    size = frames of the grid, fps = grid places a second, positions = (num_clips, frames) places, fractions allowed
"""

import math
from typing import TYPE_CHECKING

from mvit_cli.media.request import Clip
from mvit_cli.protocol import Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def sample(
    times_s: "NDArray[np.float64]",
    duration_s: float,
    fps: float,
    sampling: Sampling,
    num_clips: int,
    from_s: float = 0.0,
) -> list[Clip]:
    """The clips of a video, or of a part of it, in the order of time.

    Args:
        times_s: `(frames,)`, ascending, the first 0: when each frame appears.
        duration_s: when the last frame, or the part, ends.
        fps: frames a second, of a file of varying rate the most usual one.
        sampling: the protocol.
        num_clips: clips spread evenly over the video or part; a single one stands in its middle.
        from_s: where the part begins; clips see nothing of the video before it.
    """
    import numpy as np

    size = max(1, round((duration_s - from_s) * fps))
    positions = _positions(size, fps, sampling, num_clips)
    places = _within(np.floor(positions), size, sampling)
    indices = np.searchsorted(times_s, from_s + (places + 0.5) / fps, side="right") - 1
    span_s = clip_span_s(sampling, fps)
    clips = []
    for row, start in zip(indices.tolist(), places[:, 0].tolist(), strict=True):
        if span_s is None:
            clips.append(Clip(tuple(row), from_s, duration_s))
            continue
        start_s = max(from_s, min(from_s + start / fps, float(times_s[-1])))
        clips.append(Clip(tuple(row), start_s, min(start_s + span_s, duration_s)))
    return clips


def clip_span_s(sampling: Sampling, fps: float) -> float | None:
    """The seconds one clip covers in a file of `fps` frames a second; None where it is the whole video."""
    if sampling.method in ("segments", "uniform"):
        return None
    if sampling.method == "image":
        return 1 / fps
    if sampling.method == "native":
        return _native_span(sampling) / fps
    assert sampling.fps is not None
    steps = sampling.frames if sampling.method == "resampled" else sampling.frames * sampling.stride
    return steps / sampling.fps


def short_video_warning(duration_s: float, fps: float, sampling: Sampling, what: str = "video") -> str | None:
    """A sentence where a clip needs more seconds than the video, or what else it is taken from, has."""
    span_s = clip_span_s(sampling, fps)
    # Half a frame of tolerance: the stated length of a file is rounded to its time base.
    if span_s is None or sampling.frames == 1 or span_s <= duration_s + 0.5 / fps:
        return None
    done = "it was played again from its start" if sampling.beyond == "loop" else "its last frame was held"
    return f"the {what} is {duration_s:.2f} s long and a clip needs {span_s:.2f} s: {done}"


def _positions(size: int, fps: float, sampling: Sampling, num_clips: int) -> "NDArray[np.float64]":
    match sampling.method:
        case "clip" | "leading":
            return _clip(size, fps, sampling, num_clips)
        case "resampled":
            return _resampled(size, fps, sampling, num_clips)
        case "native":
            return _native(size, sampling, num_clips)
        case "segments" if num_clips == 1:
            return _segments(size, sampling)
        case "segments" | "uniform":
            return _uniform(size, sampling, num_clips)
        case "image":
            return _image(size, sampling, num_clips)


def _within(places: "NDArray[np.float64]", size: int, sampling: Sampling) -> "NDArray[np.float64]":
    """Places `(num_clips, frames)` of which none lies past the end of the video."""
    import numpy as np

    last: float | NDArray[np.float64] = size - 1
    if sampling.beyond == "loop":
        places = np.mod(places, size)
    elif sampling.beyond == "repeat":  # MMAction2, `out_of_bound_opt`
        last = np.where(places < size, places, 0).max(axis=1, keepdims=True)
    return np.clip(places, 0, last)


def _clip(size: int, fps: float, sampling: Sampling, num_clips: int) -> "NDArray[np.float64]":
    """A clip spans `frames * stride` frames of `sampling.fps`; its frames stand evenly from its first to its last.

    Source: PySlowFast in testing, with `USE_OFFSET_SAMPLING` and ("leading") without; its linspace is computed in
    float32. MMAction2, `SampleFrames` with `target_fps`, which says what is past the end and computes in float64; the
    order of operations is that of each, as it decides on which side of a whole number a place falls.
    """
    import numpy as np

    assert sampling.fps is not None
    frames = sampling.stride * sampling.frames
    span = max(1.0, frames * (fps / sampling.fps) if sampling.past_end else frames / sampling.fps * fps)
    room = max(size - span, 0)
    if sampling.method == "leading":
        starts = [room * number / num_clips for number in range(num_clips)]
    elif num_clips == 1:
        starts = [math.floor(room / 2)]
    else:
        starts = [number * math.floor(room / (num_clips - 1)) for number in range(num_clips)]
    if sampling.past_end:
        return np.asarray(starts)[:, None] + np.floor(np.linspace(0, span - 1, sampling.frames))
    return np.stack([_linspace32(start, start + span - 1, sampling.frames) for start in starts])


def _resampled(size: int, fps: float, sampling: Sampling, num_clips: int) -> "NDArray[np.float64]":
    """The video is resampled to `sampling.fps`; a clip is every `stride`-th of its frames, clips start anywhere in it.

    Source: torchvision `VideoClips` and `UniformClipSampler` with a step of one frame between clips. A single clip,
    which that sampler takes from the start, stands in the middle here.
    """
    import numpy as np

    assert sampling.fps is not None
    step = fps / sampling.fps
    total = math.ceil(size / step) if step.is_integer() else math.floor(size * sampling.fps / fps)
    last_start = max(total - ((sampling.frames - 1) * sampling.stride + 1), 0)
    starts = [last_start // 2] if num_clips == 1 else np.floor(_linspace32(0, last_start, num_clips)).tolist()
    ticks = np.asarray(starts)[:, None] + np.arange(sampling.frames) * sampling.stride
    ticks = np.minimum(ticks, max(total - 1, 0)).astype(np.float32)
    return (ticks * np.float32(step)).astype(np.float64)


def _native_span(sampling: Sampling) -> int:
    return (sampling.frames - 1) * sampling.stride + 1


def _native(size: int, sampling: Sampling, num_clips: int) -> "NDArray[np.float64]":
    """Every `stride`-th frame at the file's own rate.

    Source: MMAction2, `SampleFrames` in testing; PySlowFast, `charades.py` in testing, which has no rule for one clip.
    """
    import numpy as np

    room = max(size - _native_span(sampling), 0)
    starts = np.array([room // 2]) if num_clips == 1 else np.round(np.arange(num_clips) * (room / (num_clips - 1)))
    return (starts[:, None] + np.arange(sampling.frames) * sampling.stride).astype(np.float64)


def _segments(size: int, sampling: Sampling) -> "NDArray[np.float64]":
    """The whole video in `frames` equal segments, whose borders are rounded: the frame between those of each.

    Source: PySlowFast, `ssv2.py` in testing, which gives all clips of a video the same frames.
    """
    import numpy as np

    edges = np.round(np.arange(sampling.frames + 1) * ((size - 1) / sampling.frames))
    return np.floor((edges[:-1] + edges[1:]) / 2)[None]


def _uniform(size: int, sampling: Sampling, num_clips: int) -> "NDArray[np.float64]":
    """The whole video in `frames` equal segments, which the clips divide evenly.

    Source: MMAction2 since 1.0.0rc3, `UniformSample` in testing. One clip of it is not quite `_segments`: it goes half
    of a segment's true length on from the rounded border, which may be the frame before the middle.
    """
    import numpy as np

    segment = (size - 1) / sampling.frames
    borders, step = np.round(np.arange(sampling.frames) * segment), segment / (num_clips + 1)
    return np.stack([borders + np.floor(step * (number + 1)) for number in range(num_clips)])


def _image(size: int, sampling: Sampling, num_clips: int) -> "NDArray[np.float64]":
    """One frame a clip, repeated where a clip has more: the middles of `num_clips` equal parts."""
    import numpy as np

    middles = np.floor(size * (2 * np.arange(num_clips) + 1) / (2 * num_clips))
    return np.repeat(middles[:, None], sampling.frames, axis=1)


def _linspace32(start: float, end: float, steps: int) -> "NDArray[np.float64]":
    """`torch.linspace` in float32, whose rounding decides on which side of a whole number a place falls.

    The first half counts up from the start, the second half down from the end.
    """
    import numpy as np

    if steps == 1:
        return np.array([start], dtype=np.float64)
    first, last = np.float32(start), np.float32(end)
    step = np.float32((last - first) / np.float32(steps - 1))
    numbers = np.arange(steps, dtype=np.float32)
    up, down = first + step * numbers, last - step * numbers[::-1]
    return np.where(np.arange(steps) < steps // 2, up, down).astype(np.float64)
