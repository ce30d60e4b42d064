"""Opens a video with PyAV, guarded: no network, no playlists, no attached pictures, one thread, no giant frames."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError
from mvit_cli.media.guards import MAX_VIDEO_PIXELS, CheckedFile, is_no_fault_of_the_file
from mvit_cli.media.shortage import MemoryWatch

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# Demuxers that read other files, make pictures up, or take stills for video.
REFUSED_FORMATS = frozenset({"concat", "hls", "dash", "lavfi", "sdp", "rtsp", "tee", "webvtt"})
# Demuxers and decoders that draw the letters of any text.
TEXT_FORMATS = frozenset({"tty", "bin", "xbin", "adf", "idf", "ansi", "bintext"})

NEITHER = "neither a video nor an image that can be read"

# Errors in a row before the rest of a file is given up.
ERROR_BUDGET = 100


def open_video(file: CheckedFile, *, only_whole: bool = False) -> "tuple[InputContainer, VideoStream]":
    """Opens a file and picks its video stream; the caller closes the container.

    Args:
        file: that was checked.
        only_whole: whether the decoder keeps damaged frames to itself.

    Raises:
        MediaError: decode, unsupported.
    """
    import av

    # Tags in another encoding than UTF-8 are an error by default before PyAV 19, and no question from it on.
    lenient: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    # What is read from a content opens no file at all.
    options = {"protocol_whitelist": "none" if file.content else "file"}
    try:
        with MemoryWatch():
            container = av.open(file.opens, mode="r", options=options, **lenient)
        if container.format.name in ("image2", "jpeg_pipe") and file.head.startswith(
            b"\xff\xd8\xff"
        ):  # JPEG after JPEG under a photo's name
            container.close()
            with MemoryWatch():
                container = av.open(file.opens, mode="r", format="mjpeg", options=options, **lenient)
    except MemoryError:
        raise
    except av.error.FFmpegError as error:
        if is_no_fault_of_the_file(error):
            raise
        raise MediaError(
            "decode",
            f"{NEITHER} ({error.strerror})",
            "check that the file is whole and plays elsewhere",
        ) from error
    try:
        return container, video_stream_of(container, only_whole=only_whole)
    except BaseException:
        container.close()
        raise


def packets_of(container: "InputContainer", stream: "VideoStream") -> "Iterator[Packet[Any]]":
    """Yields the packets of a stream from where the container stands, past damage up to a budget."""
    import av

    failed = 0
    packets = container.demux(stream)
    while failed <= ERROR_BUDGET:
        try:
            with MemoryWatch():
                packet = next(packets)
        except (StopIteration, EOFError):
            return
        except MemoryError:
            raise
        except (av.error.FFmpegError, IndexError):  # IndexError: PyAV, where damage looks like one stream more
            failed += 1
            packets = container.demux(stream)
        else:
            failed = 0
            yield packet


def video_stream_of(
    container: "InputContainer", *, only_whole: bool, refused: frozenset[str] = REFUSED_FORMATS
) -> "VideoStream":
    """The video stream of an open container that is shown, its decoder set up.

    Args:
        only_whole: whether the decoder keeps damaged frames to itself.
        refused: formats that are not read.

    Raises:
        MediaError: decode, unsupported.
    """
    from av.stream import Disposition

    formats = container.format.name.split(",")
    if refused.intersection(formats):
        raise MediaError(
            "unsupported", f"{container.format.name} is not read as video", "name the video files themselves"
        )
    if any(name.endswith("_pipe") for name in formats):
        what = formats[0].removesuffix("_pipe")
        raise MediaError("unsupported", f"an image in a format that is not read ({what})", "convert it to JPEG or PNG")
    if "image2" in formats:  # taken from the name alone
        raise MediaError("decode", NEITHER, "check that the file is whole and plays elsewhere")
    names = {stream.codec_context.name for stream in container.streams.video if stream.codec_context}
    if TEXT_FORMATS.intersection([*formats, *names]):
        raise MediaError("unsupported", "text, not a video", "write @ before the name of a list of files (@list.txt)")
    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not moving:
        kinds = {"a cover picture" if stream.type == "video" else str(stream.type) for stream in container.streams}
        held = " and ".join(sorted(kinds, reverse=True)) or "nothing"
        raise MediaError("decode", f"no video stream (the file holds {held})", "check that the file is a video")
    best = container.streams.best("video")
    stream = next((stream for stream in moving if stream is best), moving[0])
    codec = stream.codec_context
    if codec is None:
        raise MediaError("unsupported", "no decoder for its video stream", "convert it to H.264 in MP4")
    if codec.width * codec.height > MAX_VIDEO_PIXELS:
        raise too_large(codec.width, codec.height)
    _set_up_decoder(stream, only_whole=only_whole)
    return stream


def too_large(width: int, height: int) -> MediaError:
    """The error of a video with such frames."""
    return MediaError(
        "unsupported",
        f"frames of {width} x {height}, more than {MAX_VIDEO_PIXELS / 1e6:.0f} million pixels",
        "scale the video down",
    )


def _set_up_decoder(stream: "VideoStream", *, only_whole: bool) -> None:
    from av.codec.context import Flags, ThreadType

    codec = stream.codec_context
    # One thread: threaded decoding keeps frames back, and ends badly when a process exits in the middle.
    codec.thread_type = ThreadType.NONE
    codec.thread_count = 1
    # A damaged frame comes out marked as such; without this flag the decoder drops it and all that refer to it.
    if not only_whole:
        codec.flags |= Flags.output_corrupt
    # A header in mid-stream may claim another size than the container's.
    codec.options = {"max_pixels": str(MAX_VIDEO_PIXELS)}
