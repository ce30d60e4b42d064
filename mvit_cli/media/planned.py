"""The windows of one video, planned as its frames are read: how many a file claims to have costs nothing."""

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mvit_cli.errors import MediaError
from mvit_cli.media.request import Clip, DecodeRequest, LostWindowError, Window, Windows, hold_note
from mvit_cli.media.video.index import VideoIndex
from mvit_cli.media.video.sampling import sample

# Frames where a file can only be read from its start, between two signs of life.
SIGN_OF_LIFE = 500
# A frame that stands longer than this is one row, however many windows it fills: a pause of a lecture may well be
# shorter, and a damaged time stamp is hours away.
HELD_S = 120.0


@dataclass(frozen=True)
class Planned:
    """A window with its clips, and the frames of the file that it begins with and needs at last.

    Attributes:
        note: a sentence where several windows, in which one frame stands, are one; else empty.
    """

    window: Window
    clips: list[Clip]
    first: int
    last: int
    note: str


class Plan:
    """The windows of a video. Iterated, it gives the frames they need, ascending, and plans no further than it must.

    A reader that starts again iterates again: from the first window on that is not shown yet.

    Args:
        request: with windows.
        index: of the video.
        seeks: whether the reader reaches a frame without all before it; else frames on the way are needed too.

    Attributes:
        ahead: windows whose frames are being given.
    """

    def __init__(self, request: DecodeRequest, index: VideoIndex, *, seeks: bool) -> None:
        self._request, self._index, self._seeks = request, index, seeks
        self._next = request.first_window
        self._left_out: Window | None = None
        self.ahead: deque[Planned] = deque()

    def __iter__(self) -> Iterator[int]:
        self.ahead.clear()
        given = 0
        for frame in self._frames():
            while not self._seeks and frame - given > SIGN_OF_LIFE:
                given += SIGN_OF_LIFE
                yield given
            given = frame
            yield frame

    def _frames(self) -> Iterator[int]:
        needed: list[int] = []  # a heap
        last = -1
        for planned in self._planned():
            # A frame can be given once no window that is still to be planned needs one before it.
            while needed and needed[0] < planned.first:
                if (frame := heapq.heappop(needed)) > last:
                    yield (last := frame)
            self.ahead.append(planned)
            for frame in {frame for clip in planned.clips for frame in clip.indices}:
                heapq.heappush(needed, frame)
        while needed:
            if (frame := heapq.heappop(needed)) > last:
                yield (last := frame)

    def _planned(self) -> Iterator[Planned]:
        request, index = self._request, self._index
        for first, window in self._spans():
            note = ""
            if window.number > first:
                note = hold_note(window, window.number + 1 - first)
            clips = sample(
                index.times_s, window.end_s, index.fps, request.sampling, request.num_clips, from_s=window.start_s
            )
            begins = int(index.times_s.searchsorted(window.start_s, side="right")) - 1
            yield Planned(window, clips, begins, max(max(clip.indices) for clip in clips), note)

    def _spans(self) -> Iterator[tuple[int, Window]]:
        """Yields the windows that are to be shown, each with the number of the first that it stands for."""
        assert self._request.windows is not None
        for count, (first, window) in enumerate(spans_of(self._request.windows, self._index)):
            start = self._request.windows.at(max(first, self._next), window.duration_s)
            if count == self._request.windows.most:
                self._left_out = start
                return
            if window.number >= self._next:
                yield start.number, replace(window, start_s=start.start_s)

    def show(self) -> Planned:
        """The window whose turn it is, which is not ahead any more."""
        self._next = self.ahead[0].window.number + 1
        return self.ahead.popleft()

    def left_out(self) -> LostWindowError | None:
        """What lies behind the windows that a video may have at most."""
        windows, window = self._request.windows, self._left_out
        if windows is None or window is None:
            return None
        text = f"the video has more than {windows.most:,} windows: what is behind them was not looked at"
        error = MediaError("unsupported", text, "ask for more with --max-windows, or for fewer with --hop")
        return windows.lost_from(window.number, window.duration_s, error)


def spans_of(windows: Windows, index: VideoIndex) -> Iterator[tuple[int, Window]]:
    """Yields the windows of a video, each with the number of the first that it stands for: itself, but where one frame
    stands for minutes all in which nothing else is shown are one."""
    number, is_last = 0, False
    while not is_last:
        window = windows.at(number, index.duration_s)
        place = int(index.times_s.searchsorted(window.start_s, side="right")) - 1
        until_s = float(index.times_s[place + 1]) if place + 1 < index.num_frames else window.duration_s
        last = window
        if until_s - index.times_s[place] > HELD_S:
            last = windows.last_within(number, until_s, index.duration_s)
        yield number, replace(last, start_s=window.start_s)
        number, is_last = last.number + 1, last.is_last
