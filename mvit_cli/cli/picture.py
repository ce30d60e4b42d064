"""`mvit predict --plot FILE`: where the picture of the timeline goes, and what is drawn into it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mvit_cli.errors import UsageError
from mvit_cli.report.predict.events import Merging

if TYPE_CHECKING:
    from mvit_cli.cli.outputs import Place
    from mvit_cli.recognition.journal import Journal
    from mvit_cli.recognition.local_engine import Opened
    from mvit_cli.report.predict.timeline_picture import TimelinePicture


@contextmanager
def opened_picture(
    place: "Place | None",
    recogniser: "Opened",
    merging: Merging,
    journal: "Journal | None",
    tell: Callable[[Sequence[str]], None],
) -> "Iterator[TimelinePicture | None]":
    """Gives what takes the rows in, those of earlier runs first; a run that was not cut short draws them.

    Args:
        place: where to; None: no picture is wanted.
        merging: how windows become events.
        journal: of the rows that are there already.
        tell: of what the picture leaves out.
    """
    from mvit_cli.report.predict.timeline_picture import TimelinePicture

    windows = recogniser.recipe.windows
    if place is None or windows is None:
        yield None
        return
    words = f"windows of {windows.length_s:g} s, one every {windows.hop_s:g} s"
    with place.reserved():
        picture = TimelinePicture(place.path, recogniser.run, words, merging)
        try:
            for row in journal.rows() if journal else ():
                picture.take(row)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"{place.option}: a row of earlier runs is not one that this mvit writes",
                f"leave --resume out to begin anew, or leave {place.option} out",
            ) from error
        yield picture
        tell(picture.close())
