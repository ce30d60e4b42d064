"""What the user asks of `predict`, from Python, from the command line, or from another engine: plain values."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from mvit_cli.errors import UsageError
from mvit_cli.media.request import MAX_WINDOWS, TIMEOUT_S, ReaderChoice

if TYPE_CHECKING:
    import torch

Auto = Literal["auto"]
EngineName = Literal["local", "onnx", "openvino"]
Statistics = tuple[float, float, float]
"""Of red, green, blue."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """What was asked, as it was said; `plan` checks it.

    Attributes:
        preset: architecture; None: that of the weights, or B.
        weights: name of published weights, file or address; `none` for random ones; None: the preset's.
        weights_key: the network to take of a file that holds several, as raw and averaged ones; None: chosen and said.
        labels: file of class names, one a line or JSON; None: those of the weights.
        top: classes a row.
        threshold: all classes with this score or a higher one, instead of `top`; the best one at least; None: `top`.
        views: clips x crops, as `5x1`; None: the test protocol of the weights; with windows one clip of each.
        window_s: seconds of a window: a video gives a row for each; None: one row for the whole video.
        hop_s: seconds from the start of a window to that of the next; None: as long as a window.
        max_windows: rows of one video with windows; what is left of it then is one error.
        device: auto, cpu, cuda, cuda:N or mps.
        dtype: auto, float32, bfloat16, float16 or int8; auto is float32 except on a GPU.
        batch_size: views that go through the network together.
        workers: processes that decode; 0: this process.
        reader: library that fetches frames.
        mean, std: of red, green and blue, values 0 to 1, taken from pixels and what they are divided by; None: as the
            weights say.
        frames: of a clip; None: as the weights say, and so are all of these.
        fps: frames a second that a file is read at.
        size: pixels of a side of the square that is cut out.
        timeout_s: seconds that one file, or one window, may take to decode; a file in windows that, and a tenth of a
            second for each of its frames.
        fast: run the network's fast path, which gives the same logits; False: the plain network.
        engine: local: our own network; onnx, openvino: the file of `mvit export` that `weights` names, on the CPU.
        compiled: run it through torch's compiler, which takes minutes the first time.
        deterministic: the same inputs in the same order give the same scores to the bit, on one machine and device:
            which views share a batch follows from the order of the inputs, not from the moment.
    """

    preset: str | None = None
    weights: str | Path | None = None
    weights_key: str | None = None
    labels: str | Path | None = None
    top: int = 5
    threshold: float | None = None
    views: str | None = None
    window_s: float | None = None
    hop_s: float | None = None
    max_windows: int = MAX_WINDOWS
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int | Auto = "auto"
    workers: int | Auto = "auto"
    reader: ReaderChoice = "auto"
    mean: Statistics | None = None
    std: Statistics | None = None
    frames: int | None = None
    fps: float | None = None
    size: int | None = None
    timeout_s: float = TIMEOUT_S
    fast: bool = True
    compiled: bool = False
    engine: EngineName = "local"
    deterministic: bool = False


class Arguments(TypedDict, total=False):
    """The fields of `PredictOptions` as keyword arguments of Python, but for what names the network.

    Some may be said in more ways: views as `(5, 1)`, a device or number format as torch's own object.
    """

    weights_key: str | None
    labels: str | Path | None
    top: int
    threshold: float | None
    views: str | tuple[int, int] | None
    window_s: float | None
    hop_s: float | None
    max_windows: int
    device: "str | torch.device"
    dtype: "str | torch.dtype"
    batch_size: int | Auto
    workers: int | Auto
    reader: ReaderChoice
    mean: Statistics | None
    std: Statistics | None
    frames: int | None
    fps: float | None
    size: int | None
    timeout_s: float
    fast: bool
    compiled: bool
    engine: EngineName
    deterministic: bool


class PredictArguments(Arguments, total=False):
    """All fields of `PredictOptions` as keyword arguments; a test says that they are the same."""

    preset: str | None
    weights: str | Path | None


def options_of(arguments: PredictArguments) -> PredictOptions:
    """What was asked in Python, in the words of the command line."""
    words: dict[str, Any] = dict(arguments)
    if isinstance(views := words.get("views"), tuple):
        words["views"] = "x".join(map(str, views))
    for name in ("device", "dtype"):
        if name in words:
            words[name] = str(words[name]).removeprefix("torch.")
    return PredictOptions(**words)


_IN_PYTHON = {"window": "window_s", "hop": "hop_s", "timeout": "timeout_s", "no-fast": "fast", "compile": "compiled"}


@contextmanager
def said_in_python() -> Iterator[None]:
    """Errors of wrong values name the parameter, `batch_size`, where the command line has the option `--batch-size`."""

    def named(text: str) -> str:
        return re.sub(r"--([a-z][a-z0-9-]+)", lambda match: _IN_PYTHON.get(match[1], match[1].replace("-", "_")), text)

    try:
        yield
    except UsageError as error:
        raise UsageError(named(error.message), named(error.hint)) from error
