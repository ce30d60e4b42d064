"""Small pictures that stay in memory: an epoch over tens of thousands of them opens no file."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import show_still
from mvit_cli.media.guards import check_file
from mvit_cli.media.images import probe
from mvit_cli.media.request import Decoded, DecodeRequest, Lull, Outcome
from mvit_cli.media.transforms import pixel_dtype
from mvit_cli.media.whole import SIDE
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.protocol import Sampling, Transform
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


def kept_stills(clips: Sequence[LabelledClip], pool: DecodePool, most_bytes: int = MOST_BYTES) -> KeptStills | None:
    """The pictures of clips that could all be read before; None where one is a video or large, or all are too much.

    Args:
        pool: reads them, as any file: what decodes files of others does not run in this process.
    """
    if any(clip.address for clip in clips) or not _begins_with_still(clips):
        return None
    pictures: dict[str, NDArray[np.uint8]] = {}
    taken_bytes = 0
    with closing(pool.imap(_read_whole(clip.path) for clip in clips)) as outcomes:
        for clip, outcome in zip(clips, outcomes, strict=True):
            picture = _small_still(outcome)
            taken_bytes += 0 if picture is None else picture.nbytes
            if picture is None or taken_bytes > most_bytes:
                return None
            pictures[clip.path] = picture
    return KeptStills(pictures)


def _begins_with_still(clips: Sequence[LabelledClip]) -> bool:
    """Whether the first clip is a picture: by its first bytes, so that for videos no process is started."""
    try:
        return bool(clips) and probe(check_file(clips[0].path)) == "image"
    except MediaError:
        return False


def _read_whole(path: str) -> DecodeRequest:
    """What asks for all of a picture; of its crop a pixel is enough."""
    nothing = Transform((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1, 1)
    return DecodeRequest(path, Sampling("image", 1), nothing, whole=True)


def _small_still(outcome: Outcome) -> "NDArray[np.uint8] | None":
    """The picture, as it is in its file; None of a video or of what was made smaller on the way, or may have been."""
    if not isinstance(outcome, Decoded) or not outcome.whole or outcome.reader != "pillow":
        return None
    picture = outcome.whole[0].pixels[0]
    height, width = picture.shape[:2]
    return picture if height * width <= MOST_PIXELS and max(height, width) < SIDE else None
