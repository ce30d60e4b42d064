"""Bytes and requests that one clip of a video behind an address costs: `python benchmarks/remote_bytes.py`.

A server on this machine gives parts of files. The video is 60 s of noise in H.264, made here; one clip of 16 frames,
stride 4, is taken from its middle, as `--views 1x1` does. Prints a table in Markdown.
"""

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from range_server import RangeServer

from mvit_cli.media.decode import attempt
from mvit_cli.media.request import Decoded, DecodeRequest
from mvit_cli.protocol import Sampling, Transform

SECONDS, FPS = 60, 25
CLIP = Sampling("clip", frames=16, stride=4, fps=FPS)
TRANSFORM = Transform(mean=(0.45,) * 3, std=(0.225,) * 3, resize=64, crop=64)


@dataclass(frozen=True)
class Kind:
    """A way to store the video."""

    name: str
    container: str = "mp4"
    flags: str = ""
    gop: int = 2 * FPS
    ranges: bool = True


KINDS = (
    Kind("MP4, header first, key frame each 2 s", flags="+faststart"),
    Kind("MP4, header last, key frame each 2 s"),
    Kind("MP4, header first, key frame each 10 s", flags="+faststart", gop=10 * FPS),
    Kind("MP4, header last, key frame each 10 s", gop=10 * FPS),
    Kind("MP4 in fragments", flags="frag_keyframe+empty_moov"),
    Kind("Matroska", container="matroska"),
    Kind("transport stream", container="mpegts"),
    Kind("MP4, a server without ranges", ranges=False),
)


def main() -> None:
    """Measures every kind."""
    print("| stored as | bytes | fetched | share | requests | ms |\n|---|---:|---:|---:|---:|---:|")
    for kind in KINDS:
        data = video(kind)
        with RangeServer({"/video": data}, ranges=kind.ranges) as server:
            started = time.perf_counter()
            outcome = attempt(DecodeRequest(server.url("/video"), CLIP, TRANSFORM))
            spent_ms = (time.perf_counter() - started) * 1000
        assert isinstance(outcome, Decoded), outcome
        share = server.sent / len(data)
        print(
            f"| {kind.name} | {len(data):,} | {server.sent:,} | {share:.0%} | {len(server.requests)} | {spent_ms:.0f} |"
        )


def video(kind: Kind) -> bytes:
    """About 34 MB of noise."""
    import av

    noise = np.random.default_rng(0).integers(0, 256, (8, 120, 160, 3), dtype=np.uint8)
    options = {"movflags": kind.flags} if kind.flags else {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        with av.open(path, "w", format=kind.container, options=options) as container:
            stream = container.add_stream("libx264", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            more = "bframes=2:scenecut=0"
            stream.options = {"preset": "ultrafast", "qp": "16", "g": str(kind.gop), "x264-params": more}
            for number in range(SECONDS * FPS):
                frame = av.VideoFrame.from_ndarray(np.roll(noise[number % 8], number, axis=1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path.read_bytes()


if __name__ == "__main__":
    main()
