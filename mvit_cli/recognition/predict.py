"""The main job from Python: name a preset or weights and some files, get rows."""

import inspect
from collections.abc import Iterator
from dataclasses import fields
from typing import Unpack

from mvit_cli.recognition.local_engine import Inputs
from mvit_cli.recognition.options import PredictArguments, PredictOptions, options_of, said_in_python
from mvit_cli.recognition.planning import planned
from mvit_cli.records import Row


def predict(inputs: Inputs, **options: Unpack[PredictArguments]) -> Iterator[Row]:
    """Recognises videos and images. The network is loaded at once; files are read as rows are asked for.

    Args:
        inputs: files, folders, globs or `@list.txt`.
        options: `preset`, `weights`, `weights_key`, `labels`, `top`, `threshold`, `views`, `window_s`, `hop_s`,
            `max_windows`, `device`, `dtype`, `batch_size`, `workers`, `reader`, `mean`, `std`, `frames`, `fps`, `size`,
            `timeout_s`, `fast`, `compiled`, `deterministic`: what each is stands at `PredictOptions`.

    Returns:
        One row for each input or window, in input order.

    Raises:
        UsageError: an unknown preset, weights, device or other value.
        CheckpointError: weights or labels that cannot be read or do not fit.
        DownloadError: weights that cannot be fetched.
        MViTError: a device that is not there.
    """
    with said_in_python():
        engine = planned(options_of(options)).open()
    return engine.predict(inputs)


predict.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # each option with its default, for `help`
    [
        inspect.Parameter("inputs", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Inputs),
        *(
            inspect.Parameter(
                option.name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=option.type
            )
            for option in fields(PredictOptions)
        ),
    ],
    return_annotation=Iterator[Row],
)
