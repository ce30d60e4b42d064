"""One row for each input: the object that every format is made of. Keys and their order are the public contract."""

from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError
from mvit_cli.media.request import Decoded, Window

if TYPE_CHECKING:
    from torch import Tensor

Row = dict[str, Any]


def prediction_list(scores: "Tensor", labels: tuple[str, ...] | None, top: int) -> list[dict[str, Any]]:
    """The best classes, best first; a class without a name goes by its index.

    Args:
        scores: `(classes,)`, 0..1.
    """
    best = scores.topk(min(top, len(scores)))
    return [
        {"index": index, "label": labels[index] if labels else str(index), "score": _digits(score)}
        for index, score in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def ok_row(path: str, run: Row, decoded: Decoded, predictions: list[Row], warnings: list[str], model_ms: float) -> Row:
    """The row of a recognised file, or of a window of it.

    Args:
        run: `preset`, `weights`, `views`, `device` and `dtype`, equal for all files; `activation` where it is sigmoid.
        model_ms: what the network took, milliseconds.
    """
    return {
        "path": path,
        "status": "ok",
        **({"window": _span(decoded.window)} if decoded.window else {}),
        "preset": run["preset"],
        "weights": run["weights"],
        "views": run["views"],
        **({"activation": run["activation"]} if "activation" in run else {}),
        "predictions": predictions,
        "clips": [{"start_s": round(clip.start_s, 6), "end_s": round(clip.end_s, 6)} for clip in decoded.clips],
        "duration_s": round(decoded.duration_s, 6),
        "reader": decoded.reader,
        "warnings": warnings,
        "device": run["device"],
        "dtype": run["dtype"],
        "timing_ms": {"decode": round(decoded.decode_ms, 1), "model": round(model_ms, 1)},
    }


def error_row(path: str, error: MediaError, window: Window | None = None, *, in_windows: bool = False) -> Row:
    """The row of a file, or a part of it, that gave no scores.

    Args:
        window: the part; with it the row has the length of the file too, like the other rows.
        in_windows: whether the rows of the run have windows; of a file that gave none it is null.
    """
    told: Row = {"kind": error.kind, "message": error.message}
    if error.hint:
        told["hint"] = error.hint
    row: Row = {"path": path, "status": "error"}
    if in_windows:
        row["window"] = _span(window) if window else None
    row["error"] = told
    if window:
        row["duration_s"] = window.duration_s
    return row


def _span(window: Window) -> Row:
    return {"start_s": window.start_s, "end_s": window.end_s}


def _digits(score: float) -> float:
    """As many digits as a float32 has."""
    return float(f"{score:.7g}")
