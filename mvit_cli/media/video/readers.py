"""Which library fetches the frames of a file: the rule, and the choice."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from mvit_cli.errors import MediaError
from mvit_cli.media.request import ReaderChoice
from mvit_cli.media.video.av_reader import AVReader, Fetched
from mvit_cli.media.video.decord_reader import DecordReader, decord_is_installed
from mvit_cli.media.video.index import WEBP, VideoIndex, why_not_decord
from mvit_cli.media.video.webp_reader import WebPReader

# decord also converts the frames it skips, and keeps several: at 1080p PyAV takes two thirds of its time and a third of
# its memory, at 3840 x 2160 half and a quarter. Up to this size they are equal.
DECORD_PIXELS = 1280 * 720


class FrameReader(Protocol):
    """Frames of one indexed video; one at a time, so that a clip of large frames never lies in memory whole."""

    name: str

    @property
    def seeks(self) -> bool:
        """Whether a frame can be reached without all before it."""

    def __init__(self, index: VideoIndex) -> None: ...

    def frames(self, indices: Iterable[int]) -> Iterator[Fetched]:
        """Yields the frames at `indices`, which ascend without repeats; where one comes twice the later one counts.

        A reader that starts again goes through `indices` again.
        """

    def close(self) -> None: ...


def readers_for(index: VideoIndex, choice: ReaderChoice) -> tuple[type[FrameReader], ...]:
    """The readers to try, in this order: a decord that gives up on a file is followed by PyAV under "auto".

    Animated WebP is Pillow's, as stills are: PyAV does not read it.

    Raises:
        MediaError: unsupported, where decord was demanded and is missing or would be wrong.
    """
    if choice != "decord" and index.container == WEBP:
        return (WebPReader,)
    if choice == "av":
        return (AVReader,)
    doubt = why_not_decord(index) if decord_is_installed() else "decord is not installed"
    if choice == "auto":
        large = index.width * index.height > DECORD_PIXELS
        return (AVReader,) if doubt or large else (DecordReader, AVReader)
    if doubt is None:
        return (DecordReader,)
    reason = doubt if doubt.startswith("decord") else f"decord would be wrong on this file: {doubt}"
    raise MediaError("unsupported", reason, "use --reader auto or --reader av")
