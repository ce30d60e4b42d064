"""`mvit predict --heatmap DIR`: for each row what is laid over its frames, as a sheet and moving, and the numbers."""

import io
import os
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.insight.gradient import gradient
from mvit_cli.insight.heat import Method, by_place, check_method, rollout
from mvit_cli.media.file_names import name_for
from mvit_cli.media.request import Decoded, Detail, Pictures
from mvit_cli.recognition.local_engine import LocalEngine, Sources, no_pictures
from mvit_cli.recognition.scoring import normalised
from mvit_cli.records import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

FRAMES_SHOWN = 8
OPAQUE = 0.6
"""Share of the colour where the heat is greatest."""

BRIGHTEST = 0.995
"""Share of the places that are less hot than what is drawn as the hottest: one place alone does not dim all others."""

# From dark blue over green to yellow: rising in lightness, told apart by all eyes and in grey. Anchors of our own.
COLOURS = ((24, 16, 64), (36, 76, 130), (30, 130, 125), (110, 180, 80), (250, 230, 60))


def rows_with_heat(
    engine: LocalEngine,
    sources: Sources,
    folder: Path,
    method: Method = "gradient",
    wanted: Callable[[int], Detail] = no_pictures,
) -> "Generator[tuple[Row, Pictures | None], None, None]":
    """Yields rows as the engine does; each that is ok has left `NAME.png`, `NAME.npz` and `NAME.clipN.webp` there.

    One pass more through the plain network for each view, one view at a time; of a gradient three, and one back.

    Raises:
        MViTError: a file cannot be written.
    """
    model: Any = engine.scorer.model
    check_method(method, model.config)
    with closing(engine.items(sources, wanted)) as items:
        for item in items:
            row = engine.row_of(item)
            if row["status"] == "ok" and isinstance(item.outcome, Decoded):
                try:
                    _write(engine, item.outcome, row, folder, method)
                except OSError as error:
                    raise MViTError(
                        f"--heatmap {folder}: {error.strerror}", "make room, or name another folder"
                    ) from error
            yield row, None if isinstance(item.outcome, MediaError) else item.outcome.pictures


def name_of(row: Row) -> str:
    """A file name for a row, without a suffix."""
    window = row.get("window")
    return name_for(row["path"], f"@{window['start_s']:g}s" if window else "")


def heat_of(engine: LocalEngine, pixels: "NDArray[Any]", index: int, method: Method) -> "NDArray[np.float32]":
    """`(views, T, H, W, 3)` pixels -> `(views, T', H', W')`: where the views saw the class, by a method."""
    import torch

    scorer = engine.scorer
    model: Any = scorer.model
    maps = []
    with torch.inference_mode(), scorer.lock:
        for view in torch.from_numpy(pixels):
            clip = normalised(view[None].to(scorer.device), engine.recipe.transform).to(scorer.dtype)
            if method == "gradient":
                heat = gradient(model, clip, index)
            else:
                heat = by_place(model, clip, index) if method == "split" else rollout(model, clip)
            maps.append(heat[0].float().cpu())
    found: NDArray[np.float32] = torch.stack(maps).numpy()
    return found


def _write(engine: LocalEngine, decoded: Decoded, row: Any, folder: Path, method: Method) -> None:
    import numpy as np

    best = row["predictions"][0]
    heat = heat_of(engine, decoded.pixels, best["index"], method)
    name, crops = name_of(row), engine.recipe.views.crops
    frames = overlaid(decoded.pixels[crops // 2 :: crops], heat[crops // 2 :: crops])
    sheet, numbers = io.BytesIO(), io.BytesIO()
    sheet_of(frames).save(sheet, "PNG")
    np.savez_compressed(
        numbers,
        heat=heat,
        path=np.asarray(row["path"]),
        label=np.asarray(best["label"]),
        index=np.asarray(best["index"]),
        method=np.asarray(method),
        clips=np.asarray([[clip["start_s"], clip["end_s"]] for clip in row["clips"]]),
    )
    _put(folder / f"{name}.png", sheet.getbuffer())
    _put(folder / f"{name}.npz", numbers.getbuffer())
    for number, (clip, span) in enumerate(zip(frames, row["clips"], strict=True), start=1):
        _put(folder / f"{name}.clip{number}.webp", moving(clip, span["end_s"] - span["start_s"]))


def _put(target: Path, data: memoryview) -> None:
    """Writes beside the target and gives it its name: whole or not at all, and never into what a link there names."""
    unfinished = target.with_name(f".{os.getpid()}-{target.name}")
    try:
        with open(unfinished, "xb") as stream:
            stream.write(data)
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def overlaid(pixels: "NDArray[Any]", heat: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    """Frames with the heat laid over them; the same scale for all.

    Args:
        pixels: `(clips, T, H, W, 3)`, 0..255.
        heat: `(clips, T', H', W')`; what speaks against the class is shown as nothing.

    Returns:
        `(clips, T, H, W, 3)`.
    """
    import numpy as np

    frames = pixels.shape[1]
    strength = np.clip(heat, 0, None)
    strength = strength / max(float(np.quantile(strength, BRIGHTEST)), 1e-12)
    return np.stack(
        [
            [_overlaid(frame, of_clip[int((place + 0.5) / frames * len(of_clip))]) for place, frame in enumerate(clip)]
            for clip, of_clip in zip(pixels, strength, strict=True)
        ]
    )


def sheet_of(frames: "NDArray[np.uint8]") -> "Image.Image":
    """A row of frames for each clip, of `(clips, T, H, W, 3)`; of a long clip evenly chosen ones."""
    import numpy as np
    from PIL import Image

    shown = np.unique(np.linspace(0, frames.shape[1] - 1, min(frames.shape[1], FRAMES_SHOWN)).round().astype(int))
    return Image.fromarray(np.concatenate([np.concatenate(list(clip[shown]), axis=1) for clip in frames]))


def moving(frames: "NDArray[np.uint8]", duration_s: float) -> memoryview:
    """`(T, H, W, 3)` as the file of an animated WebP that lasts as long as its clip, and begins anew."""
    from PIL import Image

    stream = io.BytesIO()
    first, *others = (Image.fromarray(frame) for frame in frames)
    each_ms = max(20, round(1000 * duration_s / len(frames)))
    first.save(stream, "WEBP", save_all=True, append_images=others, duration=each_ms, loop=0, quality=80)
    return stream.getbuffer()


def _overlaid(frame: "NDArray[Any]", strength: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    import numpy as np
    from PIL import Image

    height, width = frame.shape[:2]
    grey = Image.fromarray(strength.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    share = np.clip(np.asarray(grey), 0, 1)
    steps = np.linspace(0, 1, len(COLOURS))
    colour = np.stack([np.interp(share, steps, [entry[channel] for entry in COLOURS]) for channel in range(3)], axis=-1)
    alpha = OPAQUE * share[..., None]
    mixed = frame.astype(np.float32) * (1 - alpha) + colour * alpha
    shown: NDArray[np.uint8] = np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)
    return shown
