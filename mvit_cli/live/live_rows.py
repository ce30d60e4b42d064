"""What is said of one moment of a stream, by the network that predict would ask."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mvit_cli.errors import MediaError
from mvit_cli.findings import LiveRow
from mvit_cli.live.watching import Scored, Watched
from mvit_cli.media.request import Decoded, DecodeRequest
from mvit_cli.media.sources import Source
from mvit_cli.media.transforms import pixel_dtype
from mvit_cli.recognition.batching import Item, scored
from mvit_cli.recognition.local_engine import LocalEngine, request_for
from mvit_cli.recognition.rows import prediction_list
from mvit_cli.records import Run


def request_of(engine: LocalEngine) -> DecodeRequest:
    """How the frames of a stream are shown to the network: as those of a file, but cut by the stream itself."""
    return replace(request_for(engine.recipe, Source("stream")), windows=None)


def warm_up(engine: LocalEngine) -> None:
    """Shows the network a grey clip: its first pass takes longer, and no frame is to wait for it."""
    import numpy as np

    request = request_of(engine)
    engine.scorer.scores_of([np.full(request.pixels_shape, 128, pixel_dtype(request.transform))])
    engine.scorer.take_news()


def score_with(engine: LocalEngine) -> Callable[[Decoded], Scored]:
    """The network as `Watch` asks it."""

    def score(decoded: Decoded) -> Scored:
        (item,) = scored(engine.scorer, [[Item("stream", decoded)]])
        if isinstance(item.scores, MediaError):
            raise item.scores
        assert item.scores is not None
        options = engine.options
        predictions = prediction_list(item.scores, engine.recipe.labels, options.top, options.threshold)
        return Scored(predictions, [*engine.notes, *decoded.warnings, *item.news], item.model_ms)

    return score


def live_row(name: str, watched: Watched, run: Run, now: datetime | None = None) -> LiveRow:
    """The row of one moment.

    Args:
        name: what the stream is called.
        now: of the world's clock; default: this moment.
    """
    seen, made = watched.seen, watched.scored
    came = (now or datetime.now(UTC)) - timedelta(seconds=watched.lag_s)
    return {
        "source": name,
        "status": "ok",
        "at": came.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "stream_s": round(seen.end_s, 3),
        "label": made.predictions[0]["label"],
        "score": made.predictions[0]["score"],
        "predictions": made.predictions,
        "clips": [{"start_s": round(clip.start_s, 3), "end_s": round(clip.end_s, 3)} for clip in seen.decoded.clips],
        "lag_s": round(max(watched.lag_s, 0.0), 3),
        "dropped_frames": watched.dropped,
        "frames": seen.newest,
        "fps": round(seen.fps, 3),
        "reconnects": watched.reconnects,
        "preset": run["preset"],
        "weights": run["weights"],
        "views": run["views"],
        "activation": run["activation"],
        "device": run["device"],
        "dtype": run["dtype"],
        "model_ms": round(made.model_ms, 1),
        "warnings": made.warnings,
    }
