"""`mvit predict --save-video OUT`: where videos go, and what is refused before any work."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvit_cli.addresses import scheme_of
from mvit_cli.cli.outputs import Place
from mvit_cli.errors import MViTError, UsageError, tell
from mvit_cli.report.predict.events import Merging

if TYPE_CHECKING:
    from mvit_cli.annotated.videos import Destination, Videos
    from mvit_cli.recognition.journal import Journal
    from mvit_cli.recognition.listing import Listing
    from mvit_cli.recognition.local_engine import Opened
    from mvit_cli.report.predict.progress import RunReport

SaveVideo = Annotated[
    Path | None,
    typer.Option(
        "--save-video",
        metavar="OUT",
        help="The video with its labels and a time line, sound kept: .mp4, .mkv or .mov of one input, else a folder.",
    ),
]
SUFFIXES = (".mp4", ".mkv", ".mov")


def destination_of(path: Path, *, force: bool) -> "Destination":
    """Where videos go: into a folder, unless the name is that of a video."""
    from mvit_cli.annotated.videos import Destination

    return Destination(path, path.is_dir() or path.suffix.lower() not in SUFFIXES, force)


def video_place(path: Path | None, *, force: bool) -> Place | None:
    """The file of the only video; None where there is none, or a folder of them."""
    if path is None or destination_of(path, force=force).is_folder:
        return None
    return Place("--save-video", path, "video", force)


def whole_rows_for(path: Path | None) -> list[Place]:
    """What needs all of a row where a run goes on with an earlier one."""
    return [Place("--save-video", path, "video")] if path else []


def check_videos(path: Path | None, listing: "Listing", *, force: bool) -> None:
    """Refuses what cannot be written, as far as it is known before any input is read; touches nothing.

    Raises:
        UsageError: tracks, another container, several inputs and one file, or inputs that would be replaced.
        MViTError: a folder that cannot be made.
    """
    from mvit_cli.recognition.written import input_among, is_media_name

    if path is None:
        return
    if listing.boxes:
        raise UsageError(
            "--save-video shows the labels of whole videos, and --boxes gives those of tracks",
            "drop --boxes for a labelled video, or write --report report.html: a page with the frames of each track",
        )
    if not destination_of(path, force=force).is_folder:
        if listing.are_several is not False:
            raise UsageError(f"--save-video {path} is one file, and there are more inputs", "name a folder")
        return
    if scheme_of(str(path)):
        raise UsageError(f"--save-video {path}: videos go to files of this machine", "name a folder here")
    if is_media_name(path) and not path.is_dir():
        raise UsageError(f"--save-video {path}: a video is {', '.join(SUFFIXES)}", f"name it {path.stem}.mp4")
    if path.exists() and not path.is_dir():
        raise UsageError(f"--save-video {path} is a file, and no video", "name a folder, or a file that ends in .mp4")
    there = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not os.access(there, os.W_OK):
        raise MViTError(f"--save-video {path}: no permission to write in {there}", "choose another place")
    videos = {str(file): file for file in path.glob("*.mp4")} if force and path.is_dir() else {}
    if found := input_among(videos, listing):
        raise UsageError(f"--save-video {path} may overwrite {found[1]}, which this run reads", "name another folder")


@contextmanager
def opened_videos(
    path: Path | None,
    recogniser: "Opened",
    report: "RunReport",
    journal: "Journal | None",
    merging: Merging,
    *,
    force: bool,
) -> "Iterator[Videos | None]":
    """Gives what writes the videos, with the windows of earlier runs; on the way out it says what came of them.

    Args:
        merging: how windows become events.
    """
    from mvit_cli.annotated.videos import Videos
    from mvit_cli.recognition.local_engine import request_for
    from mvit_cli.report.predict.events import Events

    if path is None:
        yield None
        return
    destination = destination_of(path, force=force)
    if destination.is_folder:
        path.mkdir(parents=True, exist_ok=True)
    videos = Videos(
        destination,
        lambda source: request_for(recogniser.recipe, source),
        recogniser.options.timeout_s,
        lambda: Events(merging),
        at_frame=report.at_frame,
        note=lambda text: report.tell([text]),
        fail=lambda name, reason: tell(f"not saved: {name}: {reason}"),
    )
    if journal and recogniser.recipe.windows:
        for row in journal.rows():
            videos.look_back(row)
    yield videos
    videos.finish()
    tell_of_kept(path, journal, report)


def tell_of_kept(path: Path | None, journal: "Journal | None", report: "RunReport") -> None:
    """Says of which inputs there is no video because they had all their rows before."""
    if path and journal and journal.skipped:
        inputs = f"{journal.skipped:,} input{'s' * (journal.skipped != 1)}"
        report.tell([f"no video of {inputs} that had all rows before; without --resume they get one"])
