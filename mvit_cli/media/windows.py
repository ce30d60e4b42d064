"""A video cut into windows, each looked at like a video of its own, in one pass from the first frame to the last.

Windows share what is decoded and resized; of the pictures only those stay that a window still needs.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import Allocate, attempt, damage, decode, failure_of
from mvit_cli.media.images import probe
from mvit_cli.media.opening import opened_file
from mvit_cli.media.planned import Plan, Planned
from mvit_cli.media.request import (
    AT_WORK,
    AtWork,
    Decoded,
    DecodeRequest,
    LostWindowError,
    Outcome,
    Pictures,
    Window,
    window_of,
)
from mvit_cli.media.strips import MAX_STRIPS, pictures_of
from mvit_cli.media.transforms import crops_of, pixel_dtype
from mvit_cli.media.video.av_reader import State
from mvit_cli.media.video.index import VideoIndex, index_video
from mvit_cli.media.video.readers import FrameReader, readers_for
from mvit_cli.media.video.sampling import short_video_warning
from mvit_cli.media.whole import Gathering

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What a video in windows may take for each of its frames, in seconds: as many as it has, and not as many as it claims.
FRAME_S = 0.1


def outcomes_of(request: DecodeRequest, allocate: Allocate | None = None) -> Iterator[Outcome | AtWork]:
    """Yields what one file showed: one outcome, or one for each of its windows; whatever fails is an outcome too.

    A window without frames costs one outcome, and so do several in a row; the pass goes on behind them. What ends the
    pass costs one for all that is left of the file.

    Args:
        request: the file and the protocol.
        allocate: makes the array that the pixels of an outcome go into, from shape and dtype; memory of its own by
            default.

    Yields:
        An outcome; AT_WORK where reading goes on, but no window is complete yet.
    """
    if request.windows is None:
        yield attempt(request, allocate)
        return
    try:
        with opened_file(request) as file:
            if probe(file) == "image":
                yield replace(decode(request, allocate, file), window=Window(0, 0.0, 0.0, 0.0, is_last=True))
                return
            index = index_video(file)
            yield from _joined(_in_one_pass(request, index, allocate))
            if file.content:
                file.content.failure = None  # a row has told it
    except Exception as error:
        yield failure_of(error, request.path)


def _joined(outcomes: Iterable[Outcome | AtWork]) -> Iterator[Outcome | AtWork]:
    """Windows lost one after the other become one loss, with the reason of the first."""
    lost: LostWindowError | None = None
    for outcome in outcomes:
        if isinstance(outcome, LostWindowError):
            start_s = lost.window.start_s if lost else outcome.window.start_s
            lost = LostWindowError(lost or outcome, replace(outcome.window, start_s=start_s))
            continue
        if lost and outcome is not AT_WORK:
            yield lost
            lost = None
        yield outcome
    if lost:
        yield lost


def _reader(index: VideoIndex) -> type[FrameReader]:
    """The reader that goes through a file in one pass; decord is none."""
    return readers_for(index, "av")[0]


class _Seen(NamedTuple):
    """What is kept of a frame: its crops, how it came out of the file, and the whole of it, small, where wanted."""

    crops: "list[NDArray[Any]]"
    state: State
    whole: "NDArray[Any] | None"


class _Watch:
    """The time that decoding takes, without what it waits for room: `array` is `allocate`."""

    def __init__(self, allocate: Allocate | None) -> None:
        import numpy as np

        self._allocate: Allocate = allocate or np.empty
        self._began, self._told_s = time.perf_counter(), 0.0

    def array(self, shape: tuple[int, ...], dtype: Any) -> "NDArray[Any]":
        started = time.perf_counter()
        array = self._allocate(shape, dtype)
        self._began += time.perf_counter() - started
        return array

    def spent_s(self) -> float:
        return time.perf_counter() - self._began

    def since_told_s(self) -> float:
        """Seconds since it was last asked."""
        told_s, self._told_s = self._told_s, self.spent_s()
        return self._told_s - told_s


def _in_one_pass(request: DecodeRequest, index: VideoIndex, allocate: Allocate | None) -> Iterator[Outcome | AtWork]:
    """Yields the windows one by one; the last outcome is a loss where the pass ends before them."""
    assert request.windows is not None
    number = request.first_window
    if number * request.windows.hop_s >= index.duration_s:
        yield MediaError("decode", "the video ends before the window it was to go on with", "begin its rows anew")
        return
    try:
        reader = _reader(index)(index)
        try:
            plan = Plan(request, index, seeks=reader.seeks)
            for outcome in _shown(request, index, reader, plan, _Watch(allocate)):
                yield outcome
                window = None if outcome is AT_WORK else window_of(outcome)
                number = window.number + 1 if window else number
            if index.file.content and index.file.content.failure:
                raise index.file.content.failure
            if lost := plan.left_out():
                yield lost
        finally:
            reader.close()
    except Exception as error:
        yield request.windows.lost_from(number, index.duration_s, failure_of(error, request.path))


def _shown(
    request: DecodeRequest, index: VideoIndex, reader: FrameReader, plan: Plan, watch: _Watch
) -> Iterator[Outcome | AtWork]:
    pictures: dict[int, _Seen] = {}  # by frame of the file
    most = request.num_clips * request.sampling.frames
    gathering = Gathering(request, most, index.stretched) if request.whole else None
    limit_s = request.limit_s + index.num_frames * FRAME_S
    for fetched in reader.frames(plan):
        if watch.spent_s() > limit_s:
            text = f"decoding its {index.num_frames:,} frames in windows took longer than {limit_s:.4g} s"
            raise MediaError("timeout", text, "give it more time with --timeout")
        if not plan.ahead or fetched.place < plan.ahead[0].first:
            yield AT_WORK
            continue
        crops = crops_of(fetched.pixels, request.transform, request.num_crops)
        whole = gathering.small(fetched.pixels) if gathering else None
        pictures[fetched.place] = _Seen(crops, fetched.state, whole)
        while plan.ahead and fetched.place >= plan.ahead[0].last:
            yield _assembled(plan.show(), pictures, request, index, watch, gathering)
        for place in [place for place in pictures if not plan.ahead or place < plan.ahead[0].first]:
            del pictures[place]


def _assembled(
    planned: Planned,
    pictures: "dict[int, _Seen]",
    request: DecodeRequest,
    index: VideoIndex,
    watch: _Watch,
    gathering: Gathering | None,
) -> Outcome:
    """Puts the views of one window together."""
    window = planned.window
    try:
        damaged = damage([pictures[frame].state for clip in planned.clips for frame in clip.indices])
    except MediaError as error:
        return LostWindowError(error, window)
    pixels = watch.array(request.pixels_shape, pixel_dtype(request.transform))
    for number, clip in enumerate(planned.clips):
        for place, frame in enumerate(clip.indices):
            for crop, picture in enumerate(pictures[frame].crops):
                pixels[number * request.num_crops + crop, place] = picture
    short = short_video_warning(window.end_s - window.start_s, index.fps, request.sampling, "window")
    return Decoded(
        pixels,
        tuple(planned.clips),
        index.duration_s,
        reader=_reader(index).name,
        warnings=tuple(note for note in (*index.warnings, planned.note, short, *damaged) if note),
        decode_ms=watch.since_told_s() * 1000,
        pictures=_pictures(pixels, planned, request),
        window=window,
        whole=(gathering.together(_whole(planned, pictures), index.times_s),) if gathering else (),
    )


def _whole(planned: Planned, pictures: "dict[int, _Seen]") -> "dict[int, NDArray[Any]]":
    """The whole frames of a window, by frame of the file."""
    frames = {frame: pictures[frame].whole for clip in planned.clips for frame in clip.indices}
    return {frame: whole for frame, whole in frames.items() if whole is not None}


def _pictures(pixels: "NDArray[Any]", planned: Planned, request: DecodeRequest) -> Pictures | None:
    """What people see of a window: strips of the first ones only, as of the clips of a file that is taken whole."""
    if request.pictures == "none":
        return None
    few = replace(request, pictures="poster") if planned.window.number >= MAX_STRIPS else request
    return pictures_of(pixels, planned.clips, few)
