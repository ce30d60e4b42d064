"""The time line of a file: every usable stamp counts, whatever is wrong with the others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvit_cli.media.video.stamps import frame_rate, time_line

STEP = 40


def ticks(stamps, *, wraps=False):
    return time_line(stamps, wraps=wraps).ticks.tolist()


def decoding_order(stamps: list[int]) -> list[int]:
    """Every third frame is decoded before the two that are shown before it."""
    return [stamps[0]] + [stamps[at + place] for at in range(1, len(stamps) - 2, 3) for place in (2, 0, 1)]


def test_whole_stamps_are_kept_to_the_tick():
    line = time_line([0, 120, 40, 80, 160], wraps=False)
    assert line.pts.tolist() == line.ticks.tolist() == [0, 40, 80, 120, 160]


def test_a_repeat_is_nudged_and_all_others_are_kept():
    line = time_line([0, 40, 80, 80, 160, 9000], wraps=False)
    assert line.pts.tolist() == [0, 40, 80, 80, 160, 9000]
    assert line.ticks.tolist() == [0, 40, 80, 120, 160, 9000]


def test_a_repeat_before_a_pause_does_not_fill_it():
    assert ticks([0, 40, 80, 80, 9000, 9040]) == [0, 40, 80, 120, 9000, 9040]


def test_repeats_at_the_end_go_on_at_the_usual_pace():
    assert ticks([0, 40, 80, 80, 80]) == [0, 40, 80, 120, 160]


@pytest.mark.parametrize("missing", [1, 7, 20, 58])
def test_a_missing_stamp_costs_no_other(missing):
    whole = [STEP * number for number in range(30)] + [90_000 + STEP * number for number in range(30)]
    stamps: list[int | None] = list(whole)
    stamps[missing] = None
    line = time_line(stamps, wraps=False)
    assert line.pts is None  # the decoder's output cannot be told apart by its stamps
    assert line.ticks.tolist() == whole


def test_a_missing_stamp_among_reordered_ones_is_set_into_its_gap():
    whole = [STEP * number for number in range(31)]
    stamps: list[int | None] = list(decoding_order(whole))
    stamps[10] = None
    assert ticks(stamps) == whole


@given(pause=st.integers(0, 100_000), at=st.integers(3, 27))
def test_reordering_across_a_pause_is_no_restart(pause, at):
    whole = [STEP * number + (pause if number >= at else 0) for number in range(31)]
    line = time_line(decoding_order(whole), wraps=False)
    assert line.pts.tolist() == whole


def test_after_a_restart_the_stamps_go_on():
    run = [STEP * number for number in range(50)]
    line = time_line([5000 + stamp for stamp in run] + run, wraps=False)
    assert line.pts is None
    assert line.ticks.tolist() == [5000 + STEP * number for number in range(100)]


def test_stamps_that_wrap_go_on_exactly():
    first = 2**33 - 10 * 3600
    stamps = [(first + 3600 * number) % 2**33 for number in range(100)]
    assert ticks(stamps, wraps=True) == [first + 3600 * number for number in range(100)]


@pytest.mark.parametrize("stray", [0, 10**7])
def test_one_stray_stamp_moves_no_other_frame(stray):
    whole = [50_000 + STEP * number for number in range(100)]
    stamps = list(whole)
    stamps[60] = stray
    assert ticks(stamps) == whole


def test_no_stamp_at_all_is_no_time_line():
    assert time_line([None, None], wraps=False) is None


@given(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), min_size=1, max_size=60))
def test_any_stamps_make_a_line_that_goes_forward(stamps):
    line = time_line(stamps, wraps=False)
    if line is not None:
        assert len(line.ticks) == len(stamps)
        assert np.all(np.diff(line.ticks) > 0)


@given(
    frames=st.integers(2, 2000),
    fps=st.sampled_from([6.0, 15.0, 24.0, 25.0, 30000 / 1001, 30.0, 59.94]),
    tick=st.sampled_from([1 / 90000, 1 / 12800, 1 / 1000]),
)
def test_rounded_time_stamps_do_not_hide_the_announced_rate(frames, fps, tick):
    times = np.round(np.arange(frames) / fps / tick) * tick
    assert frame_rate(times, [fps]) == (fps, False)


def test_rate_without_announcement_is_measured():
    measured, variable = frame_rate(np.arange(100) / 12.5, [])
    assert measured == pytest.approx(12.5)
    assert not variable


def test_announced_rate_that_drifts_is_not_believed():
    assert frame_rate(np.arange(1000) / 24, [25.0])[0] == pytest.approx(24)


@pytest.mark.parametrize("length", [3, 12, 31, 60])
def test_a_restart_after_few_frames_is_told_by_the_order_of_decoding(length):
    run = decoding_order([STEP * number for number in range(length - length % 3 + 1)])
    line = time_line(run * 3, wraps=True, anew=[len(run), 2 * len(run)])
    assert line.pts is None
    assert line.ticks.tolist() == [STEP * number for number in range(3 * len(run))]
