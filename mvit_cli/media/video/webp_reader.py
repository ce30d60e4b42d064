"""Frames of animated WebP by Pillow: FFmpeg's decoder knows its stills only."""

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mvit_cli.errors import MediaError
from mvit_cli.media.guards import is_no_fault_of_the_file
from mvit_cli.media.shortage import MemoryWatch
from mvit_cli.media.video.av_reader import Fetched
from mvit_cli.media.video.index import VideoIndex
from mvit_cli.media.video.webp import opened_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HINT = "check that the file is whole"


class WebPReader:
    """Reads frames of an indexed animation with Pillow; close it.

    Transparency is ignored, as it is of stills and of GIF.

    Raises:
        MediaError: decode, where Pillow cannot open the file or counts other frames.
    """

    name = "pillow"
    seeks = False  # a frame holds what changes; libwebp draws all before it

    def __init__(self, index: VideoIndex) -> None:
        from PIL import Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's own suspicion of size, for which the index stands
                with MemoryWatch():
                    self._image = Image.open(opened_whole(index.file), formats=("WEBP",))
        except MemoryError:
            raise
        except Exception as error:
            if is_no_fault_of_the_file(error):
                raise
            raise MediaError("decode", "the animation cannot be read: it is damaged or cut short", HINT) from error
        held = getattr(self._image, "n_frames", 1)
        if held != index.num_frames:
            self.close()
            raise MediaError("decode", f"the animation holds {held} frames, its headers {index.num_frames}", HINT)

    def frames(self, indices: Iterable[int]) -> Iterator[Fetched]:
        """Yields the frames at `indices`, which ascend without repeats.

        Behind a frame that cannot be decoded there are no others: the last one before it stands for all of them.

        Raises:
            MediaError: decode, where there is no frame at all.
        """
        shown, whole = -1, True
        for index in indices:
            while whole and shown < index:
                whole = self._show(shown + 1)
                shown += whole
            if shown < 0 or not (whole or self._show(shown)):
                raise MediaError("decode", "no frame could be decoded", HINT)
            yield Fetched(index, self._pixels(), "decoded" if shown == index else "held")

    def close(self) -> None:
        self._image.close()

    def _show(self, frame: int) -> bool:
        """Draws a frame on the canvas; false where its data is damaged."""
        try:
            with MemoryWatch():
                self._image.seek(frame)
                self._image.load()
        except MemoryError:
            raise
        except Exception:  # EOFError of Pillow's reader, and what its plugins raise for broken files
            return False
        return True

    def _pixels(self) -> "NDArray[np.uint8]":
        import numpy as np

        return np.asarray(self._image.convert("RGB"))
