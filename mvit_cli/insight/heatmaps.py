"""`mvit predict --heatmap`: for each row where its best class was seen, as files and as pictures for the page."""

import copy
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.insight.colours import over_crop, step_of, strength_of
from mvit_cli.insight.files import write_heat
from mvit_cli.insight.gradient import gradient
from mvit_cli.insight.heat import Method, by_place, check_method, rollout
from mvit_cli.media.request import Decoded, Detail, Pictures
from mvit_cli.media.strips import pictures_by
from mvit_cli.recognition.device import is_out_of_memory
from mvit_cli.recognition.local_engine import LocalEngine, Sources, no_pictures
from mvit_cli.recognition.scoring import normalised
from mvit_cli.records import OkRow, Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mvit_cli.model import MViT

MOST_SPANS = 40
"""Of a video in windows, for how many spans of one class a page is given heat."""


def rows_with_heat(
    engine: LocalEngine,
    sources: Sources,
    folder: Path | None,
    method: Method = "gradient",
    wanted: Callable[[int], Detail] = no_pictures,
) -> "Generator[tuple[Row, Pictures | None], None, None]":
    """Yields rows as the engine does, and with the pictures those with heat laid over them, where a page shows them.

    One pass more through the plain network for each view, one view at a time; of a gradient three, and one back.

    Args:
        folder: where each row that is ok leaves `NAME.png`, `NAME.npz` and `NAME.clipN.webp`; None: nowhere, and heat
            is found only for what a page shows.

    Raises:
        MViTError: a file cannot be written, or the device has too little memory.
    """
    network = _precise(engine)
    check_method(method, network.config)
    shown = Shown()
    with closing(engine.items(sources, wanted, whole=folder is not None)) as items:
        for item in items:
            row = engine.row_of(item)
            pictures = None if isinstance(item.outcome, MediaError) else item.outcome.pictures
            is_shown = shown.takes(row, pictures)
            if row["status"] == "ok" and isinstance(item.outcome, Decoded) and (folder or is_shown):
                heat = heat_of(engine, network, item.outcome.pixels, row["predictions"][0]["index"], method)
                if folder:
                    _write(folder, item.outcome, heat, row, method)
                if pictures and is_shown:
                    pictures = replace(pictures, heat=pictures_of_heat(item.outcome, heat, engine.recipe.views.crops))
            yield row, pictures


class Shown:
    """Which rows a page shows the heat of: those with strips; of windows the first of each span of a class."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._label: str | None = None
        self._spans = 0

    def takes(self, row: Row, pictures: Pictures | None) -> bool:
        """Whether the page shows the heat of a row; each row is asked for once, in their order."""
        if not row.get("window"):
            return bool(pictures and pictures.strips)
        label = row["predictions"][0]["label"] if row["status"] == "ok" else None
        begins_input = row["path"] != self._path
        begins_span = begins_input or label != self._label
        self._path, self._label = row["path"], label
        self._spans = begins_span + (0 if begins_input else self._spans)
        return bool(pictures) and begins_span and self._spans <= MOST_SPANS


def heat_of(
    engine: LocalEngine, network: "MViT", pixels: "NDArray[Any]", index: int, method: Method
) -> "NDArray[np.float32]":
    """`(views, T, H, W, 3)` pixels -> `(views, T', H', W')`: where the views saw the class, by a method.

    Raises:
        MViTError: the device has too little memory.
    """
    import torch

    scorer, dtype, maps = engine.scorer, next(network.parameters()).dtype, []
    with torch.inference_mode(), scorer.lock:
        for view in torch.from_numpy(pixels):
            clip = normalised(view[None].to(scorer.device), engine.recipe.transform).to(dtype)
            try:
                if method == "gradient":
                    heat = gradient(network, clip, index)
                else:
                    heat = by_place(network, clip, index) if method == "split" else rollout(network, clip)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                message = f"--heatmap-method {method}: one view does not fit into the memory of {scorer.device}"
                raise MViTError(message, "leave --heatmap out, or try --device cpu") from error
            maps.append(heat[0].float().cpu())
    found: NDArray[np.float32] = torch.stack(maps).numpy()
    return found


def pictures_of_heat(decoded: Decoded, heat: "NDArray[np.float32]", crops: int) -> Pictures:
    """The frames of the file's pictures once more, with the heat of their own crop laid over them.

    Args:
        heat: `(views, T', H', W')`.
    """
    assert decoded.pictures is not None
    pixels, strength = decoded.pixels[crops // 2 :: crops], strength_of(heat)[crops // 2 :: crops]
    frames, steps = pixels.shape[1], strength.shape[1]

    def frame_of(place: tuple[int, int]) -> "NDArray[np.uint8]":
        clip, frame = place
        return over_crop(pixels[place], strength[clip, step_of(frame, frames, steps)])

    detail: Detail = "strips" if decoded.pictures.strips else "poster"
    return pictures_by(frame_of, pixels.shape[2], decoded.clips, detail)


def _precise(engine: LocalEngine) -> "MViT":
    """The plain network in float32 at least: in fewer digits a gradient does not add up."""
    assert engine.plain is not None
    if next(engine.plain.parameters()).dtype.itemsize >= 4:
        return engine.plain
    return copy.deepcopy(engine.plain).float()


def _write(folder: Path, decoded: Decoded, heat: "NDArray[np.float32]", row: OkRow, method: Method) -> None:
    try:
        write_heat(folder, decoded, heat, row, method)
    except OSError as error:
        raise MViTError(f"--heatmap {folder}: {error.strerror}", "make room, or name another folder") from error
