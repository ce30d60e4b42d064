"""Watching without a stream: pacing, the ring of newest frames, lag and what is dropped, on a clock of ours."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.live.pacing import Pacer, unseen
from mvit_cli.live.ring import Frame, Ring, Seen
from mvit_cli.live.stream_time import LEAP_S, StreamTime
from mvit_cli.live.watching import Asked, Choice, Feed, Scored, Watch, Watched, pause_s
from mvit_cli.media.request import Decoded, DecodeRequest
from mvit_cli.protocol import Sampling, Transform

SAMPLING = Sampling("clip", 4, 4, 15.0)
TRANSFORM = Transform((0.45,) * 3, (0.225,) * 3, 2, 2)
SPAN_S = 16 / 15


class FakeClock:
    def __init__(self) -> None:
        self.time_s = 100.0

    def now(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time_s += seconds


class FakeFeed:
    """Frames of a constant rate that come in time, until `end_s` of the clock; each shows its number."""

    def __init__(self, clock: FakeClock, fps: float, end_s: float, base_s: float = 0.0, error: Any = None) -> None:
        self.clock, self.fps, self.end_s, self.begin_s, self.error = clock, fps, end_s, clock.time_s, error
        self.ring = Ring(DecodeRequest("", SAMPLING, TRANSFORM), SPAN_S, (fps,))
        self.time = StreamTime(base_s)

    def _take_in(self) -> None:
        while (arrives_s := self.begin_s + self.ring.count / self.fps) <= min(self.clock.time_s + 1e-9, self.end_s):
            time_s = self.time.at(self.ring.count / self.fps, arrives_s)
            self.ring.add(Frame(time_s, arrives_s, [np.full((2, 2, 3), self.ring.count % 256, np.uint8)]))

    def newest(self, after: int, every_s: float) -> Seen | None:
        while True:
            self._take_in()
            ended = self.clock.time_s > self.end_s
            if self.ring.is_ready(after, self.clock.time_s, every_s, ended=ended):
                return self.ring.seen(every_s)
            if ended:
                if self.error:
                    raise self.error
                return None
            self.clock.sleep(0.001)

    def close(self) -> None:
        pass


def prediction(label: str = "pan", score: float = 0.9) -> Any:
    return {"index": 0, "label": label, "score": score}


def watched(
    clock: FakeClock, feed: Callable[[float], Feed], model_s: Callable[[int], float] = lambda number: 0.01, **asked: Any
) -> Iterator[Watched]:
    """The rows of a stream with a network that takes so many seconds for its pass of that number."""
    passes = 0

    def score(decoded: Decoded) -> Scored:
        nonlocal passes
        clock.sleep(model_s(passes))
        passes += 1
        return Scored([prediction()], [], 0.0)

    said: list[str] = asked.pop("said", [])
    options: dict[str, Any] = {"name": "cam", "every_s": 1.0, **asked}
    return Watch(feed, score, Asked(**options), clock, said.append).rows()


# Stream time


def test_stamps_count_from_the_first_frame_on() -> None:
    time = StreamTime()
    assert [time.at(stamp, 0.0) for stamp in (3600.0, 3600.04, 3600.12)] == pytest.approx([0, 0.04, 0.12])


def test_where_stamps_are_missing_or_fall_back_arrival_counts() -> None:
    time = StreamTime(5.0)
    arrivals = [(10.0, 1.0), (None, 1.5), (3.0, 1.75), (3.1, 9.0), (3.1 + LEAP_S + 1, 10.0), (3.0, 10.0)]
    told = [time.at(stamp, arrived) for stamp, arrived in arrivals]
    assert told == pytest.approx([5.0, 5.5, 5.75, 5.85, 6.85, 6.851])


@given(st.lists(st.tuples(st.none() | st.floats(-100, 100), st.floats(0, 5)), min_size=2))
def test_stream_time_only_goes_forward(frames: list[tuple[float | None, float]]) -> None:
    time, now_s, told = StreamTime(), 0.0, []
    for stamp, later in frames:
        now_s += later
        told.append(time.at(stamp, now_s))
    assert all(math.isfinite(one) for one in told)
    assert told == sorted(told)


# Pacing


def test_moments_stand_on_a_grid_and_missed_ones_are_left_out() -> None:
    pacer = Pacer(2.0)
    assert pacer.wait_s(10.0) == 0
    pacer.begin(10.0)
    assert pacer.wait_s(10.5) == 1.5
    pacer.begin(12.1)
    assert pacer.wait_s(12.2) == pytest.approx(1.8)
    pacer.begin(17.0)
    assert pacer.wait_s(17.0) == 1.0


def test_frames_that_no_row_shows_are_counted_by_a_loop() -> None:
    times = [number / 10 for number in range(200)]
    # Rows of 3 s every second: whatever lies between two of them was lost.
    assert unseen(times, 5.0, (9.0, 12.0), 1.0) == sum(5.0 <= time < 9.0 for time in times)
    # Rows of 1 s every 4 s, and 8 s are missing one moment: the frames of the row that would have ended at 9.
    assert unseen(times, 5.0, (12.0, 13.0), 4.0) == sum(8.0 <= time < 9.0 for time in times)
    assert unseen(times, 5.0, (8.07, 9.07), 4.0) == 0  # in time, but for a frame


# The ring


def ring_of(times_s: list[float], fps: float, span_s: float = SPAN_S) -> Ring:
    ring = Ring(DecodeRequest("", SAMPLING, TRANSFORM), span_s, (fps,))
    for number, time_s in enumerate(times_s):
        ring.add(Frame(time_s, time_s, [np.full((2, 2, 3), number % 256, np.uint8)]))
    return ring


def test_the_ring_holds_the_span_and_no_more() -> None:
    ring = ring_of([number / 30 for number in range(3000)], 30.0)
    assert ring.is_full
    assert len(ring._frames) == round(SPAN_S * 30) + 1  # and the one on screen where it begins
    assert not ring_of([number / 30 for number in range(31)], 30.0).is_full
    assert ring_of([number / 30 for number in range(32)], 30.0).is_full


def test_more_pixels_than_there_is_room_for_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvit_cli.live.ring.MOST_BYTES", 12 * 20)
    with pytest.raises(MediaError, match="more than there is room for"):
        ring_of([number / 30 for number in range(40)], 30.0)


@settings(deadline=None, max_examples=40)
@given(st.integers(33, 200), st.sampled_from([15.0, 24.0, 25.0, 30.0, 60.0]))
def test_a_clip_is_that_of_the_sampling_protocol_on_the_span(count: int, fps: float) -> None:
    """By a loop: frame k of a clip is the one on screen at k steps after the begin of the span."""
    count = max(count, math.ceil(SPAN_S * fps) + 1)
    seen = ring_of([number / fps for number in range(count)], fps).seen(1.0)
    shown = seen.decoded.pixels[0, :, 0, 0, 0].tolist()
    end_s = count / fps
    first = round((end_s - SPAN_S) * fps, 6)
    places = [first + k * (SPAN_S * fps - 1) / 3 for k in range(4)]
    for place, frame in zip(places, shown, strict=True):
        assert abs(place - frame) <= 1 + 1e-6  # a place is computed with rounding
    assert shown[-1] in (count - 1, count - 2)  # nothing is newer
    assert seen.end_s == pytest.approx(end_s)


# Rows


@pytest.mark.parametrize("model_s", [0.0, 0.2, 0.9, 1.0, 2.7, 11.0])
@pytest.mark.parametrize("every_s", [0.1, 1.0, 5.0])
def test_the_lag_stays_below_a_hop_and_a_pass_whatever_the_machine(model_s: float, every_s: float) -> None:
    clock = FakeClock()
    feed = FakeFeed(clock, 30.0, clock.time_s + 120)
    rows = list(watched(clock, lambda base_s: feed, lambda number: model_s, every_s=every_s))
    assert len(rows) >= (120 - SPAN_S) // max(every_s, model_s + 1 / 30) - 1
    assert max(row.lag_s for row in rows) <= every_s + model_s
    # No line: the last row before the stream ends is as fresh as the first.
    assert rows[-2].lag_s == pytest.approx(rows[0].lag_s, abs=1 / 30 + 0.002)


def test_a_machine_that_is_slow_for_a_while_is_back_at_once() -> None:
    clock = FakeClock()
    feed = FakeFeed(clock, 30.0, clock.time_s + 40)
    rows = list(watched(clock, lambda base_s: feed, lambda number: 7.0 if number in (3, 4) else 0.1))
    assert [row.lag_s for row in rows[5:]] == pytest.approx([0.1] * len(rows[5:]), abs=0.035)
    assert [row.dropped > 0 for row in rows[:8]] == [False] * 4 + [True, True, False, False]


@pytest.mark.parametrize("model_s", [0.01, 3.0])
def test_every_frame_is_shown_or_dropped(model_s: float) -> None:
    """By a loop over all frames: those in no row, from the first row's begin to the last one's end."""
    clock = FakeClock()
    feed = FakeFeed(clock, 30.0, clock.time_s + 60)
    rows = list(watched(clock, lambda base_s: feed, lambda number: model_s))
    spans = [(row.seen.from_s, row.seen.end_s) for row in rows]
    times = [number / 30 for number in range(30 * 60)]
    lost = [
        time
        for time in times
        if spans[0][0] <= time < spans[-1][1] and not any(a - 1e-6 <= time < b - 1e-6 for a, b in spans)
    ]
    assert sum(row.dropped for row in rows) == len(lost)
    assert bool(lost) == (model_s > SPAN_S)


def test_a_row_needs_a_new_frame() -> None:
    clock = FakeClock()
    feed = FakeFeed(clock, 2.0, clock.time_s + 20)
    rows = list(watched(clock, lambda base_s: feed, every_s=0.1))
    assert [row.seen.newest for row in rows] == list(range(rows[0].seen.newest, 42))


def test_rows_and_seconds_can_be_limited() -> None:
    clock = FakeClock()
    assert len(list(watched(clock, lambda base_s: FakeFeed(clock, 30.0, math.inf), most_rows=3))) == 3
    rows = list(watched(clock, lambda base_s: FakeFeed(clock, 30.0, math.inf), duration_s=10.0))
    assert [round(row.seen.end_s) for row in rows] == list(range(1, 10))


def test_what_scores_less_is_left_out_and_changes_alone_are_told() -> None:
    choice = Choice(0.5, on_change=True)
    told = [("a", 0.9), ("a", 0.8), ("b", 0.6), ("b", 0.3), ("b", 0.7), ("a", 0.5)]
    assert [choice.takes(prediction(*one)) for one in told] == [True, False, True, False, True, True]
    choice = Choice(0.5, on_change=False)
    assert [choice.takes(prediction(*one)) for one in told] == [True, True, True, False, True, True]


def test_frames_that_were_dropped_before_a_row_that_was_left_out_are_told_by_the_next() -> None:
    clock = FakeClock()
    feed = FakeFeed(clock, 30.0, clock.time_s + 30)
    scores = iter([0.9, 0.1, 0.1, 0.9])

    def score(decoded: Decoded) -> Scored:
        clock.sleep(3.0)
        return Scored([prediction(score=next(scores))], [], 0.0)

    asked = Asked(name="cam", every_s=1.0, min_score=0.5, most_rows=2)
    rows = list(Watch(lambda base_s: feed, score, asked, clock, print).rows())
    per_row = 3.0 * 30 - SPAN_S * 30
    assert rows[1].dropped == pytest.approx(3 * per_row, abs=4)


# Reconnections


def test_pauses_double_up_to_a_limit() -> None:
    assert [pause_s(failures) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert pause_s(10**6) == 30


def test_a_stream_that_comes_back_goes_on_on_the_same_time_line() -> None:
    clock = FakeClock()
    said: list[str] = []
    opened: list[tuple[float, float]] = []

    def connect(base_s: float) -> FakeFeed:
        opened.append((clock.time_s, base_s))
        if len(opened) in (2, 3):
            raise MediaError("decode", "connection refused")
        return FakeFeed(clock, 30.0, clock.time_s + 5, base_s)

    rows = list(watched(clock, connect, retries=math.inf, most_rows=8, said=said))
    assert said == [
        "cam: the stream ended; trying again in 1 s",
        "cam: connection refused; trying again in 2 s",
        "cam: connection refused; trying again in 4 s",
    ]
    assert opened[3][1] == pytest.approx(opened[3][0] - opened[0][0], abs=0.05)
    ends = [row.seen.end_s for row in rows]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(rows[-1].seen.arrived_s - opened[0][0], abs=0.05)
    assert [row.reconnects for row in rows] == [0] * 5 + [3] * 3


def test_a_stream_that_stays_away_is_one_error() -> None:
    clock = FakeClock()
    said: list[str] = []
    feeds = iter([FakeFeed(clock, 30.0, clock.time_s + 2, error=MediaError("decode", "it broke", "look at it"))])

    def connect(base_s: float) -> FakeFeed:
        for feed in feeds:
            return feed
        raise MediaError("decode", "connection refused", "start it")

    with pytest.raises(MViTError, match="cam: connection refused, and 2 tries to reach it again failed") as caught:
        list(watched(clock, connect, retries=2, said=said))
    assert caught.value.hint == "start it"
    assert [line.split("; ")[1] for line in said] == ["trying again in 1 s (1 of 2)", "trying again in 2 s (2 of 2)"]


def test_what_is_not_there_at_all_is_told_at_once_unless_patience_was_asked_for() -> None:
    clock = FakeClock()
    said: list[str] = []

    def connect(base_s: float) -> FakeFeed:
        raise MediaError("not_found", "no such device", "plug it in")

    with pytest.raises(MViTError, match="cam: no such device"):
        list(watched(clock, connect, retries=5, said=said))
    assert said == []
    with pytest.raises(MViTError, match="5 tries"):
        list(watched(clock, connect, retries=5, patient=True, said=said))
    assert len(said) == 5


def test_the_end_of_a_file_is_the_end() -> None:
    clock = FakeClock()
    said: list[str] = []
    rows = list(watched(clock, lambda base_s: FakeFeed(clock, 30.0, clock.time_s + 3), said=said))
    assert len(rows) == 3
    assert said == []


def test_what_is_shorter_than_a_row_is_shown_as_far_as_it_goes() -> None:
    clock = FakeClock()
    (row,) = watched(clock, lambda base_s: FakeFeed(clock, 30.0, clock.time_s + 0.5))
    assert row.seen.end_s == pytest.approx(0.5, abs=0.04)
    assert "a clip needs 1.07 s: its last frame was held" in row.seen.decoded.warnings[0]


def test_frames_that_came_long_ago_are_no_news() -> None:
    """A stream that stands still during a slow pass: its next row waits for a frame that is new."""
    clock = FakeClock()
    feed = FakeFeed(clock, 30.0, clock.time_s + 3)
    rows = list(watched(clock, lambda base_s: feed, lambda number: 9.0))
    assert len(rows) == 1
