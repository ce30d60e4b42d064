"""Frames by decord, for files whose index proves that it will be right."""

import os
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from typing import ClassVar

from mvit_cli.errors import MediaError, at_most
from mvit_cli.media.shortage import is_near_limit
from mvit_cli.media.video.av_reader import Fetched
from mvit_cli.media.video.index import VideoIndex

# Full frames that one batch may hold.
BATCH_BYTES = 64 << 20
# Share of a file's frames that decord may replace by the one before without an error; 0 would mean any.
NO_REPEATS = 1e-9
# A thread's stack.
THREAD_BYTES = 8 << 20
STDERR = 2


def decord_is_installed() -> bool:
    return find_spec("decord") is not None


class DecordReader:
    """Reads frames of an indexed video with decord; close it.

    decord does not say where its decoder concealed damage, but FFmpeg writes that to standard error: a process whose
    standard error is a file of its own sets `overhears`, and a word there is a failure of the video.

    Raises:
        MediaError: decode, on whatever decord raises.
    """

    name = "decord"
    seeks = True
    overhears: ClassVar[bool] = False

    def __init__(self, index: VideoIndex) -> None:
        import decord

        decord.logging.set_level(decord.logging.ERROR if self.overhears else decord.logging.QUIET)
        self._batch = max(1, BATCH_BYTES // max(1, index.width * index.height * 3))
        self._piece_bytes = max(BATCH_BYTES, index.width * index.height * 4) + THREAD_BYTES
        self._silent_until = os.lseek(STDERR, 0, os.SEEK_CUR) if self.overhears else 0
        try:
            self._video = decord.VideoReader(index.file.path, ctx=decord.cpu(0), num_threads=1, fault_tol=NO_REPEATS)
            held = len(self._video)
        except Exception as error:
            raise self._failure(str(error)) from error
        if held != index.num_frames:
            raise MediaError("decode", f"decord counts {held} frames, the file holds {index.num_frames}")

    def frames(self, indices: Iterable[int]) -> Iterator[Fetched]:
        """Yields the frames at `indices`, which ascend without repeats: decord seeks again for every step back."""
        left = iter(indices)
        while batch := list(islice(left, self._batch)):
            try:
                pixels = self._video.get_batch(batch).asnumpy()
            except Exception as error:
                raise self._failure(str(error)) from error
            for index, frame in zip(batch, pixels, strict=True):
                yield Fetched(index, frame, "decoded")
        if said := self._overheard():
            raise self._failure(said)

    def close(self) -> None:
        self._video = None

    def _overheard(self) -> str:
        if not self.overhears:
            return ""
        size = os.lseek(STDERR, 0, os.SEEK_CUR) - self._silent_until
        return os.pread(STDERR, min(size, 4096), self._silent_until).decode(errors="replace").strip()

    def _failure(self, text: str) -> MediaError:
        """Makes an error of the first line, without decord's time and source line or FFmpeg's name of an object.

        decord decodes in a thread of its own, where a refusal of memory is not seen: how near the limit is must do.
        """
        if is_near_limit(self._piece_bytes):
            return MediaError("memory", "decoding by decord needs more memory than there is", "try --reader av")
        line = next(iter(text.strip().splitlines()), "no reason given")
        line = re.sub(r"^\[[\d:]+\]\s+\S+:\d+:\s*|^\[(\S+) @ 0x[0-9a-f]+\]\s*", "", line)
        return MediaError("decode", f"decord: {at_most(line)}", "try --reader av")
