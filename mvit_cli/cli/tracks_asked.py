"""`--boxes`: what `mvit predict` is told of objects that somebody's detector saw."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mvit_cli.cli.predict_flags import Inputs
from mvit_cli.cli.recognising import OfInputs, OnEngines
from mvit_cli.errors import UsageError

if TYPE_CHECKING:
    from mvit_cli.recognition.listing import Listing
    from mvit_cli.recognition.tracked import Boxes
    from mvit_cli.report.predict.progress import RunReport

BoxesFile = Annotated[
    Path | None,
    typer.Option(
        "--boxes",
        metavar="FILE",
        help="A row for each track of a detector: lines of path, id, frame or second, x, y, w, h "
        "(.jsonl, .csv, .tsv, MOT .txt).",
    ),
]
BoxMargin = Annotated[
    float | None,
    typer.Option(
        "--box-margin",
        metavar="P",
        help="What is shown beside an object on each side, of its longer side.",
        show_default="0.25",
    ),
]
BoxCrop = Annotated[
    Literal["still", "follow"] | None,
    typer.Option(
        "--box-crop",
        help="still: a clip shows one place, all that the object covers in it; follow: the place goes with it.",
        show_default="still",
    ),
]


@dataclass(frozen=True, kw_only=True)
class OfTracks(OfInputs, OnEngines):
    """What `predict` is told of its inputs, which may be tracks, beside where it runs."""

    inputs: Inputs = field(default_factory=list)
    boxes: BoxesFile = None
    box_margin: BoxMargin = None
    box_crop: BoxCrop = None

    @cached_property
    def tracks(self) -> "Boxes | None":
        """The tracks, read once.

        Raises:
            UsageError: no input at all, options without boxes, or what is not possible with them.
            MViTError: a file of boxes that is none.
        """
        if self.boxes is None:
            if not self.inputs:
                raise UsageError("Missing argument 'INPUT...'", "`mvit predict --help` shows what there is")
            for option, value in (("--box-margin", self.box_margin), ("--box-crop", self.box_crop)):
                if value is not None:
                    raise UsageError(f"{option} says how boxes are shown, and there are none", "add --boxes FILE")
            return None
        if self.window is not None:
            raise UsageError(
                "--boxes gives a row for each track, and --window one for each part of a video",
                "drop --window; for parts of a track give each its own id, as 3a and 3b",
            )
        from mvit_cli.recognition.tracked import read_boxes

        margin = {} if self.box_margin is None else {"margin": self.box_margin}
        boxes = read_boxes(self.boxes, motion=self.box_crop or "still", **margin)
        boxes.check_inputs(self.inputs or boxes.names)
        return boxes

    @property
    def listing(self) -> "Listing":
        """What is to be looked at."""
        return replace(super().listing, boxes=self.tracks)

    def tell_of_unused(self, report: "RunReport") -> None:
        """Says which tracks are of no input, if all inputs have come."""
        if self.tracks and not (self.fail_fast and report.tally.errors) and (unused := self.tracks.unused()):
            report.tell([unused])
