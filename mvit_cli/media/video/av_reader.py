"""Frames by PyAV, proved one by one: a time stamp names each frame, and doubt costs a slower way, not a wrong frame."""

import errno
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from mvit_cli.errors import MediaError
from mvit_cli.media.guards import is_no_fault_of_the_file, words_of
from mvit_cli.media.shortage import MemoryWatch
from mvit_cli.media.video.container import ERROR_BUDGET, open_video, packets_of
from mvit_cli.media.video.index import VideoIndex
from mvit_cli.media.video.orientation import Orientation
from mvit_cli.media.video.packets import BEGINS_ANYWHERE

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

State = Literal["decoded", "damaged", "held"]
Way = Literal["seek", "time", "count"]

# Containers whose key frames can be sought by time stamp. Elsewhere a seek lands anywhere: read from the start.
SEEKABLE = frozenset({"mov", "mp4", "matroska", "webm", "flv", "ogg"})


# Frames that are decoded for nothing before a seek is cheaper: a seek decodes again what the last frame had waited for.
RUN_ON = 16


class Fetched(NamedTuple):
    """One frame of a file.

    Attributes:
        place: position in display order.
        pixels: `(H, W, 3)` uint8 RGB, upright.
        state: "held" where the frame could not be had and the nearest earlier one stands for it, "damaged" where the
            decoder concealed errors in it.
    """

    place: int
    pixels: "NDArray[np.uint8]"
    state: State


class _ContradictionError(Exception):
    """The decoder's output and the index contradict each other."""


class AVReader:
    """Reads frames of an indexed video with PyAV; close it."""

    name = "av"

    def __init__(self, index: VideoIndex) -> None:
        self._index = index
        self._playback = _Playback(index)

    def frames(self, indices: Iterable[int]) -> Iterator[Fetched]:
        """Yields the frames at `indices`, which ascend without repeats.

        After a doubt the reading starts again on a slower way: it goes through `indices` again, and where a frame comes
        twice the later one counts.

        Raises:
            MediaError: decode, where the file gives no frame at all.
        """
        for way in self._ways():
            try:
                yield from self._follow(way, indices)
                return
            except _ContradictionError:
                continue

    def close(self) -> None:
        self._playback.close()

    @property
    def seeks(self) -> bool:
        """Whether a frame can be reached without all before it."""
        return self._ways()[0] == "seek"

    def _ways(self) -> tuple[Way, ...]:
        if self._index.pts is None:
            return ("count",)
        if SEEKABLE.intersection(self._index.container.split(",")):
            return ("seek", "time", "count")
        return ("time", "count")

    def _follow(self, way: Way, indices: Iterable[int]) -> Iterator[Fetched]:
        if way != "seek":
            self._playback.restart()
            yield from self._walk(self._placed(by_time=way == "time"), indices)
            return
        for (_, key_pts), members in groupby(self._in_groups(indices), key=itemgetter(0, 1)):
            if key_pts is None:
                self._playback.restart()
            elif not self._playback.seek(key_pts):
                raise _ContradictionError
            landed = self._landed(0 if key_pts is None else self._place_of(key_pts))
            yield from self._walk(landed, (index for _, _, index in members))

    def _in_groups(self, indices: Iterable[int]) -> Iterator[tuple[int, int | None, int]]:
        """Yields each index with the number of its group, and the time stamp of the key frame that leads to it: None
        for those before the first one shown.

        Where the next key frame is near, decoding goes on to what it leads to. Nothing is asked for ahead: of a long
        video the indices are planned as they are read.
        """
        assert self._index.pts is not None
        group, before, last = 0, -1, 0
        first: int | None = None
        for index in indices:
            number = int(self._index.key_pts.searchsorted(self._index.pts[index], side="right"))
            if number != before:
                key_pts = None if number == 0 else int(self._index.key_pts[number - 1])
                if before < 0 or (key_pts is not None and self._place_of(key_pts) - last > RUN_ON):
                    group, first = group + 1, key_pts
                before = number
            last = index
            yield group, first, index

    def _landed(self, place: int) -> "Iterator[tuple[int, VideoFrame]]":
        """Yields placed frames from a key frame on, once the seek is proved to have hit it whole."""
        arrived = False
        for found, frame in self._placed(by_time=True):
            if not arrived:
                if found < place:
                    continue  # shown before the key frame although decoded after it
                # What a container calls a key frame is one where the decoder says so.
                if found > place or frame.is_corrupt or not frame.key_frame:
                    raise _ContradictionError
                arrived = True
            yield found, frame
        if not arrived:
            raise _ContradictionError

    def _placed(self, *, by_time: bool) -> "Iterator[tuple[int, VideoFrame]]":
        """Yields the decoder's output with each frame's place in display order, ascending."""
        previous = -1
        for frame in self._playback:
            if previous < 0 and self._is_left_out(frame, by_time=by_time):
                continue
            place = self._place_of(frame.pts, previous) if by_time else previous + 1
            if place >= self._index.num_frames:
                return
            if place <= previous:
                raise _ContradictionError
            previous = place
            yield place, frame

    def _is_left_out(self, frame: "VideoFrame", *, by_time: bool) -> bool:
        """Whether a frame refers to frames before the file begins, and the index does not count it."""
        if not self._index.begins_late:
            return False
        if by_time and self._index.pts is not None and frame.pts is not None:
            return bool(frame.pts < self._index.pts[0])
        return self._index.codec in BEGINS_ANYWHERE and not frame.key_frame

    def _place_of(self, pts: int | None, previous: int = -1) -> int:
        """The place of a time stamp, of those that share it the first after `previous`; the number of frames
        for one after the last."""
        stamps = self._index.pts
        if stamps is None or pts is None:
            raise _ContradictionError
        place = int(stamps.searchsorted(pts))
        if place < len(stamps) and stamps[place] != pts:
            raise _ContradictionError
        if place <= previous < len(stamps) - 1 and stamps[previous + 1] == pts:
            return previous + 1
        return place

    def _walk(self, placed: "Iterator[tuple[int, VideoFrame]]", indices: Iterable[int]) -> Iterator[Fetched]:
        """Yields each index with the frame on screen there: its own, or the one before where its own is missing."""
        shown: tuple[int, VideoFrame] | None = None
        later: tuple[int, VideoFrame] | None = None
        for index in indices:
            while shown is None or shown[0] < index:
                later = later or next(placed, None)
                if later is None or later[0] > index:
                    break
                shown, later = later, None
            best = shown or later
            if best is None:
                raise MediaError("decode", "no frame could be decoded", "check that the file plays elsewhere")
            state: State = "held" if best[0] != index else "damaged" if best[1].is_corrupt else "decoded"
            yield Fetched(index, self._playback.to_rgb(best[1]), state)


class _Playback:
    """The decoder's output of one file, past errors up to a budget."""

    def __init__(self, index: VideoIndex) -> None:
        self._file = index.file
        self._size = index.width, index.height
        self._orientation = index.orientation
        # Where the file begins with damage, all that the decoder conceals there would be shown: HEVC's even loses the
        # first key frame over it.
        self._only_whole = index.begins_late
        self._container, self._stream = open_video(self._file, only_whole=self._only_whole)
        self._fresh = True

    def restart(self) -> None:
        """Goes back to the first packet, by opening again: some containers seek there only roughly."""
        if not self._fresh:
            self._container.close()
            self._container, self._stream = open_video(self._file, only_whole=self._only_whole)

    def seek(self, pts: int) -> bool:
        """Goes to the key frame at or before a time stamp; false where the container cannot."""
        import av

        self._fresh = False
        try:
            with MemoryWatch():
                self._container.seek(pts, stream=self._stream, backward=True, any_frame=False)
        except av.error.FFmpegError:
            return False
        return True

    def __iter__(self) -> "Iterator[VideoFrame]":
        import av

        self._fresh = False
        failed = 0
        for packet in packets_of(self._container, self._stream):
            try:
                with MemoryWatch():
                    frames = packet.decode()
            except EOFError:
                return
            except MemoryError:
                raise
            except av.error.FFmpegError:
                failed += 1
                if failed > ERROR_BUDGET:
                    return
                continue
            if frames:
                failed = 0
            yield from frames

    def to_rgb(self, frame: "VideoFrame") -> "NDArray[np.uint8]":
        """`(H, W, 3)` RGB, turned upright; where the size changes in mid-stream, scaled to the first."""
        return rgb_of(frame, self._size, self._orientation)

    def close(self) -> None:
        self._container.close()


def rgb_of(frame: "VideoFrame", size: tuple[int, int], orientation: Orientation) -> "NDArray[np.uint8]":
    """`(H, W, 3)` RGB, turned upright.

    Args:
        size: width and height to which the coded picture is scaled where it has others.

    Raises:
        MediaError: decode, unsupported.
    """
    import av

    width, height = size
    try:
        with MemoryWatch():
            pixels = frame.to_ndarray(format="rgb24", width=width, height=height, threads=1)
        return orientation.upright(cast("NDArray[np.uint8]", pixels))
    except (OSError, ValueError, av.error.FFmpegError) as error:  # an invalid argument is no OSError of PyAV's
        if is_no_fault_of_the_file(error):
            raise
        if getattr(error, "errno", None) not in (errno.EOPNOTSUPP, errno.EINVAL):
            text = f"its frames cannot be converted to RGB ({words_of(error)})"
            raise MediaError("decode", text, "check that the file plays elsewhere") from error
        raise MediaError(
            "unsupported",
            f"frames of the format {frame.format.name} and colour matrix {int(frame.colorspace)} cannot be"
            " converted to RGB",
            "convert it to H.264 with BT.709 first",
        ) from error
