"""`mvit watch`: rows of a stream, the table of a terminal, and how it ends."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from media_clips import clip
from schemas import problems, unnoticed_changes
from senders import tcp_sender
from test_cli import children

from mvit_cli.cli.main import run
from mvit_cli.report.watch.live_table import LiveTable, line_of_row

CLIP = str(Path(__file__).parent / "data" / "pan_left.mp4")
KEYS = [
    *("source", "status", "at", "stream_s", "label", "score", "predictions", "clips", "lag_s", "dropped_frames"),
    *("frames", "fps", "reconnects", "preset", "weights", "views", "activation", "device", "dtype", "model_ms"),
    "warnings",
]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def row(label: str = "pan left", stream_s: float = 2.1, **changed: Any) -> Any:
    return {
        "source": "rtsp://cam/live",
        "status": "ok",
        "at": "2026-11-26T14:54:39.842Z",
        "stream_s": stream_s,
        "label": label,
        "score": 0.956,
        "predictions": [
            {"index": 1, "label": label, "score": 0.956},
            {"index": 4, "label": "tilt down", "score": 0.006},
        ],
        "clips": [{"start_s": 0.0, "end_s": stream_s}],
        "lag_s": 0.148,
        "dropped_frames": 3,
        "frames": 53,
        "fps": 25.0,
        "reconnects": 0,
        "preset": "camera_motion",
        "weights": "camera_motion.embedded",
        "views": "1x1",
        "activation": "softmax",
        "device": "cpu",
        "dtype": "float32",
        "model_ms": 114.4,
        "warnings": [],
        **changed,
    }


def test_a_file_that_is_played_gives_rows_as_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["watch", CLIP, "--realtime", "--preset", "camera", "--every", "0.4", "--top", "2"]) == 0
    told = capsys.readouterr()
    rows = [json.loads(line) for line in told.out.splitlines()]
    assert rows
    for one in rows:
        assert list(one) == KEYS
        assert problems("watch", one) == []
        assert (one["source"], one["label"], one["views"]) == (CLIP, "pan left", "1x1")
    assert rows[-1]["stream_s"] <= 3.04
    assert unnoticed_changes("watch", rows[0]) == []
    assert told.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([CLIP], f"{CLIP} is a file, no stream"),
        (["99"], "camera 99: there is no /dev/video99"),
        (["tcp://u:secret@127.0.0.1:1/live", "--realtime"], "--realtime plays a file or a pipe"),
        ([CLIP, "--realtime", "--reconnect", "3"], f"--reconnect: {CLIP} cannot be opened again"),
        (["udp://127.0.0.1:9", "--reconnect", "often"], "--reconnect 'often' is no number of tries"),
        ([CLIP, "--realtime", "--every", "0"], "--every 0 is no time"),
        (["tcp://u:secret@127.0.0.1:1/live"], "tcp://127.0.0.1:1/live: it cannot be opened"),
        ([clip("ffconcat.mp4"), "--realtime"], "an ffconcat script, not a video"),
    ],
)
def test_what_cannot_be_watched_is_one_line_and_a_way_out(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["watch", *arguments, "--preset", "camera"]) in (1, 2)
    told = capsys.readouterr()
    assert told.out == ""
    assert "secret" not in told.err
    error, hint = told.err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert hint.startswith("hint: ")


HEARING_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in whose background the tests run ignores it
from mvit_cli.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        pytest.param(signal.SIGTERM, 143, "terminated", marks=pytest.mark.slow),  # starts torch once more
    ],
)
def test_it_ends_cleanly_when_it_is_told_to(number: int, code: int, word: str) -> None:
    show = Path(clip("h264.ts")).read_bytes()
    with tcp_sender(show, hold=True) as port:
        command = [sys.executable, "-c", HEARING_CTRL_C, "watch", f"tcp://127.0.0.1:{port}", "--preset", "camera"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
            assert running.stdout
            assert running.stderr
            first = json.loads(running.stdout.readline())
            workers = children(running.pid)
            running.send_signal(number)
            assert running.wait(60) == code
            assert word in running.stderr.read()
    assert problems("watch", first) == []
    assert workers
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_the_process_that_reads_loads_no_torch() -> None:
    code = "import sys, mvit_cli.live.grabber; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# The table


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [80, 40])
def test_the_table_fits_its_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    run_of: Any = {"weights": "camera_motion.embedded", "device": "cpu"}
    table = LiveTable(stream, run_of, "rtsp://camera.local:554/a-rather-long-path/live", 1.0)
    with table.showing():
        for number in range(30):
            table.take(row("a class with a name of many words, as they are", 2.1 + number))
        table.tell("rtsp://cam/live: the stream ended; trying again in 1 s (1 of 10)\x1b[2J")
    text = stream.getvalue()
    assert "\x1b[2J" not in text
    last = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", text.rpartition("\x1b[2K")[2])
    lines = last.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= 24
    shown = "".join(lines)
    assert "95.6 %" in shown
    assert "0:31.1" in shown  # the newest row, and the last one
    assert "0:02.1" not in shown
    assert "90 frames dropped" in " ".join(last.split())


def test_a_row_in_a_file_is_a_line() -> None:
    assert line_of_row(row()) == ("   0:02.1  pan left                   95.6 %  lag 0.15 s, 3 frames dropped")
