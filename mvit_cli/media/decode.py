"""One file from its name to clips and crops, in this process."""

import errno
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError
from mvit_cli.media.guards import NAME_VIDEOS, CheckedFile, words_of
from mvit_cli.media.images import probe, read_image
from mvit_cli.media.opening import opened_file
from mvit_cli.media.request import Clip, Decoded, DecodeRequest, WholeFrames
from mvit_cli.media.strips import pictures_of
from mvit_cli.media.tracks import Followed, Region
from mvit_cli.media.transforms import crop_of_look, crops_of, pixel_dtype
from mvit_cli.media.video.av_reader import State
from mvit_cli.media.video.index import VideoIndex, index_video
from mvit_cli.media.video.readers import FrameReader, readers_for
from mvit_cli.media.video.sampling import clip_span_s, sample, short_video_warning
from mvit_cli.media.whole import Gathering, Wholes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Allocate = Callable[[tuple[int, ...], Any], "NDArray[Any]"]

# Of a protocol that looks at the whole video, how much of it a look may leave out.
SEGMENTS_JITTER = 0.15
# Names under which people keep lists of files.
LIST_SUFFIXES = (".txt", ".lst", ".list")


def decode(request: DecodeRequest, allocate: Allocate | None = None, file: CheckedFile | None = None) -> Decoded:
    """The clips and crops of one file.

    Args:
        request: the file and the protocol.
        allocate: makes the array that the pixels go into, from shape and dtype; memory of its own by default.
        file: that of the request, where it has been checked.

    Raises:
        MediaError: not_found, unsupported, empty, decode.
    """
    started = time.perf_counter()
    with nullcontext(file) if file else opened_file(request) as checked:
        decoded = _decoded(request, allocate, checked)
    return replace(decoded, decode_ms=(time.perf_counter() - started) * 1000)


def _decoded(request: DecodeRequest, allocate: Allocate | None, file: CheckedFile) -> Decoded:
    import numpy as np

    said: list[str] = []
    is_still = probe(file) == "image"
    if is_still and request.sampling.frames > 1 and not request.stills:
        raise MediaError("unsupported", "a still image, where a video is needed", "name video files")
    image = read_image(file, said) if is_still else None
    if image is not None and request.track:
        image = _cut_out_of_still(image, request, said)
    pixels = (allocate or np.empty)(request.pixels_shape, pixel_dtype(request.transform))
    if image is not None:
        clips, duration_s, reader, notes = show_still(image, request, pixels)
        whole = _whole_still(image, request)
    else:
        clips, duration_s, reader, notes, whole = _play(file, request, pixels)
    pictures = None if request.pictures == "none" else pictures_of(pixels, clips, request)
    return Decoded(pixels, tuple(clips), duration_s, reader, (*said, *notes), 0.0, pictures, whole=whole)


def attempt(request: DecodeRequest, allocate: Allocate | None = None) -> Decoded | MediaError:
    """What `decode` returns or raises: no file may end a run, whatever a library makes of it."""
    try:
        return decode(request, allocate)
    except Exception as error:
        return failure_of(error, request.path)


def failure_of(error: Exception, path: str) -> MediaError:
    """What a file's row says of an exception; of a list of files, however it fails, how lists are named."""
    failure = _failure_of(error)
    is_list = path.lower().endswith(LIST_SUFFIXES) and failure.hint != NAME_VIDEOS
    if is_list and failure.kind in ("decode", "unsupported"):
        return MediaError(failure.kind, failure.message, "write @ before the name of a list of files (@list.txt)")
    return failure


def _failure_of(error: Exception) -> MediaError:
    import av

    if isinstance(error, MediaError):
        return error
    number = getattr(error, "errno", None)
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return MediaError("memory", "decoding needs more memory than there is", "scale the file down")
    if number in (errno.EMFILE, errno.ENFILE):
        return MediaError("internal", "too many open files", "raise the limit (ulimit -n), or use fewer --workers")
    if isinstance(error, av.error.FFmpegError):
        return MediaError(
            "decode", f"FFmpeg cannot decode it ({error.strerror})", "check that the file plays elsewhere"
        )
    return MediaError("internal", f"{type(error).__name__}: {words_of(error)}", "please report this file")


def show_still(
    image: "NDArray[np.uint8]", request: DecodeRequest, pixels: "NDArray[Any]"
) -> tuple[list[Clip], float, str, list[str]]:
    """Fills `pixels` with one picture; gives clips, seconds, reader and notes."""
    frames = request.sampling.frames
    for crop, picture in enumerate(_pictures_of(image, request)):
        pixels[crop :: request.num_crops] = picture
    notes = [f"a still image: it was repeated for the {frames} frames of a clip"] if frames > 1 else []
    return [Clip((0,) * frames, 0.0, 0.0)] * request.num_clips, 0.0, "pillow", notes


def _whole_still(image: "NDArray[np.uint8]", request: DecodeRequest) -> tuple[WholeFrames, ...]:
    if not request.whole:
        return ()
    gathering = Gathering(request, 1)
    return (gathering.together({0: gathering.small(image)}, (0.0,)),)


def _cut_out_of_still(image: "NDArray[np.uint8]", request: DecodeRequest, said: list[str]) -> "NDArray[np.uint8]":
    """What a picture shows of the track, with a sentence where that is little."""
    import numpy as np

    assert request.track is not None
    followed = Followed(request.track, np.zeros(1), 0.0)
    region = followed.region([Clip((0,), 0.0, 0.0)], 0, 0, *image.shape[:2])
    said += [*followed.notes(), *followed.enlarged(request.transform.crop)]
    return image[region.top : region.bottom, region.left : region.right]


def _play(
    file: CheckedFile, request: DecodeRequest, pixels: "NDArray[Any]"
) -> tuple[list[Clip], float, str, list[str], tuple[WholeFrames, ...]]:
    index = index_video(file)
    followed = Followed(request.track, index.times_s, index.duration_s) if request.track else None
    from_s, to_s = (followed.from_s, followed.to_s) if followed else part_of(request, index.duration_s, index.fps)
    clips = sample(index.times_s, to_s, index.fps, request.sampling, request.num_clips, from_s)
    what = "track" if followed else "part" if request.part else "video"
    short = short_video_warning(to_s - from_s, index.fps, request.sampling, what)
    reader, damage, whole = _fetch(index, clips, request, pixels, followed)
    of_track = [*followed.notes(), *followed.enlarged(request.transform.crop)] if followed else []
    notes = [note for note in (*index.warnings, short, *of_track, *damage) if note]
    return clips, index.duration_s, reader, notes, whole


def part_of(request: DecodeRequest, duration_s: float, fps: float) -> tuple[float, float]:
    """The seconds that clips are taken from: the file, the part that was asked for, or for a look one clip of it.

    Raises:
        MediaError: empty, where the file ends before the part begins.
    """
    from_s, to_s = request.part or (0.0, None)
    if from_s >= duration_s:
        raise MediaError(
            "empty", f"the part begins at {from_s:g} s, the video ends at {duration_s:.2f} s", "check its start_s"
        )
    to_s = duration_s if to_s is None else min(to_s, duration_s)
    if request.look is None:
        return from_s, to_s
    span_s = clip_span_s(request.sampling, fps)
    room_s = SEGMENTS_JITTER * (to_s - from_s) if span_s is None else max(to_s - from_s - span_s, 0.0)
    begin_s = from_s + request.look.start * room_s
    return begin_s, min(to_s, begin_s + (to_s - from_s - room_s))


def _fetch(
    index: VideoIndex,
    clips: Sequence[Clip],
    request: DecodeRequest,
    pixels: "NDArray[Any]",
    followed: Followed | None,
) -> tuple[str, list[str], tuple[WholeFrames, ...]]:
    """Fills `pixels` by the first reader that manages; returns its name, what was not as asked, and whole frames."""
    *others, last = readers_for(index, request.reader)
    for kind in others:
        try:
            return _fetch_by(kind, index, clips, request, pixels, followed)
        except MediaError:
            continue  # the reader after it says what is wrong with the file, if anything is
    return _fetch_by(last, index, clips, request, pixels, followed)


def _fetch_by(
    kind: type[FrameReader],
    index: VideoIndex,
    clips: Sequence[Clip],
    request: DecodeRequest,
    pixels: "NDArray[Any]",
    followed: Followed | None,
) -> tuple[str, list[str], tuple[WholeFrames, ...]]:
    places = defaultdict(list)  # frame of the file -> (clip, frame of the clip)
    for number, clip in enumerate(clips):
        for place, shown in enumerate(clip.indices):
            places[shown].append((number, place))
    states: dict[int, State] = {}
    gathered = Wholes(request, index, len(clips) if followed else 1, len(places))
    reader = kind(index)
    try:
        for fetched in reader.frames(sorted(places)):
            frame = fetched.pixels
            seen: dict[Region | None, tuple[NDArray[Any], list[NDArray[Any]]]] = {}  # a frame may be in several clips
            for number, place in places[fetched.place]:
                region = followed.region(clips, number, place, *frame.shape[:2]) if followed else None
                if region not in seen:
                    part = frame[region.top : region.bottom, region.left : region.right] if region else frame
                    seen[region] = part, _pictures_of(part, request)
                part, crops = seen[region]
                gathered.add(number, fetched.place, part)
                for crop, picture in enumerate(crops):
                    pixels[number * request.num_crops + crop, place] = picture
            states[fetched.place] = fetched.state
    finally:
        reader.close()
    notes = damage([states[shown] for clip in clips for shown in clip.indices])
    return reader.name, notes, gathered.together()


def _pictures_of(frame: "NDArray[np.uint8]", request: DecodeRequest) -> "list[NDArray[Any]]":
    """The crops of one frame."""
    if request.look:
        return [crop_of_look(frame, request.look, request.transform)]
    return crops_of(frame, request.transform, request.num_crops)


def damage(states: Sequence[State]) -> list[str]:
    """Sentences on the frames, one state each, that are not as the file should have them.

    Raises:
        MediaError: decode, where fewer than half could be had, or none without damage.
    """
    held, damaged, total = states.count("held"), states.count("damaged"), len(states)
    if damaged and held + damaged == total:
        raise MediaError(
            "decode",
            f"none of {total} frames could be decoded without damage",
            "the file is damaged; copy or download it again",
        )
    if held * 2 > total:
        raise MediaError(
            "decode",
            f"only {total - held} of {total} frames could be decoded",
            "the file is damaged; copy or download it again",
        )
    notes = []
    if held:
        notes.append(f"{held} of {total} frames could not be decoded; the nearest earlier frame was repeated")
    if damaged:
        notes.append(f"{damaged} of {total} frames are damaged; the decoder concealed what it could")
    return notes
