"""The main job from Python: name a preset or weights and some files, get rows."""

import inspect
import os
from collections.abc import Iterator
from dataclasses import fields
from typing import Unpack

from mvit_cli.recognition.local_engine import Inputs
from mvit_cli.recognition.options import PredictArguments, PredictOptions, options_of, said_in_python
from mvit_cli.recognition.planning import planned
from mvit_cli.recognition.tracked import Boxes, read_boxes
from mvit_cli.records import Row


def predict(
    inputs: Inputs = (), *, boxes: Boxes | str | os.PathLike[str] | None = None, **options: Unpack[PredictArguments]
) -> Iterator[Row]:
    """Recognises videos and images. The network is loaded at once; files are read as rows are asked for.

    Args:
        inputs: files, folders, globs or `@list.txt`; none: those that `boxes` names.
        boxes: tracks of a detector: each gives a row. A file, or what `read_boxes` made of it with a margin of its own.
        options: `preset`, `weights`, `weights_key`, `labels`, `top`, `threshold`, `views`, `window_s`, `hop_s`,
            `max_windows`, `device`, `dtype`, `batch_size`, `workers`, `reader`, `mean`, `std`, `frames`, `fps`, `size`,
            `timeout_s`, `fast`, `compiled`, `deterministic`: what each is stands at `PredictOptions`.

    Returns:
        One row for each input, window or track, in input order.

    Raises:
        UsageError: an unknown preset, weights, device or other value.
        CheckpointError: weights or labels that cannot be read or do not fit.
        DownloadError: weights that cannot be fetched.
        MViTError: a device that is not there, or a file of boxes with a line that is none.
    """
    with said_in_python():
        tracks = boxes if isinstance(boxes, Boxes | None) else read_boxes(boxes)
        made = planned(options_of(options))
        if tracks:
            tracks.check_windows(made.windows)
        engine = made.open()
    return engine.predict(inputs, tracks)


predict.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # each option with its default, for `help`
    [
        *list(inspect.signature(predict).parameters.values())[:2],
        *(
            inspect.Parameter(
                option.name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=option.type
            )
            for option in fields(PredictOptions)
        ),
    ],
    return_annotation=Iterator[Row],
)
