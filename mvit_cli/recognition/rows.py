"""One row for each input: the object that every format is made of. Keys and their order are the public contract."""

from typing import TYPE_CHECKING, TypeVar, cast

from mvit_cli.errors import MediaError
from mvit_cli.media.request import Decoded, Window
from mvit_cli.media.tracks import Track
from mvit_cli.records import (
    ErrorKind,
    ErrorRow,
    OkRow,
    PartSpan,
    Prediction,
    ReaderName,
    Row,
    RowError,
    Run,
    WindowSpan,
)

if TYPE_CHECKING:
    from torch import Tensor

RowT = TypeVar("RowT", OkRow, ErrorRow)


def prediction_list(
    scores: "Tensor", labels: tuple[str, ...] | None, top: int, threshold: float | None = None
) -> list[Prediction]:
    """The best classes, best first; a class without a name goes by its index.

    Args:
        scores: `(classes,)`, 0..1.
        top: how many.
        threshold: instead, all whose score is this or a higher one; the best one stays, whatever its score: a row that
            was recognised says as what.
    """
    best = scores.topk(min(top, len(scores)) if threshold is None else len(scores))
    listed: list[Prediction] = [
        {"index": index, "label": labels[index] if labels else str(index), "score": _digits(score)}
        for index, score in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    if threshold is None:
        return listed
    return [entry for entry in listed if entry["score"] >= threshold] or listed[:1]


def told_of(path: str, track: Track | None, row: "RowT") -> "RowT":
    """The row with what it is about at its beginning: the path, and the track that was cut out of it."""
    if track is None:
        return row
    of = {"path": path, "track": track.name, "boxes_digest": track.digest}
    return cast("RowT", of | row)


def ok_row(
    path: str, run: Run, decoded: Decoded, predictions: list[Prediction], warnings: list[str], model_ms: float
) -> OkRow:
    """The row of a recognised file, or of a window of it.

    Args:
        model_ms: what the network took, milliseconds.
    """
    row: OkRow = {
        "path": path,
        "status": "ok",
        "window": {"start_s": 0.0, "end_s": 0.0},  # the order of keys is part of the contract
        "preset": run["preset"],
        "weights": run["weights"],
        "views": run["views"],
        "activation": run["activation"],
        "predictions": predictions,
        "clips": [{"start_s": round(clip.start_s, 6), "end_s": round(clip.end_s, 6)} for clip in decoded.clips],
        "duration_s": round(decoded.duration_s, 6),
        "reader": cast("ReaderName", decoded.reader),
        "warnings": warnings,
        "device": run["device"],
        "dtype": run["dtype"],
        "timing_ms": {"decode": round(decoded.decode_ms, 1), "model": round(model_ms, 1)},
    }
    if decoded.window:
        row["window"] = _span(decoded.window)
    else:
        del row["window"]
    return row


def error_row(path: str, error: MediaError, window: Window | None = None, *, in_windows: bool = False) -> ErrorRow:
    """The row of a file, or a part of it, that gave no scores.

    Args:
        window: the part; with it the row has the length of the file too, like the other rows.
        in_windows: whether the rows of the run have windows; of a file that gave none it is null.
    """
    told: RowError = {"kind": cast("ErrorKind", error.kind), "message": error.message}
    if error.hint:
        told["hint"] = error.hint
    row: ErrorRow = {"path": path, "status": "error", "error": told}
    if in_windows:
        row = {"path": path, "status": "error", "window": _span(window) if window else None, "error": told}
    if window:
        row["duration_s"] = window.duration_s
    return row


def about_part(row: Row, part: tuple[float, float | None] | None) -> Row:
    """The row of a part of a file, which says so; of a whole file as it is."""
    if part is None:
        return row
    told: PartSpan = {"start_s": part[0], "end_s": part[1]}
    return cast("Row", {"path": row["path"], "status": row["status"], "part": told, **row})  # in the contract's order


def _span(window: Window) -> WindowSpan:
    span: WindowSpan = {"start_s": window.start_s, "end_s": window.end_s}
    if window.is_last and window.end_s < window.duration_s:
        span["last"] = True
    return span


def _digits(score: float) -> float:
    """As many digits as a float32 has."""
    return float(f"{score:.7g}")
