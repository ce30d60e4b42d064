"""One annotated video, seen from the program: a process of its own writes it, and only a whole one gets its name."""

import contextlib
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mvit_cli.annotated.film_worker import DISK
from mvit_cli.annotated.story import Story
from mvit_cli.errors import MediaError, MViTError
from mvit_cli.media.request import DecodeRequest
from mvit_cli.media.workers.conversation import Conversation
from mvit_cli.media.workers.process import START_S, job_for
from mvit_cli.media.workers.wire import packed_job
from mvit_cli.whole_files import written_whole

FRAME_S = 2.0
"""Of a video's time, what each of its frames may take on the whole."""

WRITTEN_A_SECOND = 10_000_000
"""Bytes that a slow disk takes; at its end a file is written once more, with its header in front."""


def write_video(
    request: DecodeRequest, story: Story, target: Path, timeout_s: float, at_frame: Callable[[int, int], None]
) -> list[str]:
    """Writes a video with what stands on it; returns sentences on what was not kept of it.

    Args:
        request: names the video.
        target: gets its name when it is whole; what was there is replaced, never what a link there names.
        timeout_s: seconds for what comes before the first frame, and for each frame; on the whole that and `FRAME_S`
            for each.
        at_frame: is told how many frames are written, and of how many.

    Raises:
        MediaError: the video could not be read once more, or not in time or memory.
        OSError: the target cannot be written.
        MViTError: the process does not start.
    """
    with contextlib.closing(_Writer()) as writer:
        writer.wait()  # who looks after the file from its first moment on, also where this process is killed
        with written_whole(target) as unfinished:
            try:
                unfinished.touch()
                notes = writer.write(request, story, unfinished, timeout_s, at_frame)
            except BaseException:
                writer.close()  # Windows takes no file away that is open
                raise
    return notes


class _Writer:
    """The process that writes; close it."""

    module = "mvit_cli.annotated.film_worker"

    def __init__(self) -> None:
        try:
            self._talk = Conversation(self.module, "writes it")
        except OSError as error:
            raise MViTError(f"the process that writes videos does not start: {error.strerror or error}") from error

    def wait(self) -> None:
        """Until it has started."""
        self._answer(time.monotonic() + START_S)

    def write(
        self,
        request: DecodeRequest,
        story: Story,
        target: Path,
        timeout_s: float,
        at_frame: Callable[[int, int], None],
    ) -> list[str]:
        """As `write_video`, under the name that is told."""
        job = job_for(0, request, timeout_s)
        for text in (packed_job(0, 0, job.request, job.limit_s), story.packed(), os.fsencode(os.path.abspath(target))):
            self._talk.say(text)
        began_s, end_s = time.monotonic(), math.inf
        while True:
            slow_disk_s = target.stat().st_size / WRITTEN_A_SECOND
            said = self._answer(min(end_s, time.monotonic() + job.limit_s) + slow_disk_s)
            try:
                match said["says"]:
                    case "alive":
                        frames, of = int(said["frames"]), int(said["of"])
                        end_s = began_s + job.limit_s + FRAME_S * of
                        at_frame(frames, of)
                    case "decoded":
                        return [str(note) for note in said["notes"]]
                    case _:
                        kind, message, hint = map(str, said["error"])
                        raise OSError(0, message) if kind == DISK else MediaError(kind, message, hint)
            except (KeyError, TypeError, ValueError, OverflowError) as error:  # it is no longer ours
                raise self._talk.nonsense() from error

    def close(self) -> None:
        """Ends the process."""
        self._talk.close()

    def _answer(self, until_s: float) -> dict[str, Any]:
        return self._talk.answer(until_s, "it took too long to write", "--timeout gives it more time")
