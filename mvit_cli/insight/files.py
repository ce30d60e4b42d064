"""The files of one row's heat: a sheet of frames, each clip moving, and the numbers."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_cli.insight.colours import colour_scale, over_whole, step_of, strength_of
from mvit_cli.media.file_names import name_for
from mvit_cli.media.request import Decoded
from mvit_cli.media.strips import MAX_STRIPS, evenly
from mvit_cli.records import OkRow, Row
from mvit_cli.whole_files import written_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

FRAMES_SHOWN = 8
SHEET_SIDE = 240
"""Pixels of the longer side of a frame on the sheet."""

GAP = 4
KEY_HEIGHT = 28
KEY_STEPS = 64
MOST_LETTERS = 60


def write_heat(folder: Path, decoded: Decoded, heat: "NDArray[np.float32]", row: OkRow, method: str) -> None:
    """Writes `NAME.png`, `NAME.npz` and for each clip `NAME.clipN.webp`, each whole or not at all.

    Args:
        decoded: with its whole frames.
        heat: `(views, T', H', W')`.

    Raises:
        OSError: a file cannot be written.
    """
    name, clips = name_of(row), row["clips"]
    strength = strength_of(heat).reshape(len(clips), -1, *heat.shape[1:])  # (clips, crops, T', H', W')
    shown = evenly(len(clips), MAX_STRIPS)
    rows_of_sheet = []
    for number, clip in enumerate(clips):
        frames = overlaid(decoded, number, strength[number])
        _put(folder / f"{name}.clip{number + 1}.webp", moving(frames, clip["end_s"] - clip["start_s"]))
        if number in shown:
            rows_of_sheet.append(frames[evenly(len(frames), FRAMES_SHOWN)])
    best = row["predictions"][0]
    sheet = io.BytesIO()
    sheet_of(rows_of_sheet, f"{best['label']}, by {method}").save(sheet, "PNG")
    _put(folder / f"{name}.png", sheet.getbuffer())
    _put(folder / f"{name}.npz", numbers_of(decoded, heat, row, method))


def name_of(row: Row) -> str:
    """A file name for a row, without a suffix."""
    if "track" in row:
        return name_for(row["path"], f".track-{row['track']}")
    if window := row.get("window"):
        return name_for(row["path"], f"@{window['start_s']:g}s")
    part = row.get("part")
    if not part:
        return name_for(row["path"])
    end = "" if part["end_s"] is None else f"-{part['end_s']:g}"
    return name_for(row["path"], f"@{part['start_s']:g}{end}s")


def numbers_of(decoded: Decoded, heat: "NDArray[np.float32]", row: OkRow, method: str) -> memoryview:
    """The bytes of the file of numbers: the heat, and what it is of."""
    import numpy as np

    best, stream = row["predictions"][0], io.BytesIO()
    times_s = {index: at for whole in decoded.whole for index, at in zip(whole.indices, whole.times_s, strict=True)}
    boxes = np.asarray([decoded.whole_of(number).boxes for number in range(len(decoded.clips))], np.float64)
    np.savez_compressed(
        stream,
        heat=heat,
        boxes=boxes if "track" in row else boxes[0],
        times_s=np.asarray([[times_s[index] for index in clip.indices] for clip in decoded.clips]),
        clips=np.asarray([[clip["start_s"], clip["end_s"]] for clip in row["clips"]]),
        path=np.asarray(row["path"]),
        label=np.asarray(best["label"]),
        index=np.asarray(best["index"]),
        method=np.asarray(method),
        track=np.asarray(row.get("track", "")),
    )
    return stream.getbuffer()


def overlaid(decoded: Decoded, number: int, strength: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    """The whole frames of one clip under the heat of all its crops: `(T, H, W, 3)`.

    Args:
        number: of the clip.
        strength: `(crops, T', H', W')`, 0..1.
    """
    import numpy as np

    whole, indices = decoded.whole_of(number), decoded.clips[number].indices
    place_of = {index: place for place, index in enumerate(whole.indices)}
    steps = [step_of(frame, len(indices), strength.shape[1]) for frame in range(len(indices))]
    return np.stack(
        [
            over_whole(whole.pixels[place_of[index]], list(strength[:, step]), whole.boxes)
            for index, step in zip(indices, steps, strict=True)
        ]
    )


def sheet_of(clips: "list[NDArray[np.uint8]]", told: str) -> "Image.Image":
    """A row of frames for each clip, each `(frames, H, W, 3)`, and below them what the colours are."""
    from PIL import Image

    sizes = [_size_on_sheet(*clip.shape[1:3]) for clip in clips]
    across, bottom = max(width for width, _ in sizes) + GAP, sum(height + GAP for _, height in sizes)
    sheet = Image.new("RGB", (len(clips[0]) * across - GAP, bottom + KEY_HEIGHT), "white")
    top = 0
    for clip, size in zip(clips, sizes, strict=True):
        for column, frame in enumerate(clip):
            sheet.paste(Image.fromarray(frame).resize(size, Image.Resampling.BOX), (column * across, top))
        top += size[1] + GAP
    _draw_key(sheet, bottom, told)
    return sheet


def _size_on_sheet(height: int, width: int) -> tuple[int, int]:
    """Width and height."""
    scale = min(1.0, SHEET_SIDE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _draw_key(sheet: "Image.Image", top: int, told: str) -> None:
    """The scale of colours and, where there is room, what it stands for."""
    from PIL import ImageDraw

    pen, bar = ImageDraw.Draw(sheet), min(128, sheet.width // 4)
    for step, colour in enumerate(colour_scale(KEY_STEPS)):
        left, right = (bar * edge // KEY_STEPS for edge in (step, step + 1))
        pen.rectangle((left, top + 8, max(left, right - 1), top + 20), fill=colour)
    words = told.encode("latin-1", "replace").decode("latin-1")[:MOST_LETTERS]
    text = f"nothing to most: {words}"
    if bar + 8 + pen.textlength(text) <= sheet.width:
        pen.text((bar + 8, top + 8), text, fill="black")


def moving(frames: "NDArray[np.uint8]", duration_s: float) -> memoryview:
    """`(T, H, W, 3)` as the file of an animated WebP that lasts as long as its clip, and begins anew."""
    from PIL import Image

    stream = io.BytesIO()
    first, *others = (Image.fromarray(frame) for frame in frames)
    each_ms = max(20, round(1000 * duration_s / len(frames)))
    first.save(stream, "WEBP", save_all=True, append_images=others, duration=each_ms, loop=0, quality=80)
    return stream.getbuffer()


def _put(target: Path, data: memoryview) -> None:
    with written_whole(target) as unfinished:
        unfinished.write_bytes(data)
