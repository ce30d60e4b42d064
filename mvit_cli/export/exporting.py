"""A network with its weights as a file for another runtime, checked against our own before it gets its name."""

import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_cli.arch.cost import RGB
from mvit_cli.errors import MViTError, UsageError, first_line
from mvit_cli.export.described import as_text, description
from mvit_cli.export.targets import FORMATS, FormatName, check_installed
from mvit_cli.findings import Exported

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from mvit_cli.model import MViT
    from mvit_cli.recognition.local_engine import LocalEngine

TOLERANCE = 1e-4
"""Between logits in float32: what our own fast path is held to. Sums in another order differ by 1e-6 of MViT's."""

CLIPS_CHECKED = 3


@dataclass(frozen=True)
class Export:
    """What is to be written.

    Attributes:
        format: of the file.
        target: the file; of OpenVINO the `.xml`, beside which a `.bin` comes.
        batch: clips at a time; None: any number.
        check: whether the file is run beside our network on three clips.
    """

    format: FormatName
    target: Path
    batch: int | None = None
    check: bool = False


def export(recogniser: "LocalEngine", what: Export) -> Exported:
    """Writes the network of a recogniser that was opened with its plain network; whole, or not at all.

    A file that is there is replaced: whether it may be is asked before, by `cli/outputs.py`.

    Raises:
        MViTError: the libraries of the format are not here, it cannot hold the network, the file cannot be written, or
            its logits are not ours.
    """
    import torch

    check_installed(what.format)
    scorer = recogniser.scorer
    model: MViT = scorer.model  # type: ignore[assignment]
    about = as_text(description(model.config, recogniser.recipe, recogniser.run, what.batch))
    shape = (RGB, *model.config.input_thw)
    example = torch.zeros(what.batch or 2, *shape, dtype=scorer.dtype)
    with tempfile.TemporaryDirectory(prefix=".mvit-", dir=what.target.parent) as folder:
        unfinished = Path(folder) / what.target.name
        with torch.inference_mode(False), torch.no_grad(), _quietly():
            try:
                FORMATS[what.format].write(model, example, what.batch is None, about, unfinished)
            except MViTError:
                raise
            except Exception as error:  # exporters raise whatever their passes do
                raise MViTError(
                    f"--format {what.format} cannot hold this network: {type(error).__name__}: {first_line(error)}",
                    "try another format",
                ) from error
        difference = largest_difference(model, unfinished, what, scorer.dtype) if what.check else None
        parts = sorted(Path(folder).iterdir())
        for part in parts:
            shutil.move(part, what.target.parent / part.name)
    files = [what.target.parent / part.name for part in parts]
    return {
        "path": str(what.target),
        "format": what.format,
        "weights": recogniser.run["weights"],
        "preset": recogniser.run["preset"],
        "dtype": recogniser.run["dtype"],
        "batch": what.batch,
        "bytes": sum(file.stat().st_size for file in files),
        "largest_difference": difference,
    }


def largest_difference(model: "MViT", path: Path, what: Export, dtype: "torch.dtype") -> float:
    """The largest difference of a logit between a file and our network, on clips of noise.

    Raises:
        MViTError: the file does not run, or in float32 differs by more than the tolerance.
    """
    import torch

    noise = torch.Generator().manual_seed(0)
    clips = torch.randn(CLIPS_CHECKED, RGB, *model.config.input_thw, generator=noise).to(dtype)
    with torch.inference_mode(), _quietly():
        expected = torch.cat([model(clip[None]).float() for clip in clips])
        try:
            run = FORMATS[what.format].open(path)
            found = torch.cat([run(part)[: len(part)] for part in _batches(clips, what.batch)])[:CLIPS_CHECKED]
        except Exception as error:
            raise MViTError(
                f"--check: the {what.format} file does not run: {type(error).__name__}: {first_line(error)}",
                "nothing was written; try another format",
            ) from error
    difference = float((found - expected).abs().max())
    if dtype == torch.float32 and not difference <= TOLERANCE:
        raise MViTError(
            f"--check: a logit of the {what.format} file is {difference:.2g} off, and {TOLERANCE:g} is allowed",
            "nothing was written; try another format, or another version of its library",
        )
    return difference


def _batches(clips: "Tensor", batch: int | None) -> "Iterator[Tensor]":
    """All clips at once, or as many as the file takes, the last of them repeated."""
    import torch

    if batch is None:
        yield clips
        return
    for start in range(0, len(clips), batch):
        part = clips[start : start + batch]
        yield torch.cat((part, part[-1:].expand(batch - len(part), *part.shape[1:])))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Exporters print what their passes do, and warn of branches that a fixed clip size decides once and for all."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def parsed_batch(text: str) -> int | None:
    """`--batch`: a number of clips; `dynamic`: None.

    Raises:
        UsageError: anything else.
    """
    if text.strip().lower() == "dynamic":
        return None
    if text.isdecimal() and 1 <= int(text) <= 1024:
        return int(text)
    raise UsageError(f"--batch {text} is no number of clips", "give 1 to 1024, or dynamic")
