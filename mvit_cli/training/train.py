"""Training from Python."""

from pathlib import Path
from typing import TypedDict, Unpack

from mvit_cli.media.request import ReaderChoice
from mvit_cli.recognition.options import Auto, said_in_python
from mvit_cli.trained import Trained
from mvit_cli.training.asked import Method, TrainOptions
from mvit_cli.training.diary import Told, nobody
from mvit_cli.training.run import train_on


class TrainArguments(TypedDict, total=False):
    """The fields of `TrainOptions` as keyword arguments, but for data and output; a test says they are the same."""

    preset: str | None
    weights: str | Path | None
    weights_key: str | None
    views: str | None
    method: Method
    val_split: float
    group: str | None
    epochs: int | None
    batch_size: int | None
    lr: float | None
    mixup: float
    cutmix: float
    rand_augment: str | None
    least_area: float
    mirror: bool | None
    seed: int
    resume: bool
    force: bool
    device: str
    workers: int | Auto
    reader: ReaderChoice
    timeout_s: float


def train(
    data: str | Path, output: str | Path, *, progress: Told | None = None, **options: Unpack[TrainArguments]
) -> Trained:
    """Makes weights of labelled clips that `predict` takes as they are.

    Args:
        data: `FOLDER/class/*`, `FOLDER/{train,val,test}/class/*`, or a list `.csv`, `.tsv`, `.jsonl`: path, label.
        output: `mine.safetensors`; log and figures go into the folder `mine`.
        progress: called with how far it is.
        options: see `mvit train --help`, by the names of the options; `method` is "probe" (a linear classifier on what
            the network sees) or "full" (the whole network is trained).

    Returns:
        The document of `mvit train --format json`.

    Raises:
        UsageError: what was asked cannot be done.
        MViTError: data that nothing can be learned from.
        CheckpointError, DownloadError: as of `predict`.
    """
    with said_in_python():
        return train_on(TrainOptions(data=data, output=output, **options), progress or nobody)[0]
