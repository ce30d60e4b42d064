"""Text is never recognised as a video, whatever it is called."""

import json
from pathlib import Path

import pytest

from mvit_cli.cli.main import run

PROSE = b"The quick brown fox jumps over the lazy dog.\n" * 200
ART = b"\x1b[2J\x1b[1;33;44m" + b"\xb0\xb1\xb2\xdb" * 2000 + b"\x1b[0m\r\n"
XBIN = b"XBIN\x1a\x50\x00\x19\x00\x10\x00" + b"A\x1f" * (80 * 25)
IDF = b"\x041.4\x00\x00\x00\x00\x4f\x00\x18\x00" + b"A\x1f" * (80 * 25) + bytes(4096 + 48)
ADF = b"\x01" + bytes(192) + bytes(4096) + b"A\x1f" * (80 * 25)
RAW = b"A\x1f" * (160 * 25)
TEXTS = {  # what FFmpeg has demuxers for, which draw characters
    "notes.txt": PROSE,
    "clip.mp4": PROSE,
    "readme.nfo": ART,
    "logo.ans": ART,
    "logo.ice": ART,
    "card.diz": PROSE,
    "screen.xb": XBIN,
    "screen.xbin": XBIN,
    "screen.idf": IDF,
    "screen.adf": ADF,
    "screen.bin": RAW,
    "list.mkv": b"".join(b"clips/%d.mp4\n" % number for number in range(900)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_no_video(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_bytes(TEXTS[name])
    assert run(["predict", str(tmp_path / name), "--preset", "camera"]) == 1
    row = json.loads(capsys.readouterr().out)
    assert row["status"] == "error"
    assert row["error"]["kind"] in ("unsupported", "decode", "empty")


def test_a_forgotten_at_is_hinted_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_bytes(TEXTS["list.mkv"])
    assert run(["predict", str(tmp_path / "list.txt"), "--preset", "camera"]) == 1
    assert "@list.txt" in json.loads(capsys.readouterr().out)["error"]["hint"]
