"""`mvit eval`: clips with labels go the way of `predict`, and their rows are judged; or rows that are there already."""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from mvit_cli.checkpoints.cards import Card
from mvit_cli.errors import MediaError, MViTError, UsageError
from mvit_cli.evaluation.judge import Judge, are_predictions
from mvit_cli.evaluation.orders import ORDERS, Orders
from mvit_cli.evaluation.truth import Split, Truth, classes_of, read_truth
from mvit_cli.findings import Evaluation
from mvit_cli.media.request import Pictures
from mvit_cli.media.sources import Source
from mvit_cli.recognition.kept_rows import json_lines
from mvit_cli.recognition.labelled import LabelledClip
from mvit_cli.recognition.listing import Listing
from mvit_cli.recognition.local_engine import LocalEngine, Opened, no_pictures
from mvit_cli.recognition.options import PredictArguments, PredictOptions, options_of, said_in_python
from mvit_cli.recognition.plan import Plan, plan
from mvit_cli.recognition.readout import reading
from mvit_cli.recognition.rows import prediction_list
from mvit_cli.records import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from mvit_cli.media.request import Detail

MOST_CLASSES = 1_000_000
"""Of which rows of an earlier run may be: what a number of a class there costs is bounded."""


@dataclass(frozen=True)
class Clips(Listing):
    """Labelled clips as what is to be recognised."""

    clips: tuple[LabelledClip, ...] = ()

    def sources(self, is_done: "Callable[[str], bool] | None" = None) -> Iterator[Source]:
        """Yields the clips as inputs; of one file there may be several."""
        return (clip.source for clip in self.clips)

    def counter(self) -> "Callable[[], int] | None":
        """Counts them."""
        return lambda: len(self.clips)


def evaluate(
    data: str | os.PathLike[str],
    *,
    truth: str | os.PathLike[str] | None = None,
    split: Split | None = None,
    shuffle_frames: bool = False,
    seed: int = 0,
    **options: Unpack[PredictArguments],
) -> Evaluation:
    """How right a network is on labelled clips.

    Args:
        data: a folder of classes or a list of clips with labels; or rows that `predict` has written as JSON lines.
        truth: of rows, the folder or list with their labels.
        split: the part that is judged; None: test, else val, else all.
        shuffle_frames: judge the same clips with their frames reversed and shuffled, too.
        seed: of shuffling, and of intervals by group.
        options: as of `predict`.

    Raises:
        UsageError: a wrong value, or rows without a truth.
        MViTError: labels that the network does not have, or a list that cannot be read.
        CheckpointError, DownloadError: as of `predict`.
    """
    with said_in_python():
        asked = options_of(options)
        if is_rows(data):
            return of_rows(Path(data), truth, split, asked, seed)
        refuse_truth(truth)
        found = read_truth(data, split)
        engine = plan(for_judging(asked, found)).open()
    judge = judge_of(engine, found, seed)
    with closing(judged_rows(engine, (clip.source for clip in found.clips), seed if shuffle_frames else None)) as rows:
        for row, _ in rows:
            judge.take(row)
    return judge.evaluation()


def is_rows(data: str | os.PathLike[str]) -> bool:
    """Whether a file has rows of `predict`, and not a list of clips."""
    path = Path(data)
    if path.suffix.lower() not in (".jsonl", ".ndjson") or not path.is_file():
        return False
    import json

    with path.open("rb") as file:
        first = file.readline(1 << 20)
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and "status" in row and "path" in row


def refuse_truth(truth: object) -> None:
    """Refuses a second truth beside data that has labels itself."""
    if truth is not None:
        raise UsageError("--truth is for rows of an earlier run, and DATA has labels itself", "leave --truth out")


def for_judging(options: PredictOptions, truth: Truth) -> PredictOptions:
    """What is asked of recognition: five classes a row, all of them where clips have several labels."""
    if options.window_s is not None:
        raise UsageError("--window cuts videos, and a label is of a whole clip", "leave it out")
    if truth.multilabel:
        return replace(options, threshold=0.0)
    return replace(options, top=max(5, options.top), threshold=None)


def judge_of(engine: Opened, truth: Truth, seed: int) -> Judge:
    """Who judges the rows of a network.

    Raises:
        MViTError: labels that it does not have.
    """
    classes = engine.recipe.labels or tuple(map(str, range(engine.summary["num_classes"])))
    own = engine.card if not engine.options.labels else None
    return Judge(truth, classes, classes_of(truth.labels, classes), own, seed)


def judged_rows(
    engine: Opened,
    sources: Iterator[Source],
    shuffle_seed: int | None = None,
    wanted: "Callable[[int], Detail]" = no_pictures,
) -> Generator[tuple[Row, Pictures | None], None, None]:
    """Yields rows as `predict` does, with --shuffle-frames those of other orders of frames in them.

    Raises:
        UsageError: frames of a network for images cannot be shuffled.
    """
    if shuffle_seed is None:
        yield from engine.rows(sources, wanted)
        return
    if not isinstance(engine, LocalEngine):
        raise UsageError("--shuffle-frames shows frames to a network in this process", "leave --engine out")
    if engine.summary["input"]["frames"] < 2:
        raise UsageError("--shuffle-frames: this network sees one frame", "leave it out, or use a network for videos")
    reader = reading(engine, Orders(engine.recipe.activation, shuffle_seed))
    options, labels = engine.options, engine.recipe.labels
    with closing(reader.items(sources, wanted)) as items:
        for item in items:
            pictures = None if isinstance(item.outcome, MediaError) else item.outcome.pictures
            if item.scores is None or isinstance(item.scores, MediaError):
                yield engine.row_of(item), pictures
                continue
            first, *others = item.scores.chunk(len(ORDERS))
            row: Any = engine.row_of(replace(item, scores=first))
            row["orders"] = {
                name: prediction_list(scores, labels, options.top, options.threshold)
                for name, scores in zip(ORDERS[1:], others, strict=True)
            }
            yield row, pictures


def of_rows(
    rows: Path,
    truth: str | os.PathLike[str] | None,
    split: Split | None,
    options: PredictOptions,
    seed: int,
) -> Evaluation:
    """Judges rows that are there already.

    Raises:
        UsageError: no truth, no rows, or rows of windows.
        MViTError: labels that the network does not have.
    """
    judge = judge_of_rows(rows, truth, split, options, seed)
    for row in rows_in(rows):
        judge.take(row)
    if not judge.clips:
        path, there = next(rows_in(rows))["path"], judge.truth.clips[0].path
        raise MViTError(
            f"no row is of a clip of the truth: rows are of files like {path}, the truth of files like {there}",
            "name the files in the truth as in the rows",
        )
    return judge.evaluation()


def judge_of_rows(
    rows: Path, truth: str | os.PathLike[str] | None, split: Split | None, options: PredictOptions, seed: int
) -> Judge:
    """Who judges rows that are there already: classes as their weights name them, else as the rows do."""
    if truth is None:
        raise UsageError(f"{rows} has rows, and nobody says what is right", "add --truth LIST, with path and label")
    found = read_truth(truth, split)
    first = next((row for row in rows_in(rows) if row["status"] == "ok"), None)
    named: tuple[str, ...] | None = None
    card = None
    if first:
        asked = replace(options, preset=first["preset"], weights=first["weights"])
        named, card = _named_by(asked)
    seen = {entry["index"]: entry["label"] for row in rows_in(rows) if row["status"] == "ok" for entry in _all(row)}
    if named is None:
        named = tuple(seen.get(index, str(index)) for index in range(max(seen, default=-1) + 1))
    for index, label in seen.items():
        if options.labels is None and (index >= len(named) or named[index] != label):
            there = named[index] if index < len(named) else "none"
            raise MViTError(
                f"{rows} calls class {index} {label!r}, and its weights call it {there!r}",
                "say with --labels FILE what the classes are",
            )
    return Judge(found, named, classes_of(found.labels, named), None if options.labels else card, seed)


def rows_in(path: Path) -> Iterator[Row]:
    """Yields the rows of a file of JSON lines; a torn last one is left out.

    Raises:
        UsageError: no file of rows, or rows of windows.
    """
    try:
        for number, _, row, _ in json_lines(path):
            if row is None:
                continue
            if "window" in row:
                raise UsageError(
                    f"line {number} of {path} is of a window, and a label is of a whole clip",
                    "run predict without --window",
                )
            if row["status"] == "ok" and not are_predictions(row.get("predictions"), MOST_CLASSES):
                raise UsageError(f"line {number} of {path} has no predictions", "give rows of `mvit predict`")
            yield row
    except UsageError as error:
        raise UsageError(error.message.removeprefix("--resume: "), "give rows that `mvit predict` wrote") from error


def _all(row: Any) -> Sequence[Any]:
    predictions: list[Any] = row["predictions"]
    return predictions


def _named_by(options: PredictOptions) -> tuple[tuple[str, ...] | None, Card | None]:
    """Class names of the weights that rows name, as far as that needs no download."""
    from mvit_cli.checkpoints.labels import read_labels

    if options.labels:
        return read_labels(options.labels), None
    try:
        planned: Plan = plan(options)
        found = planned.choice.found
        if planned.choice.card or (found and Path(found.name).is_file()):
            return planned.recipe().labels, planned.choice.card
    except MViTError:
        pass
    return None, None
