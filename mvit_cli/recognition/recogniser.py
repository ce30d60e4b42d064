"""A network that is loaded once and asked often: of files, and of frames that are in memory."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, Unpack

from mvit_cli.errors import MediaError, UsageError
from mvit_cli.media.in_memory import decode_frames, frames_of, is_picture
from mvit_cli.media.request import Outcome, ReaderChoice
from mvit_cli.media.sources import Source
from mvit_cli.recognition.batching import Item, scored
from mvit_cli.recognition.local_engine import Inputs, LocalEngine, request_for, sources_of
from mvit_cli.recognition.options import Arguments, PredictArguments, options_of, said_in_python
from mvit_cli.recognition.planning import planned
from mvit_cli.recognition.recipe import Recipe
from mvit_cli.recognition.scoring import normalised
from mvit_cli.records import Row, Run, Summary

if TYPE_CHECKING:
    from torch import Tensor

    from mvit_cli.media.workers.pool import DecodePool
    from mvit_cli.recognition.tracked import Boxes

Told = Callable[[int, Row], None]


class Recogniser:
    """A network with its weights on a device, loaded once.

    Several threads may ask it at a time: files are decoded side by side, the network computes for one after the other.
    Worker processes stay from call to call and end with `close`, at the end of a `with`, or with the program.

    Args:
        preset, weights and the other options: as of `predict`.

    Attributes:
        summary: the object of `mvit summarize`.
        labels: class names in the order of the logits; None where nobody names them.
        run: what all rows share: weights, views, device, number format.

    Raises:
        UsageError: an unknown preset, weights, device or other value.
        CheckpointError: weights or labels that cannot be read or do not fit.
        DownloadError: weights that cannot be fetched.
        MViTError: a device that is not there.
    """

    def __init__(
        self, preset: str | None = None, weights: str | Path | None = None, **options: Unpack[Arguments]
    ) -> None:
        given: PredictArguments = {"preset": preset, "weights": weights, **options}
        with said_in_python():
            self._engine: LocalEngine = planned(options_of(given)).open()
        self._idle: list[DecodePool] = []
        self._lock = threading.Lock()
        self.summary: Summary = self._engine.summary
        self.labels = self._engine.recipe.labels
        self.run: Run = self._engine.run

    def predict(
        self,
        inputs: Any,
        *,
        fps: float | None = None,
        name: str | None = None,
        boxes: "Boxes | None" = None,
        progress: Told | None = None,
    ) -> Generator[Row, None, None]:
        """Yields rows as `mvit predict` writes them; files are read as rows are asked for.

        Args:
            inputs: files, folders, globs or `@list.txt`; or what is in memory and gives one row: uint8 frames
                `(T, H, W, 3)` as array or tensor, a picture `(H, W, 3)` or of Pillow's, a list of pictures; the `bytes`
                of a file, or an open one.
            fps: of frames in memory, frames a second; None: each frame stands for one of a clip's, with a warning.
            name: what the row of a thing in memory calls its path.
            boxes: tracks of files, as `read_boxes` gives them: each gives a row.
            progress: called with the number of rows so far and the newest one.

        Raises:
            UsageError: windows or tracks of frames that are in memory, or windows of tracks.
            ValueError: frames of another shape or type.
            TypeError: what is no input at all.
        """
        rows = self._rows(inputs, fps, name) if boxes is None else self._of_tracks(inputs, boxes)
        for number, row in enumerate(rows, start=1):
            if progress:
                progress(number, row)
            yield row

    def preprocess(self, inputs: Any, *, fps: float | None = None) -> "Tensor":
        """The clips of one input as the network takes them.

        Args:
            inputs: one file, or what is in memory, as `predict` takes it.

        Returns:
            float32 `(views, 3, T, H, W)`, normalised, on the CPU.

        Raises:
            MediaError: a file that gives no frames.
        """
        import torch

        outcome = self._decoded(inputs, fps)
        if isinstance(outcome, MediaError):
            raise outcome
        return normalised(torch.from_numpy(outcome.pixels), self._engine.recipe.transform)

    def logits(self, clips: "Tensor") -> "Tensor":
        """`(B, 3, T, H, W)`, as `preprocess` makes them -> float32 `(B, classes)` on the CPU, before any softmax."""
        return self._computed(clips, lambda model, placed: model(placed))

    def features(self, clips: "Tensor", stage: str | None = None) -> "Tensor":
        """What the classifier sees, `(B, C)`, or with a stage its grid `(B, C, T, H, W)`; float32 on the CPU.

        Args:
            clips: `(B, 3, T, H, W)`, as `preprocess` makes them.
            stage: `cube1`, `scale2`, `scale3`, ...
        """
        return self._computed(clips, lambda model, placed: model.features(placed, stage))

    def close(self) -> None:
        """Ends the worker processes that nobody uses; the next call starts new ones."""
        with self._lock:
            pools, self._idle = self._idle, []
        for pool in pools:
            pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rows(self, inputs: Any, fps: float | None, name: str | None) -> Iterator[Row]:
        if is_file_in_memory(inputs):
            with _kept(inputs) as path:
                for row in self._of_files(path):
                    row["path"] = name or _name_of(inputs)
                    yield row
        elif in_memory(inputs):
            yield self._of_frames(inputs, fps, name or "frames")
        else:
            yield from self._of_files(inputs)

    def _of_tracks(self, inputs: Any, boxes: "Boxes") -> Iterator[Row]:
        if is_file_in_memory(inputs) or in_memory(inputs):
            raise UsageError("boxes are of files, not of what is in memory", "crop the frames, or name the file")
        boxes.check_windows(self._engine.recipe.windows)
        yield from self._of_files(inputs, boxes)

    def _of_files(self, inputs: Inputs, boxes: "Boxes | None" = None) -> Iterator[Row]:
        engine = replace(self._engine, scorer=self._engine.scorer.for_one_caller())
        with self._workers() as pool:
            for row, _ in engine.rows(sources_of(inputs, boxes), pool=pool):
                yield row
        shared = self._engine.scorer
        shared.batch_size = min(shared.batch_size, engine.scorer.batch_size)

    def _of_frames(self, frames: Any, fps: float | None, name: str) -> Row:
        engine = replace(self._engine, scorer=self._engine.scorer.for_one_caller())
        (item,) = scored(engine.scorer, [[Item(name, self._decoded(frames, fps))]])
        return engine.row_of(item)

    def _decoded(self, inputs: Any, fps: float | None) -> Outcome:
        engine = self._engine
        return decoded(inputs, fps, engine.recipe, engine.options.reader, self._workers)

    def _computed(self, clips: "Tensor", what: "Callable[[Any, Tensor], Tensor]") -> "Tensor":
        import torch

        scorer = self._engine.scorer
        with torch.inference_mode(), scorer.lock:
            return what(scorer.model, clips.to(scorer.device, scorer.dtype)).float().cpu()

    @contextmanager
    def _workers(self) -> "Iterator[DecodePool]":
        """Workers for one caller: those that a call before has left, or new ones."""
        with self._lock:
            pool = self._idle.pop() if self._idle else None
        pool = pool or self._engine.decode_pool()
        try:
            yield pool
        finally:
            with self._lock:
                self._idle.append(pool)


def preprocess(
    inputs: Any,
    preset: str | None = None,
    weights: str | Path | None = None,
    *,
    views: str | tuple[int, int] | None = None,
    fps: float | None = None,
) -> "Tensor":
    """The clips of one input as a network takes them; of the weights only what they say of themselves is read.

    Args:
        inputs: one file, or what is in memory, as `Recogniser.predict` takes it.
        preset, weights: as of `predict`.
        views: clips x crops, as `(5, 1)` or `5x1`; None: the test protocol of the weights.
        fps: of frames in memory, frames a second.

    Returns:
        float32 `(views, 3, T, H, W)`, normalised, on the CPU.

    Raises:
        MediaError: a file that gives no frames.
        UsageError, CheckpointError, DownloadError: as of `predict`.
    """
    import torch

    from mvit_cli.media.workers.pool import DecodePool

    with said_in_python():
        recipe = planned(options_of({"preset": preset, "weights": weights, "views": views})).recipe()
    outcome = decoded(inputs, fps, recipe, "auto", partial(DecodePool, 1))
    if isinstance(outcome, MediaError):
        raise outcome
    return normalised(torch.from_numpy(outcome.pixels), recipe.transform)


def decoded(
    inputs: Any,
    fps: float | None,
    recipe: Recipe,
    reader: ReaderChoice,
    workers: "Callable[[], AbstractContextManager[DecodePool]]",
) -> Outcome:
    """One input, a file or what is in memory, as a network of this recipe is shown it."""
    if in_memory(inputs):
        if recipe.windows:
            raise UsageError(
                "windows are cut of files, not of frames in memory", "cut the frames, or leave window_s out"
            )
        try:
            return decode_frames(frames_of(inputs), fps, request_for(recipe, Source("frames")))
        except MediaError as error:
            return error
    if is_file_in_memory(inputs):
        with _kept(inputs) as path:
            return decoded(path, fps, recipe, reader, workers)
    with workers() as pool, closing(pool.imap([request_for(recipe, Source(os.fspath(inputs)), reader)])) as outcomes:
        return next(outcomes)


def is_file_in_memory(inputs: Any) -> bool:
    """Whether inputs are the bytes of one file, or an open one."""
    return isinstance(inputs, bytes | bytearray | memoryview) or hasattr(inputs, "read")


def in_memory(inputs: Any) -> bool:
    """Whether inputs are frames and not names of files."""
    return is_picture(inputs) or (isinstance(inputs, list | tuple) and bool(inputs) and is_picture(inputs[0]))


@contextmanager
def _kept(inputs: Any) -> Iterator[str]:
    """Bytes or an open file as a file of our own, for the processes that decode."""
    with tempfile.NamedTemporaryFile(prefix="mvit-", delete=False) as file:
        try:
            if hasattr(inputs, "read"):
                shutil.copyfileobj(inputs, file)
            else:
                file.write(inputs)
            file.close()
            yield file.name
        finally:
            os.unlink(file.name)


def _name_of(inputs: "bytes | IO[bytes]") -> str:
    """What an open file calls itself; `bytes` where it has no name."""
    name = getattr(inputs, "name", None)
    return name if isinstance(name, str) else "bytes"
