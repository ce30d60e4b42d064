"""The sound of a video beside its new pictures: packets as they are where the container takes them, else AAC."""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mvit_cli.media.shortage import MemoryWatch
from mvit_cli.media.video.container import packets_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

# What players of MP4 and QuickTime files play; Matroska takes all.
COPIED_INTO_MP4 = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "flac", "opus", "libopus"})
COPIED_INTO_MOV = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be", "pcm_s24le"})
AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})
USUAL_RATE = 48000
# Packets before the first that is heard, from which decoders of sound begin; earlier ones are hidden by an edit list.
PREROLL_S = 0.1


class Sound:
    """Gives the sound of one container to another, in step with its pictures.

    Args:
        source: the video, opened for this alone.
        target: what is written, before its first packet.
        origin_s: where in the source the target's time begins.

    Attributes:
        notes: sentences on what could not be kept.
    """

    def __init__(self, source: "InputContainer", target: "OutputContainer", origin_s: float) -> None:
        self.notes: list[str] = []
        self._target, self._origin_s = target, origin_s
        self._packets: Iterator[tuple[float, Packet[Any]]] = iter(())
        self._next: tuple[float, Packet[Any]] | None = None
        heard: AudioStream | None = source.streams.best("audio")  # type: ignore[assignment]
        if heard is None:
            return
        if heard.codec_context is None:
            self.notes.append("its sound was left out: there is no decoder for it")
            return
        is_copied = heard.codec_context.name in _copied_into(target)
        self._packets = self._copied(source, heard) if is_copied else self._encoded(source, heard)
        self._next = next(self._packets, None)

    def until(self, time_s: float) -> None:
        """Writes all that begins before a time."""
        while self._next and self._next[0] < time_s:
            self._target.mux(self._next[1])
            self._next = next(self._packets, None)

    def _copied(self, source: "InputContainer", heard: "AudioStream") -> "Iterator[tuple[float, Packet[Any]]]":
        stream = self._target.add_stream_from_template(heard)
        for packet, dts, tick in self._told(source, heard):
            packet.stream = stream
            yield float(dts * tick), packet

    def _encoded(self, source: "InputContainer", heard: "AudioStream") -> "Iterator[tuple[float, Packet[Any]]]":
        codec = heard.codec_context
        rate = codec.sample_rate if codec.sample_rate in AAC_RATES else USUAL_RATE
        stream: AudioStream = self._target.add_stream("aac", rate=rate)
        stream.codec_context.layout = "mono" if codec.channels == 1 else "stereo"
        for packet in self._through_aac(source, heard, stream):
            yield float((packet.dts or 0) * packet.time_base), packet

    def _through_aac(self, source: "InputContainer", heard: "AudioStream", stream: Any) -> "Iterator[Packet[Any]]":
        import av

        failed = 0
        for packet, _, _ in self._told(source, heard):
            try:
                with MemoryWatch():
                    frames = packet.decode()
            except (av.error.FFmpegError, EOFError):
                failed += 1
                continue
            for frame in frames:
                yield from stream.encode(frame)
        yield from stream.encode(None)
        if failed:
            self.notes.append(f"{failed} packets of its sound are damaged and were left out")

    def _told(self, source: "InputContainer", heard: "AudioStream") -> "Iterator[tuple[Packet[Any], int, Fraction]]":
        """Packets that are heard or lead to what is, moved to the target's time, with their stamp of decoding."""
        tick = Fraction(heard.time_base or Fraction(1, USUAL_RATE))
        preroll_s = 0.0 if self._target.format.name == "matroska" else PREROLL_S  # which has no edit lists
        origin = round(self._origin_s / tick)
        last: int | None = None
        left_out = 0
        for packet in packets_of(source, heard):  # type: ignore[arg-type]
            stamp = packet.pts if packet.dts is None else packet.dts
            if not packet.size or stamp is None or packet.is_corrupt:
                left_out += bool(packet.size)
                continue
            dts = stamp - origin
            if packet.is_discard and not -preroll_s < dts * tick < 0:
                continue
            if last is not None and dts <= last:
                left_out += 1
                continue
            last = dts
            packet.dts, packet.pts = dts, dts if packet.pts is None else packet.pts - origin
            yield packet, dts, tick
        if left_out:
            self.notes.append(f"{left_out} packets of its sound are damaged or out of time and were left out")


def _copied_into(target: "OutputContainer") -> frozenset[str]:
    match target.format.name:
        case "mp4":
            return COPIED_INTO_MP4
        case "mov":
            return COPIED_INTO_MOV
    return frozenset(target.supported_codecs)
