"""Small pictures that stay in memory: an epoch over tens of thousands of them opens no file."""

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import show_still
from mvit_cli.media.guards import check_file
from mvit_cli.media.images import probe, read_image, size_of_image
from mvit_cli.media.request import Decoded, DecodeRequest, Lull, Outcome
from mvit_cli.media.transforms import pixel_dtype
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.recognition.labelled import LabelledClip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_PIXELS = 256 * 256
"""Of one picture; a larger one takes longer to resize than to be handed over by a worker."""
MOST_BYTES = 1 << 30
"""Of all of them together, three bytes a pixel."""


class KeptStills(DecodePool):
    """Shows pictures from memory, in this process, where a pool would have a worker decode their files.

    Args:
        pictures: `(H, W, 3)` of each path that will be asked for.
    """

    def __init__(self, pictures: "dict[str, NDArray[np.uint8]]") -> None:
        super().__init__(workers=0)
        self._pictures = pictures

    def imap(self, jobs: Iterable[DecodeRequest | MediaError]) -> Generator[Outcome, None, None]:
        """Yields one outcome for each job."""
        for job in jobs:
            yield job if isinstance(job, MediaError) else self._shown(job)

    def imap_with_lulls(self, jobs: Iterable[DecodeRequest | MediaError]) -> Generator[Outcome | Lull, None, None]:
        """The same: nothing has to be waited for."""
        yield from self.imap(jobs)

    def _shown(self, request: DecodeRequest) -> Decoded:
        import numpy as np

        pixels = np.empty(request.pixels_shape, pixel_dtype(request.transform))
        clips, duration_s, reader, notes = show_still(self._pictures[request.path], request, pixels)
        return Decoded(pixels, tuple(clips), duration_s, reader, tuple(notes), 0.0)


def kept_stills(clips: Sequence[LabelledClip], most_bytes: int = MOST_BYTES) -> KeptStills | None:
    """The pictures of clips that could all be read before; None where one is a video or large, or all are too much."""
    pictures: dict[str, NDArray[np.uint8]] = {}
    taken_bytes = 0
    for clip in clips:
        if clip.address:
            return None
        picture = _small_still(clip.path)
        taken_bytes += 0 if picture is None else picture.nbytes
        if picture is None or taken_bytes > most_bytes:
            return None
        pictures[clip.path] = picture
    return KeptStills(pictures)


def _small_still(path: str) -> "NDArray[np.uint8] | None":
    try:
        file = check_file(path)
        if probe(file) != "image":
            return None
        width, height = size_of_image(file)
        return read_image(file) if width * height <= MOST_PIXELS else None
    except MediaError:  # whoever decodes it says what is wrong
        return None
