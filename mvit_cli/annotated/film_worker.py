"""The process that writes one video: what it reads may be hostile, so it has a decoding worker's limits.

a job, as decoding workers get it; the story as JSON; the target's name      to the process
{"says": "ready"}
{"says": "alive", "frames": 120, "of": 3000}
{"says": "error", "error": [kind, message, hint]}                            the kind DISK: of the target
{"says": "decoded", "notes": [...]}                                          the target is whole
"""

import errno
import os
import threading
import time
from contextlib import suppress
from typing import Any

from mvit_cli.annotated.filming import film
from mvit_cli.annotated.story import story_of
from mvit_cli.errors import MediaError
from mvit_cli.media.decode import failure_of
from mvit_cli.media.opening import opened_file
from mvit_cli.media.workers.wire import job_of, read_frame
from mvit_cli.media.workers.worker import say, set_up

DISK = "disk"
"""What errors of the place that is written to are called."""

SPEAKS_EVERY_S = 0.5
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO})


def main() -> None:
    """Writes the video that it is told of."""
    told_from, answers_to, _ = set_up(_load_libraries)
    job, story, target = (read_frame(told_from)[0] for _ in range(3))
    threading.Thread(target=_end_with, args=(told_from, os.fsdecode(target)), daemon=True).start()
    say(answers_to, _done(job, story, os.fsdecode(target), answers_to))
    os._exit(0)


def _done(job: bytes, story: bytes, target: str, answers_to: int) -> dict[str, Any]:
    """What is said at the end."""
    number_slot_request_limit = job_of(job)
    assert isinstance(number_slot_request_limit, tuple)
    request = number_slot_request_limit[2]
    spoke_s = -SPEAKS_EVERY_S

    def tell(frames: int, of: int) -> None:
        nonlocal spoke_s
        if time.monotonic() - spoke_s >= SPEAKS_EVERY_S:
            spoke_s = time.monotonic()
            say(answers_to, {"says": "alive", "frames": frames, "of": of})

    try:
        with opened_file(request) as file:
            return {"says": "decoded", "notes": film(file, story_of(story), target, tell)}
    except Exception as error:
        failure = _failure(error, request.path)
        return {"says": "error", "error": [failure.kind, failure.message, failure.hint]}


def _failure(error: Exception, path: str) -> MediaError:
    if not isinstance(error, MediaError) and getattr(error, "errno", None) in _OF_THE_DISK:
        return MediaError(DISK, os.strerror(error.errno))  # type: ignore[attr-defined]
    return failure_of(error, path)


def _end_with(told_from: int, target: str) -> None:
    """Ends the process, and takes away what it has begun, as soon as nobody waits for it any more."""
    try:
        read_frame(told_from)
    finally:
        with suppress(OSError):
            os.unlink(target)
        os._exit(0)


def _load_libraries() -> None:
    """Loads what is needed before memory is limited."""
    import av.subtitles.stream
    import numpy
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    Image.init()
    del av, numpy, ImageDraw, ImageFont, ImageOps


if __name__ == "__main__":
    main()
