"""A video cut into windows, each looked at like a video of its own, in one pass from the first frame to the last.

Windows share what is decoded and resized; of the pictures only those stay that a window still needs.
"""

import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import Allocate, attempt, damage, decode, failure_of
from mvit_cli.media.guards import check_file
from mvit_cli.media.images import probe
from mvit_cli.media.request import (
    AT_WORK,
    AtWork,
    Clip,
    Decoded,
    DecodeRequest,
    LostWindowError,
    Outcome,
    Pictures,
    Window,
)
from mvit_cli.media.strips import MAX_STRIPS, pictures_of
from mvit_cli.media.transforms import crops_of, pixel_dtype
from mvit_cli.media.video.av_reader import State
from mvit_cli.media.video.index import VideoIndex, index_video
from mvit_cli.media.video.readers import FrameReader, readers_for
from mvit_cli.media.video.sampling import sample, short_video_warning

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Windows that are planned, and frames where a file can only be read from its start, between two signs of life.
SIGN_OF_LIFE = 500


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
        file = check_file(request.path)
        if probe(file) == "image":
            yield replace(decode(request, allocate, file), window=Window(0, 0.0, 0.0, 0.0, is_last=True))
            return
        index = index_video(file)
    except Exception as error:
        yield failure_of(error, request.path)
        return
    yield from _joined(_in_one_pass(request, index, allocate))


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


@dataclass(frozen=True)
class _Planned:
    """A window with its clips, and the frames of the file that it begins with and needs at last."""

    window: Window
    clips: list[Clip]
    first: int
    last: int


def _plan(request: DecodeRequest, index: VideoIndex) -> Iterator[_Planned]:
    assert request.windows is not None
    number, is_last = request.first_window, False
    while not is_last:
        window = request.windows.at(number, index.duration_s)
        clips = sample(
            index.times_s, window.end_s, index.fps, request.sampling, request.num_clips, from_s=window.start_s
        )
        first = int(index.times_s.searchsorted(window.start_s, side="right")) - 1
        yield _Planned(window, clips, first, max(max(clip.indices) for clip in clips))
        number, is_last = number + 1, window.is_last


def _reader(index: VideoIndex) -> type[FrameReader]:
    """The reader that goes through a file in one pass; decord is none."""
    return readers_for(index, "av")[0]


def _wanted(request: DecodeRequest, index: VideoIndex, reader: FrameReader) -> Generator[AtWork, None, list[int]]:
    """The frames that the windows need, ascending; and some on the way where there is no seeking."""
    import numpy as np

    wanted = np.empty(0, np.int64)
    plan = _plan(request, index)
    while some := [clip.indices for planned in islice(plan, SIGN_OF_LIFE) for clip in planned.clips]:
        wanted = np.union1d(wanted, np.array(some))
        yield AT_WORK
    if not reader.seeks:
        wanted = np.union1d(wanted, np.arange(0, wanted[-1], SIGN_OF_LIFE))
    return [int(frame) for frame in wanted]


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
            for outcome in _shown(request, index, reader, allocate):
                yield outcome
                number += outcome is not AT_WORK
        finally:
            reader.close()
    except Exception as error:
        yield request.windows.lost_from(number, index.duration_s, failure_of(error, request.path))


def _shown(
    request: DecodeRequest, index: VideoIndex, reader: FrameReader, allocate: Allocate | None
) -> Iterator[Outcome | AtWork]:
    plan = _plan(request, index)
    pictures: dict[int, tuple[list[NDArray[Any]], State]] = {}  # by frame of the file
    started = time.perf_counter()
    ahead: _Planned | None = next(plan)
    wanted = yield from _wanted(request, index, reader)
    for fetched in reader.frames(wanted):
        if ahead is None or fetched.place < ahead.first:
            yield AT_WORK
            continue
        pictures[fetched.place] = crops_of(fetched.pixels, request.transform, request.num_crops), fetched.state
        while ahead and fetched.place >= ahead.last:
            yield _assembled(ahead, pictures, request, index, allocate, started)
            started = time.perf_counter()
            ahead = next(plan, None)
        for place in [place for place in pictures if ahead is None or place < ahead.first]:
            del pictures[place]


def _assembled(
    planned: _Planned,
    pictures: "dict[int, tuple[list[NDArray[Any]], State]]",
    request: DecodeRequest,
    index: VideoIndex,
    allocate: Allocate | None,
    started: float,
) -> Outcome:
    """Puts the views of one window together; the time that `allocate` waits is not time of decoding."""
    import numpy as np

    window = planned.window
    try:
        damaged = damage([pictures[frame][1] for clip in planned.clips for frame in clip.indices])
    except MediaError as error:
        return LostWindowError(error, window)
    elapsed_s = time.perf_counter() - started
    pixels = (allocate or np.empty)(request.pixels_shape, pixel_dtype(request.transform))
    started = time.perf_counter()
    for number, clip in enumerate(planned.clips):
        for place, frame in enumerate(clip.indices):
            for crop, picture in enumerate(pictures[frame][0]):
                pixels[number * request.num_crops + crop, place] = picture
    elapsed_s += time.perf_counter() - started
    short = short_video_warning(window.end_s - window.start_s, index.fps, request.sampling, "window")
    return Decoded(
        pixels,
        tuple(planned.clips),
        index.duration_s,
        reader=_reader(index).name,
        warnings=tuple(note for note in (*index.warnings, short, *damaged) if note),
        decode_ms=elapsed_s * 1000,
        pictures=_pictures(pixels, planned, request),
        window=window,
    )


def _pictures(pixels: "NDArray[Any]", planned: _Planned, request: DecodeRequest) -> Pictures | None:
    """What people see of a window: strips of the first ones only, as of the clips of a file that is taken whole."""
    if request.pictures == "none":
        return None
    few = replace(request, pictures="poster") if planned.window.number >= MAX_STRIPS else request
    return pictures_of(pixels, planned.clips, few)
