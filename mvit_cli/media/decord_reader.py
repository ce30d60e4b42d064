"""Frames by decord, for files whose index proves that it will be right."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mvit_cli.errors import MediaError
from mvit_cli.media.av_reader import Fetched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mvit_cli.media.index import VideoIndex

# Full frames that one batch may hold.
BATCH_BYTES = 64 << 20
_LOG_PREFIX = r"^\[[\d:]+\] \S+:\d+: "


def decord_is_installed() -> bool:
    return find_spec("decord") is not None


class DecordReader:
    """Reads frames of an indexed video with decord; close it.

    Raises:
        MediaError: decode, on whatever decord raises.
    """

    name = "decord"

    def __init__(self, index: VideoIndex) -> None:
        import decord

        decord.logging.set_level(decord.logging.QUIET)
        self._batch = max(1, BATCH_BYTES // max(1, index.width * index.height * 3))
        try:
            self._video = decord.VideoReader(index.path, ctx=decord.cpu(0), num_threads=1)
            held = len(self._video)
        except MemoryError:
            raise
        except Exception as error:
            raise _failure(error) from error
        if held != index.num_frames:
            raise MediaError("decode", f"decord counts {held} frames, the file holds {index.num_frames}")

    def frames(self, indices: Sequence[int]) -> Iterator[Fetched]:
        """Yields the frames at `indices`, which ascend without repeats: decord seeks again for every step back."""
        for start in range(0, len(indices), self._batch):
            batch = list(indices[start : start + self._batch])
            try:
                pixels = self._video.get_batch(batch).asnumpy()
            except Exception as error:
                raise _failure(error) from error
            for index, frame in zip(batch, pixels, strict=True):
                yield Fetched(index, frame, "decoded")

    def close(self) -> None:
        self._video = None


def _failure(error: Exception) -> MediaError:
    """decord raises classes of its own, of ctypes and RuntimeError, with time, source line and a stack trace."""
    first = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return MediaError("decode", f"decord: {re.sub(_LOG_PREFIX, '', first[0])[:200]}", "Try --reader av.")
