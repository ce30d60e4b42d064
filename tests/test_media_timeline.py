"""A video in windows: each is what the same seconds would be as a video of their own, in one pass, whatever happens."""

import random
import time
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_clips import clip, read_number, write_video
from test_media_pool import FaultyPool, posix, request

from mvit_cli.errors import MediaError
from mvit_cli.media import planned
from mvit_cli.media import windows as timeline
from mvit_cli.media.decode import decode
from mvit_cli.media.request import AT_WORK, Decoded, DecodeRequest, LostWindowError, Windows, window_of
from mvit_cli.media.video import av_reader
from mvit_cli.media.video.av_reader import AVReader
from mvit_cli.media.video.index import index_video
from mvit_cli.media.windows import outcomes_of
from mvit_cli.media.workers.pool import WINDOWS_AHEAD, DecodePool
from mvit_cli.protocol import Sampling, Transform

GREY = (0.45, 0.45, 0.45)
WHOLE = Transform(GREY, GREY, 128, 128)  # of a square video: the frame as it is
FPS = 25
FAST = {"size": (128, 128), "options": {"preset": "ultrafast"}}
# Clips of 0.8 s, within the windows below.
SHORT_CLIP = Sampling("clip", 8, 3, 30.0)


def looked_at(path: str, length_s: float, hop_s: float, **changes) -> DecodeRequest:
    return replace(DecodeRequest(path, SHORT_CLIP, WHOLE, windows=Windows(length_s, hop_s)), **changes)


def seen(job: DecodeRequest) -> list[Decoded | MediaError]:
    return [outcome for outcome in outcomes_of(job) if outcome is not AT_WORK]


def numbers(outcome: Decoded) -> list[list[int]]:
    return [[read_number(frame) for frame in view] for view in outcome.pixels]


def spans(outcomes: list) -> list[tuple[float, float]]:
    return [(window_of(outcome).start_s, window_of(outcome).end_s) for outcome in outcomes]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> str:
    """260 frames, 10.4 s."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write_video(path, 260, size=(128, 128), options={"g": "25", "bf": "2", "preset": "veryfast"})


seconds = st.integers(1, 40_000).map(lambda ms: ms / 1000)


class TestGrid:
    @given(length_s=seconds, hop_s=seconds, duration_s=st.integers(0, 400_000).map(lambda ms: ms / 1000))
    def test_windows_are_those_of_a_loop(self, length_s: float, hop_s: float, duration_s: float) -> None:
        windows, number = Windows(length_s, hop_s), 0
        while number < 50:
            window = windows.at(number, duration_s)
            left_s = duration_s - (number * hop_s + length_s)
            joins = left_s < 0.1 * length_s - 1e-9  # a rest too short for a window of its own
            assert window.start_s == pytest.approx(number * hop_s, abs=1e-6)
            if abs(left_s - 0.1 * length_s) > 1e-6:
                expected = duration_s if joins else number * hop_s + length_s
                assert window.end_s == pytest.approx(expected, abs=1e-6)
            assert window.start_s < window.end_s or duration_s == 0
            if window.is_last:
                break
            assert (number + 1) * hop_s <= duration_s - 0.1 * length_s + 1e-6
            number += 1
        if window.is_last and hop_s <= length_s:
            assert window.end_s == pytest.approx(duration_s, abs=1e-6)  # nothing is left out

    @pytest.mark.parametrize(
        ("length_s", "hop_s", "duration_s", "expected"),
        [
            (2, 2, 6.0, [(0, 2), (2, 4), (4, 6)]),
            (2, 1, 4.5, [(0, 2), (1, 3), (2, 4), (3, 4.5)]),
            (2, 2, 4.04, [(0, 2), (2, 4.04)]),  # one frame more is no window
            (2, 2, 4.5, [(0, 2), (2, 4), (4, 4.5)]),
            (2, 5, 11.0, [(0, 2), (5, 7), (10, 11)]),
            (2, 5, 10.1, [(0, 2), (5, 7)]),
            (2, 2, 0.7, [(0, 0.7)]),
        ],
    )
    def test_examples(self, length_s: float, hop_s: float, duration_s: float, expected: list) -> None:
        found, windows = [], Windows(length_s, hop_s)
        while not found or not found[-1].is_last:
            found.append(windows.at(len(found), duration_s))
        assert [(window.start_s, window.end_s) for window in found] == expected

    @pytest.mark.parametrize("wrong", [0, -1, 0.0005, float("nan"), float("inf")])
    def test_impossible_windows_are_refused(self, wrong: float) -> None:
        for values in ((wrong, 1.0), (1.0, wrong)):
            with pytest.raises(ValueError, match="is not possible"):
                Windows(*values)


class TestFrames:
    @pytest.mark.parametrize(
        ("length_s", "hop_s", "views"), [(2.0, 1.0, (1, 1)), (1.2, 3.0, (2, 3)), (4.0, 2.2, (3, 1))]
    )
    def test_are_those_of_the_same_seconds_as_a_file(
        self, film: str, tmp_path: Path, length_s: float, hop_s: float, views: tuple[int, int]
    ) -> None:
        job = looked_at(film, length_s, hop_s, num_clips=views[0], num_crops=views[1])
        for outcome in seen(job):
            window = outcome.window
            first, last = round(window.start_s * FPS), round(window.end_s * FPS)
            cut = write_video(tmp_path / "cut.mp4", last - first, **FAST, first=first)
            alone = decode(replace(job, path=cut, windows=None))
            assert numbers(outcome) == numbers(alone)
            for ours, theirs in zip(outcome.clips, alone.clips, strict=True):
                assert ours.start_s == pytest.approx(window.start_s + theirs.start_s, abs=1e-6)
                assert ours.end_s == pytest.approx(window.start_s + theirs.end_s, abs=1e-6)

    def test_pixels_are_those_of_the_same_seconds_as_a_file(self, tmp_path: Path) -> None:
        lossless = {"codec": "ffv1", "size": (160, 120)}
        transform = Transform(GREY, GREY, 64, 56, resize_dtype="float")
        job = looked_at(write_video(tmp_path / "a.mkv", 60, **lossless), 1.0, 0.4, transform=transform)
        for outcome in seen(job):
            first, last = round(outcome.window.start_s * FPS), round(outcome.window.end_s * FPS)
            cut = write_video(tmp_path / "cut.mkv", last - first, **lossless, first=first)
            assert np.array_equal(outcome.pixels, decode(replace(job, path=cut, windows=None)).pixels)

    @pytest.mark.parametrize("method", ["clip", "leading", "resampled", "segments", "uniform", "native", "image"])
    def test_stay_inside_their_window_in_every_protocol(self, film: str, method: str) -> None:
        for outcome in seen(looked_at(film, 1.6, 0.8, sampling=Sampling(method, 8, 4, 30.0), num_clips=2)):
            shown = [number for view in numbers(outcome) for number in view]
            assert round(outcome.window.start_s * FPS) <= min(shown)
            assert max(shown) < round(outcome.window.end_s * FPS)

    def test_are_those_on_screen_where_the_rate_varies(self) -> None:
        path = clip("vfr_freeze.mp4")  # one frame stands for 40 s
        index = index_video(path)
        picture = Transform(GREY, GREY, 64, 64)
        middles = []
        for outcome in seen(looked_at(path, 3.0, 3.0, sampling=Sampling("image", 1), transform=picture)):
            window = outcome.window
            grid = max(1, round((window.end_s - window.start_s) * index.fps))
            middle_s = window.start_s + (grid // 2 + 0.5) / index.fps
            middles.append(max(place for place, time_s in enumerate(index.times_s) if time_s <= middle_s))
            assert outcome.clips[0].indices == (middles[-1],)
        assert middles.count(99) == 14  # those of the freeze

    def test_of_a_window_shorter_than_a_clip_the_last_is_held_with_a_warning(self, film: str) -> None:
        outcomes = seen(looked_at(film, 0.4, 5.0))
        assert numbers(outcomes[0])[0][-4:] == [9] * 4
        assert outcomes[0].warnings == ("the window is 0.40 s long and a clip needs 0.80 s: its last frame was held",)

    def test_an_image_is_one_window(self, tmp_path: Path) -> None:
        from PIL import Image

        Image.new("RGB", (60, 40), (200, 30, 90)).save(tmp_path / "still.png")
        (outcome,) = seen(looked_at(str(tmp_path / "still.png"), 2.0, 1.0))
        assert (outcome.window.start_s, outcome.window.end_s, outcome.window.is_last) == (0, 0, True)

    @pytest.mark.parametrize(("name", "kind"), [("nowhere.mp4", "not_found"), ("audio_only.mp4", "decode")])
    def test_a_file_without_frames_is_one_error(self, name: str, kind: str) -> None:
        (outcome,) = seen(looked_at(clip(name) if kind == "decode" else name, 2.0, 1.0))
        assert (outcome.kind, window_of(outcome)) == (kind, None)


class TestOnePass:
    @pytest.fixture
    def counts(self, monkeypatch: pytest.MonkeyPatch) -> Counter:
        """Counts what the reader does."""
        counts: Counter = Counter()
        playback, crops_of = av_reader._Playback, timeline.crops_of

        class Counted(playback):
            def seek(self, pts: int) -> bool:
                counts["seeks"] += 1
                return super().seek(pts)

            def restart(self) -> None:
                counts["restarts"] += 1
                super().restart()

            def __iter__(self):
                for frame in super().__iter__():
                    counts["decoded"] += 1
                    yield frame

        def counted(*arguments):
            counts["transformed"] += 1
            return crops_of(*arguments)

        monkeypatch.setattr(av_reader, "_Playback", Counted)
        monkeypatch.setattr(timeline, "crops_of", counted)
        return counts

    def test_no_frame_is_decoded_or_resized_twice(self, film: str, counts: Counter) -> None:
        outcomes = seen(looked_at(film, 2.0, 0.6, sampling=Sampling("native", 16, 3)))
        distinct = {frame for outcome in outcomes for part in outcome.clips for frame in part.indices}
        assert len(outcomes) == 15
        assert counts["seeks"] + counts["restarts"] == 1
        assert counts["decoded"] <= 260
        assert counts["transformed"] == len(distinct)
        assert counts["transformed"] < 16 * len(outcomes) / 2  # they do share

    def test_gaps_between_windows_are_not_decoded(self, tmp_path: Path, counts: Counter) -> None:
        path = write_video(tmp_path / "a.mp4", 500, size=(128, 128), options={"g": "25", "preset": "ultrafast"})
        outcomes = seen(looked_at(path, 1.0, 10.0))
        assert len(outcomes) == counts["seeks"] == 2
        assert counts["decoded"] < 60

    def test_every_window_says_that_the_file_is_cut_short(self, tmp_path: Path) -> None:
        whole = Path(write_video(tmp_path / "whole.mkv", 100, **FAST))
        half = tmp_path / "half.mkv"
        half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        outcomes = [outcome for outcome in seen(looked_at(str(half), 0.9, 0.9)) if isinstance(outcome, Decoded)]
        assert outcomes
        for outcome in outcomes:
            assert any("announces 4.00 s" in warning for warning in outcome.warnings)

    def test_of_all_pictures_only_those_of_a_window_stay(self, film: str) -> None:
        job = looked_at(film, 0.8, 0.8)
        tracemalloc.start()
        for number, _ in enumerate(outcome for outcome in outcomes_of(job) if outcome is not AT_WORK):
            if number == 3:
                tracemalloc.reset_peak()
                early, _ = tracemalloc.get_traced_memory()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        picture = 128 * 128 * 3
        assert number == 12
        assert peak - early < 40 * picture  # two windows of 8 and a few frames of the decoder; the film has 104


class TestWhatAFileClaims:
    """A few frames, and time stamps or a rate that make a million windows of them."""

    @pytest.fixture
    def stray(self, tmp_path: Path) -> str:
        """25 frames in a second, the last 2,000,000 s behind them."""
        times = [40 * number for number in range(25)]
        return write_video(tmp_path / "a.mkv", 26, **FAST, times=[*times, 2_000_000_000])

    def test_one_frame_that_stands_for_minutes_is_one_row_with_a_warning(self, stray: str) -> None:
        outcomes = seen(looked_at(stray, 0.4, 0.4))
        assert spans(outcomes)[:4] == [(0, 0.4), (0.4, 0.8), (0.8, 1.2), (1.2, 2_000_000.0)]
        assert len(outcomes) <= 5
        held = outcomes[3]
        assert numbers(held) == [[24] * 8]
        assert held.warnings[-1] == "one frame stands from 1.20 s to 2000000.00 s: 4,999,997 windows are one row"
        assert window_of(outcomes[-1]).is_last

    @pytest.mark.parametrize("suffix", [".flv", ".avi", ".ts"])
    def test_other_containers_end_as_well(self, tmp_path: Path, suffix: str) -> None:
        codec = {".flv": "flv", ".avi": "mpeg4", ".ts": "mpeg2video"}[suffix]
        path = write_video(tmp_path / f"a{suffix}", 26, codec=codec, size=(128, 128))
        real = index_video(path)
        outcomes = seen(looked_at(path, 0.4, 0.2))
        assert len(outcomes) == 5
        late = replace(real, times_s=np.append(real.times_s[:-1], 1e6), duration_s=1e6 + 0.04)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(timeline, "index_video", lambda file: late)
            outcomes = seen(looked_at(path, 0.4, 0.2))
        assert len(outcomes) <= 8
        assert window_of(outcomes[-1]).end_s == pytest.approx(1e6 + 0.04)

    def test_a_pause_below_two_minutes_stays_in_windows(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mkv", 3, **FAST, times=[0, 40, 110_000])
        outcomes = seen(looked_at(path, 10.0, 10.0))
        assert len(outcomes) == 11
        assert not any("stands" in warning for outcome in outcomes for warning in outcome.warnings)

    @given(
        steps_s=st.lists(st.sampled_from([0.04, 1.0, 119.0, 121.0, 130.5, 500.0]), min_size=1, max_size=5),
        length_s=st.sampled_from([0.7, 2.0, 13.0, 60.0, 125.0]),
        hop_s=st.sampled_from([5.0, 13.0, 61.0, 200.0]),
    )
    def test_rows_are_those_of_a_loop(self, steps_s: list[float], length_s: float, hop_s: float) -> None:
        ends_s = np.cumsum(steps_s)
        index = SimpleNamespace(times_s=np.append(0.0, ends_s[:-1]), num_frames=len(steps_s), duration_s=ends_s[-1])
        windows, number, expected = Windows(length_s, hop_s), 0, []
        held = None  # the frame of the row before, if it stands for minutes
        while not expected or not expected[-1].is_last:
            window = windows.at(number, index.duration_s)
            frame = max(place for place, time_s in enumerate(index.times_s) if time_s <= window.start_s)
            stands = steps_s[frame] > planned.HELD_S and window.end_s <= round(ends_s[frame], 6)
            if stands and held == frame:
                expected[-1] = replace(window, start_s=expected[-1].start_s)
            else:
                expected.append(window)
            held = frame if stands else None
            number += 1
        assert [window for _, window in planned.spans_of(windows, index)] == expected

    def test_going_on_within_and_behind_such_a_row(self, stray: str) -> None:
        job = looked_at(stray, 100.0, 100.0)
        whole = seen(job)
        assert spans(whole)[:2] == [(0, 100), (100, 1_999_900)]  # the last one has the last frame too
        for first in (1, 5, 19_998):
            (rest, *_) = seen(replace(job, first_window=first))
            assert spans([rest]) == [(first * 100, 1_999_900)]
            assert numbers(rest) == numbers(whole[1])

    @pytest.mark.parametrize("most", [1, 12, 13, 14])
    def test_windows_of_a_file_are_bounded_and_the_rest_is_told(self, film: str, most: int) -> None:
        job = looked_at(film, 0.8, 0.8)
        whole = seen(job)
        outcomes = seen(replace(job, windows=Windows(0.8, 0.8, most)))
        assert len(whole) == 13
        assert spans(outcomes[:most]) == spans(whole)[:most]
        if most >= 13:
            assert len(outcomes) == 13
            return
        assert len(outcomes) == most + 1
        assert (outcomes[-1].kind, window_of(outcomes[-1]).is_last) == ("unsupported", True)
        assert spans(outcomes)[-1] == (whole[most].window.start_s, whole[-1].window.end_s)
        assert f"more than {most} windows" in outcomes[-1].message
        # Going on behind the bound says the same, and with a higher one gives what was left out.
        (again,) = seen(replace(job, windows=Windows(0.8, 0.8, most), first_window=most))
        assert (again.message, window_of(again)) == (outcomes[-1].message, window_of(outcomes[-1]))
        assert spans(seen(replace(job, first_window=most))) == spans(whole)[most:]

    def test_frames_are_planned_as_they_are_read(self, film: str, monkeypatch: pytest.MonkeyPatch) -> None:
        planned_windows: list[float] = []
        sample = planned.sample
        monkeypatch.setattr(
            planned,
            "sample",
            lambda *args, from_s: (planned_windows.append(from_s), sample(*args, from_s=from_s))[1],
        )
        stream = (outcome for outcome in outcomes_of(looked_at(film, 0.8, 0.4)) if outcome is not AT_WORK)
        next(stream)
        assert len(planned_windows) <= 4
        list(stream)
        assert len(planned_windows) == 25

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
        """A clock that stands still but for what a test adds to `now`."""
        clock = SimpleNamespace(now=0.0)
        monkeypatch.setattr(timeline, "time", SimpleNamespace(perf_counter=lambda: clock.now))
        return clock

    def test_a_file_has_a_limit_of_time_of_its_own(self, film: str, clock: SimpleNamespace) -> None:
        job = looked_at(film, 0.8, 0.8, limit_s=20.0)  # and a tenth of a second for each of 260 frames
        outcomes = []
        for outcome in outcomes_of(job):
            if outcome is not AT_WORK:
                outcomes.append(outcome)
                clock.now += 9.0  # each far below the limit
        assert [type(outcome) for outcome in outcomes] == [Decoded] * 6 + [LostWindowError]
        assert (outcomes[-1].kind, window_of(outcomes[-1]).is_last) == ("timeout", True)
        assert outcomes[-1].message == "decoding its 260 frames in windows took longer than 46 s"
        assert "--timeout" in outcomes[-1].hint

    def test_time_that_the_reader_of_the_rows_takes_does_not_count(self, film: str, clock: SimpleNamespace) -> None:
        def allocate(shape: tuple[int, ...], dtype: type) -> np.ndarray:
            clock.now += 1000.0
            return np.empty(shape, dtype)

        job = looked_at(film, 0.8, 0.8, limit_s=1.0)
        outcomes = [outcome for outcome in outcomes_of(job, allocate) if outcome is not AT_WORK]
        assert [type(outcome) for outcome in outcomes] == [Decoded] * 13
        assert [outcome.decode_ms for outcome in outcomes] == [0.0] * 13


class TestGoingOn:
    @pytest.mark.parametrize("suffix", [".mp4", ".ts", ".avi"])
    def test_from_a_later_window_gives_what_the_whole_pass_gives(self, tmp_path: Path, suffix: str) -> None:
        codec = "libx264" if suffix == ".mp4" else "mpeg2video"
        path = write_video(tmp_path / f"a{suffix}", 150, codec=codec, size=(128, 128), options={"g": "12"})
        job = looked_at(path, 1.0, 0.5)
        whole = seen(job)
        for first in (0, 1, len(whole) // 2, len(whole) - 1):
            rest = seen(replace(job, first_window=first))
            assert spans(rest) == spans(whole)[first:]
            for ours, theirs in zip(rest, whole[first:], strict=True):
                assert np.array_equal(ours.pixels, theirs.pixels)

    def test_gives_signs_of_life_where_the_way_there_is_long(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(planned, "SIGN_OF_LIFE", 10)
        path = write_video(tmp_path / "a.ts", 150, codec="mpeg2video", size=(128, 128))
        outcomes = list(outcomes_of(looked_at(path, 1.0, 1.0, first_window=4)))
        assert outcomes[:9] == [AT_WORK] * 9  # for a hundred frames
        assert not AVReader(index_video(path)).seeks

    def test_behind_the_end_of_a_video_that_has_become_shorter_is_an_error(self, film: str) -> None:
        (outcome,) = seen(looked_at(film, 1.0, 1.0, first_window=11))
        assert outcome.kind == "decode"
        assert "ends before the window" in outcome.message


class TestDamage:
    @pytest.fixture
    def holed(self, tmp_path: Path) -> str:
        """10 s of which frames 60 to 139 are gone."""
        path = Path(write_video(tmp_path / "a.mov", 250, codec="mjpeg", size=(128, 128), pix_fmt="yuvj420p"))
        data = bytearray(path.read_bytes())
        starts = [place for place in range(len(data) - 3) if data[place : place + 3] == b"\xff\xd8\xff"]
        assert len(starts) == 250
        data[starts[60] : starts[140]] = bytes(starts[140] - starts[60])
        path.write_bytes(data)
        return str(path)

    def test_costs_the_windows_that_have_no_frames_one_error_for_all_in_a_row(self, holed: str) -> None:
        outcomes = seen(looked_at(holed, 1.0, 1.0))
        lost = [outcome for outcome in outcomes if isinstance(outcome, LostWindowError)]
        assert [outcome.kind for outcome in lost] == ["decode"]
        assert spans(outcomes) == [(0, 1), (1, 2), (2, 6), (6, 7), (7, 8), (8, 9), (9, 10)]
        assert lost[0].window.number == 5
        assert [numbers(outcome)[0][0] for outcome in outcomes if outcome is not lost[0]] == [
            round(window_of(outcome).start_s * FPS) + 2 for outcome in outcomes if outcome is not lost[0]
        ]

    def test_of_the_rest_of_a_file_is_one_error_to_its_end(self) -> None:
        outcomes = seen(looked_at(clip("tail_zeroed.mp4"), 1.0, 1.0, transform=Transform(GREY, GREY, 64, 64)))
        assert isinstance(outcomes[-1], LostWindowError)
        assert all(isinstance(outcome, Decoded) for outcome in outcomes[:-1])
        last = outcomes[-1].window
        assert last.is_last
        assert last.end_s == last.duration_s == round(outcomes[0].duration_s, 6)
        assert last.start_s == 3.0  # the last frame is number 67 of 25 a second

    def test_that_ends_the_pass_costs_what_is_left(self, film: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assembled = timeline._assembled

        def fails_in_the_third(planned, *arguments):
            if planned.window.number == 2:
                raise MemoryError
            return assembled(planned, *arguments)

        monkeypatch.setattr(timeline, "_assembled", fails_in_the_third)
        outcomes = seen(looked_at(film, 2.0, 2.0))
        assert spans(outcomes) == [(0, 2), (2, 4), (4, 10.4)]
        assert outcomes[-1].kind == "memory"

    def test_of_any_kind_leaves_no_window_without_an_outcome(self, film: str, tmp_path: Path) -> None:
        whole = Path(film).read_bytes()
        rng = random.Random(0)
        readable = 0
        for number in range(25):
            data = bytearray(whole)
            for _ in range(10 ** rng.randint(0, 3)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            path = tmp_path / f"{number}.mp4"
            path.write_bytes(data[: rng.choice((len(data), len(data) * 3 // 4))])
            outcomes = seen(looked_at(str(path), 2.0, 1.0, sampling=Sampling("native", 4, 5)))
            if window_of(outcomes[0]) is None:
                assert len(outcomes) == 1
                continue
            readable += 1
            expected = 0
            for outcome in outcomes:
                window = window_of(outcome)
                assert window.start_s == expected  # the hop is a second, and so is every step of the starts
                expected = window.number + 1
            assert [window_of(outcome).is_last for outcome in outcomes] == [False] * (len(outcomes) - 1) + [True]
        assert readable > 5


def films(tmp_path: Path, *names: str) -> list[DecodeRequest]:
    return [replace(request(tmp_path / name), windows=Windows(2.0, 2.0)) for name in names]


def told(outcome: Decoded | MediaError) -> object:
    return outcome.kind if isinstance(outcome, MediaError) else int(outcome.pixels[0, 0, 0, 0, 0])


@posix
class TestPool:
    def test_gives_the_windows_of_each_film_in_order(self, tmp_path: Path) -> None:
        with FaultyPool(workers=2) as pool:
            found = list(pool.imap(films(tmp_path, "film-a", "film-b", "film-c")))
        assert [told(outcome) for outcome in found] == [*range(12)] * 3

    def test_pixels_are_those_decoded_without_it(self, film: str, tmp_path: Path) -> None:
        jobs = [looked_at(film, 2.0, 1.0), looked_at("nowhere.mp4", 2.0, 1.0), looked_at(clip("rot90.mp4"), 1.0, 0.5)]
        with DecodePool(workers=2) as pool:
            found = list(pool.imap(jobs))
        here = [outcome for job in jobs for outcome in seen(job)]
        assert [window_of(outcome) for outcome in found] == [window_of(outcome) for outcome in here]
        for ours, theirs in zip(found, here, strict=True):
            if isinstance(theirs, Decoded):
                assert np.array_equal(ours.pixels, theirs.pixels)
                assert (ours.clips, ours.warnings) == (theirs.clips, theirs.warnings)

    def test_a_worker_killed_once_costs_no_window(self, tmp_path: Path) -> None:
        with FaultyPool(workers=1) as pool:
            found = list(pool.imap(films(tmp_path, "film-once", "film-b")))
        assert [told(outcome) for outcome in found] == [*range(12)] * 2
        log = (tmp_path / "film-once.log").read_text().split()
        assert sorted(map(int, log)) == sorted([*range(12), 4])  # it went on where it was

    @pytest.mark.parametrize(("name", "kind"), [("film-dies", "crash"), ("film-hang", "timeout")])
    def test_an_end_in_the_middle_costs_the_rest_of_its_film(self, tmp_path: Path, name: str, kind: str) -> None:
        with FaultyPool(workers=1, timeout_s=1.0) as pool:
            found = list(pool.imap(films(tmp_path, "film-a", name, "film-b")))
        assert [told(outcome) for outcome in found] == [*range(12), 0, 1, 2, 3, kind, *range(12)]
        window = window_of(found[16])
        assert (window.start_s, window.end_s, window.is_last) == (8.0, 24.0, True)

    def test_time_is_for_a_window_and_signs_of_life_count(self, tmp_path: Path) -> None:
        with FaultyPool(workers=1, timeout_s=0.8) as pool:
            stream = pool.imap(films(tmp_path, "film-slow"))
            found = [told(next(stream)) for _ in range(2)]  # 1.2 s each, with a sign every 0.3 s
            stream.close()
        assert found == [0, 1]

    def test_decoding_waits_for_the_reader_and_is_not_late_meanwhile(self, tmp_path: Path) -> None:
        with FaultyPool(workers=1, timeout_s=0.5) as pool:
            stream = pool.imap(films(tmp_path, "film-a"))
            found = [told(next(stream))]
            time.sleep(1.5)
            # One in the shared memory, one that waits for it, one that was on its way; none waits here.
            assert len((tmp_path / "film-a.log").read_text().split()) <= 4
            found += [told(outcome) for outcome in stream]
        assert found == [*range(12)]

    def test_a_film_whose_turn_has_not_come_is_decoded_only_a_little_ahead(self, tmp_path: Path) -> None:
        with FaultyPool(workers=2) as pool:
            stream = pool.imap([request("slow"), *films(tmp_path, "film-a")])
            assert told(next(stream)) == 255
            time.sleep(0.3)
            # Those that wait here, one in the shared memory, one that waits for it, and one that may be on its way.
            assert len((tmp_path / "film-a.log").read_text().split()) <= WINDOWS_AHEAD + 3
            assert [told(outcome) for outcome in stream] == [*range(12)]
