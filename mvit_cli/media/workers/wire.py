"""What a pool and its workers say to each other: frames of JSON, and behind it from the worker what it made for eyes.

The worker has had untrusted files in native libraries, and may no longer be ours. So the pool unpickles nothing, takes
no length on trust, and reads each field as what it must be.

    8 bytes: length of the JSON, length of what is behind it (little-endian)
    {"number": 3, "slot": 0, "limit_s": 60.0, "request": {"path": ...}}    to the worker: a job
    {"number": 3}                                                          to the worker: the last window was taken out
    {"says": "ready"}
    {"says": "alive", "number": 3}
    {"says": "error", "number": 3, "error": [kind, message, hint], "window": [...] or null}
    {"says": "decoded", "number": 3, "shape": [1, 16, 224, 224, 3], "dtype": "|u1", "clips": [...], ...}
"""

import json
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict, astuple
from typing import Any

from mvit_cli.errors import MediaError
from mvit_cli.media.request import (
    AT_WORK,
    AtWork,
    Clip,
    Decoded,
    DecodeRequest,
    Look,
    LostWindowError,
    Outcome,
    Pictures,
    Strip,
    WholeFrames,
    Window,
    Windows,
    window_of,
)
from mvit_cli.media.tracks import Track
from mvit_cli.protocol import Sampling, Transform

LENGTHS = struct.Struct("<II")
# A file of 1,000 clips of 64 frames says less than 1 MB; its pictures are bounded by `strips`, whole frames by `whole`.
MAX_FRAME_BYTES = 64 << 20
DTYPES = ("|u1", "<f4")


def write_frame(descriptor: int, text: bytes, behind: bytes = b"") -> None:
    """Writes one frame, without Python's buffers: a thread in a buffered call holds a lock that the end needs.

    Raises:
        OSError: nobody reads.
    """
    left = memoryview(LENGTHS.pack(len(text), len(behind)) + text + behind)
    while left:
        left = left[os.write(descriptor, left) :]


def read_frame(descriptor: int) -> tuple[bytes, bytes]:
    """The text of the next frame, and what is behind it.

    Raises:
        EOFError: the other side has ended.
        ValueError: a frame longer than any that is written.
        OSError: the descriptor cannot be read.
    """
    lengths = LENGTHS.unpack(_exactly(descriptor, LENGTHS.size))
    if sum(lengths) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {sum(lengths)} bytes")
    return _exactly(descriptor, lengths[0]), _exactly(descriptor, lengths[1])


def _exactly(descriptor: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = os.read(descriptor, min(size - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def packed_job(number: int, slot: int, request: DecodeRequest, limit_s: float) -> bytes:
    """The text of a frame that hands a job to a worker; a path that is no UTF-8 crosses as Python has it."""
    return _text({"number": number, "slot": slot, "limit_s": limit_s, "request": asdict(request)})


def packed_leave(number: int) -> bytes:
    """The text of a frame that lets a worker put the next window in."""
    return _text({"number": number})


def job_of(text: bytes) -> tuple[int, int, DecodeRequest, float] | int:
    """The job that a frame hands over: number, slot, request and limit; or the number alone of one that goes on.

    Nothing of it is checked: it comes from the program that started this one.
    """
    said = json.loads(text)
    if "request" not in said:
        return int(said["number"])
    told = said["request"]
    transform, windows, part, look, track, member = (
        told.pop(name) for name in ("transform", "windows", "part", "look", "track", "member")
    )
    transform |= {name: tuple(transform[name]) for name in ("mean", "std")}
    request = DecodeRequest(
        **told | {"sampling": Sampling(**told["sampling"])},
        transform=Transform(**transform),
        windows=windows and Windows(**windows),
        part=part and tuple(part),
        look=look and Look(**look | {"box": tuple(look["box"])}),
        track=track and Track.of(track),
        member=member and tuple(member),
    )
    return said["number"], said["slot"], request, said["limit_s"]


def packed(number: int, outcome: Outcome | AtWork) -> tuple[bytes, bytes]:
    """The two parts of a frame on an outcome: all but its pixels, with their shape and dtype."""
    if outcome is AT_WORK:
        return _text({"says": "alive", "number": number}), b""
    window = window_of(outcome)
    said: dict[str, Any] = {"number": number, "window": astuple(window) if window else None}
    if isinstance(outcome, MediaError):
        return _text({**said, "says": "error", "error": [outcome.kind, outcome.message, outcome.hint]}), b""
    pictures = outcome.pictures
    strips = [pictures.poster, *pictures.strips] if pictures else []
    said |= {
        "says": "decoded",
        "shape": outcome.pixels.shape,
        "dtype": outcome.pixels.dtype.str,
        "clips": [astuple(clip) for clip in outcome.clips],
        "duration_s": outcome.duration_s,
        "reader": outcome.reader,
        "warnings": outcome.warnings,
        "decode_ms": outcome.decode_ms,
        "strips": [[s.clip, s.num_frames, s.width, s.height, len(s.jpeg)] for s in strips],
    }
    behind = [strip.jpeg for strip in strips]
    said["whole"] = [[whole.pixels.shape[:3], whole.indices, whole.times_s, whole.boxes] for whole in outcome.whole]
    behind += [whole.pixels.tobytes() for whole in outcome.whole]
    return _text(said), b"".join(behind)


def _text(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode()


def parsed(frame: tuple[bytes, bytes]) -> dict[str, Any]:
    """What a frame says, with what is behind it under `behind`.

    Raises:
        ValueError: it is no frame of a worker.
    """
    try:
        said = json.loads(frame[0])
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(said, dict) or said.get("says") not in ("ready", "alive", "error", "decoded"):
        raise ValueError("no answer of a worker")
    return {**said, "behind": frame[1]}


def shape_of(said: dict[str, Any], most_values: int) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of the pixels that wait in the slot; None where the answer has none.

    Args:
        most_values: that the request can give.

    Raises:
        ValueError: there cannot be so many.
    """
    if said["says"] != "decoded":
        return None
    shape, count = tuple(_numbers(said.get("shape"), 5)), 1
    for side in shape:
        count *= side
    if min(shape) < 0 or count > most_values or said.get("dtype") not in DTYPES:
        raise ValueError("pixels that nobody asked for")
    return shape, said["dtype"]


def outcome_of(said: dict[str, Any], pixels: object) -> Outcome:
    """The outcome that an answer tells.

    Args:
        pixels: those of a file that was decoded.

    Raises:
        ValueError: a field is missing or not what it must be.
    """
    try:
        window = _window(said["window"])
        if said["says"] == "error":
            error = MediaError(*(_string(part) for part in said["error"]))
            return LostWindowError(error, window) if window else error
        return Decoded(
            pixels,
            tuple(Clip(tuple(_numbers(clip[0])), float(clip[1]), float(clip[2])) for clip in said["clips"]),
            float(said["duration_s"]),
            _string(said["reader"]),
            tuple(_string(warning) for warning in said["warnings"]),
            float(said["decode_ms"]),
            _pictures(said["strips"], said["behind"]),
            window,
            tuple(_wholes(said)),
        )
    except (KeyError, IndexError, TypeError, OverflowError) as error:
        raise ValueError("an answer with a part that is missing or of another kind") from error


def _window(told: Any) -> Window | None:
    if told is None:
        return None
    number, *times_s, is_last = told
    start_s, end_s, duration_s = map(float, times_s)
    return Window(_numbers([number])[0], start_s, end_s, duration_s, is_last is True)


def _pictures(told: list[list[int]], behind: bytes) -> Pictures | None:
    strips, place = [], 0
    for one in told:
        clip, frames, width, height, length = _numbers(one, 5)
        strips.append(Strip(clip, frames, width, height, behind[place : place + length]))
        place += length
    return Pictures(strips[0], tuple(strips[1:])) if strips else None


def _wholes(said: dict[str, Any]) -> Iterator[WholeFrames]:
    """The whole frames that stand behind the strips: of all clips together, or one after the other of each."""
    told, clips = said["whole"], said["clips"]
    if len(told) not in (0, 1, len(clips)):
        raise ValueError("whole frames of clips that there are not")
    place = sum(strip[-1] for strip in said["strips"])
    for number, whole in enumerate(told):
        of = clips if len(told) == 1 else [clips[number]]
        frames = _whole(whole, {index for clip in of for index in clip[0]}, said["behind"][place:])
        if len(clips) * len(frames.boxes) != said["shape"][0]:
            raise ValueError("crops that are not those of the clips")
        place += frames.pixels.nbytes
        yield frames
    if told and place != len(said["behind"]):
        raise ValueError("more behind an answer than it says")


def _whole(told: list[Any], shown: set[int], behind: bytes) -> WholeFrames:
    """Whole frames at the beginning of what stands behind: all that are shown, with a box for each crop."""
    import numpy as np

    shape, indices, times_s, boxes = told
    count, height, width = _numbers(shape, 3)
    length = count * height * width * 3
    if min(count, height, width) < 1 or len(behind) < length:
        raise ValueError("whole frames of another size than was said")
    if len(_numbers(indices)) != count or len(times_s) != count:
        raise ValueError("whole frames that nobody counted")
    if not shown <= set(indices):
        raise ValueError("whole frames that are not those of the clips")
    pixels = np.frombuffer(behind, np.uint8, length).reshape(count, height, width, 3)
    shares = tuple((float(left), float(top), float(right), float(bottom)) for left, top, right, bottom in boxes)
    if not all(-1 < share < 2 for box in shares for share in box):
        raise ValueError("crops far out of the frame")
    return WholeFrames(pixels, tuple(indices), tuple(map(float, times_s)), shares)


def _numbers(told: object, count: int | None = None) -> list[int]:
    if not isinstance(told, list) or count not in (None, len(told)) or any(type(part) is not int for part in told):
        raise ValueError("no whole numbers")
    return told


def _string(told: object) -> str:
    if not isinstance(told, str):
        raise TypeError("no text")
    return told
