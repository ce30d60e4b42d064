"""The pictures in `docs/`, all made by the tool itself: `python scripts/docs_pictures.py [NAME...]`.

Trains a probe on the tiny labelled set of the tests, recognises the clips and a film made of some of them, and keeps
what the commands draw: `docs/pictures/`. Pages need Chromium, the film libx264 in PyAV, drawings matplotlib. Each name
of `MAKERS` makes the files that stand beside it; without a name all are made.
"""

import argparse
import base64
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOVES = ROOT / "tests" / "data" / "moves"
PICTURES = ROOT / "docs" / "pictures"
FILM = ("bounce/00", "bounce/01", "swing/02", "spin/03", "swing/04", "bounce/05", "spin/06", "spin/07")
CLIP_S = "2.27"
"""Each of these."""
MOST_BYTES = 150_000
LINES, COLUMNS = 17, 80
sys.path.insert(0, str(ROOT / "tests"))

TERMINAL = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
{styles}
</style>
<rect fill="#111315" width="{width}" height="{height}" rx="8"/>
<g transform="translate(12, 8)" class="{unique_id}-matrix">
{backgrounds}
{matrix}
</g>
</svg>
"""
"""A terminal on its own dark ground, which is read on light pages too; no font is fetched from anywhere."""


class Workshop:
    """A folder with what pictures are made of: each thing is made when it is first asked for.

    Attributes:
        folder: `videos/` are clips that are alike, `odd/` some that are broken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "videos").symlink_to(MOVES)
        (folder / "odd").symlink_to(ROOT / "tests" / "data" / "clips")

    @cached_property
    def film(self) -> str:
        """Some clips one after the other."""
        write_film(self.folder / "film.mp4")
        return "film.mp4"

    @cached_property
    def weights(self) -> tuple[str, str]:
        """A probe that knows what the clips show, as options."""
        self.mvit("train", "videos/", "-o", "moves.safetensors", "--preset", "camera")
        return "--weights", "moves.safetensors"

    @cached_property
    def squares(self) -> tuple[str, str, str]:
        """A clip with a square among chequered ones, and a small network that learned to tell its colour, as options.

        Both are of the test that asks whether heat lies on what decides (`tests/test_heat.py`): the clip is the first
        of those that the network is tested on.
        """
        import numpy as np
        import torch
        from media_clips import write_lossless
        from test_heat import OBJECT, moving_squares, trained

        from mvit_cli.checkpoints.convert import save_weights
        from mvit_cli.checkpoints.formats.own_protocol import PROTOCOL_KEY, OwnProtocol, protocol_to_json
        from mvit_cli.checkpoints.load import CONFIG_KEY, config_to_json
        from mvit_cli.protocol import Sampling, Transform, Views

        names = ("red square", "green square", "blue square")
        shown_as = Transform((0.5,) * 3, (0.25,) * 3, OBJECT.height, OBJECT.height)
        protocol = OwnProtocol(Sampling("clip", OBJECT.frames, 1, 25.0), shown_as, Views(1, 1), "softmax", names)
        metadata = {CONFIG_KEY: config_to_json(OBJECT), PROTOCOL_KEY: protocol_to_json(protocol)}
        save_weights(trained(OBJECT).state_dict(), metadata, self.folder / "squares.safetensors")
        clip = moving_squares(32, torch.Generator().manual_seed(9))[0][0]  # (3, T, H, W), normalised
        pixels = (255 * (0.5 + 0.25 * clip)).clamp(0, 255).byte().permute(1, 2, 3, 0).numpy()
        write_lossless(self.folder / "squares.mkv", list(np.repeat(np.repeat(pixels, 4, axis=1), 4, axis=2)))
        return "squares.mkv", "--weights", "squares.safetensors"

    def mvit(self, *arguments: str) -> None:
        """Runs the command; inputs that fail are part of the picture."""
        command = [sys.executable, "-m", "mvit_cli", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL)
        assert done.returncode in (0, 1), arguments

    @property
    def environment(self) -> dict[str, str]:
        """The package of this checkout, whatever is installed; a terminal of one size."""
        size = {"COLUMNS": str(COLUMNS), "LINES": str(LINES), "TERM": "xterm-256color"}
        return {**os.environ, "PYTHONPATH": str(ROOT), "MVIT_PRESET": "", **size}

    def seen(self, *arguments: str) -> str:
        """What the command leaves on a terminal, with its colours."""
        import pty

        controller, terminal = pty.openpty()
        command = [sys.executable, "-m", "mvit_cli", *arguments]
        with subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=terminal, stderr=terminal) as run:
            os.close(terminal)
            parts = []
            try:
                while part := os.read(controller, 1 << 16):
                    parts.append(part)
            except OSError:  # as Linux says that nobody writes any more
                pass
        os.close(controller)
        assert run.returncode == 0, arguments
        return b"".join(parts).decode()


def write_film(target: Path) -> None:
    """Some clips one after the other."""
    import av

    rate, number = 15, 0
    with av.open(str(target), "w") as film:
        stream = None
        for name in FILM:
            with av.open(str(MOVES / f"{name}.mp4")) as clip:
                for frame in clip.decode(video=0):
                    if stream is None:
                        stream = film.add_stream("libx264", rate=rate)
                        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
                    plain = av.VideoFrame.from_ndarray(frame.to_ndarray(format="rgb24"), format="rgb24")
                    plain.pts, plain.time_base, number = number, Fraction(1, rate), number + 1
                    film.mux(stream.encode(plain))
        assert stream is not None
        film.mux(stream.encode(None))


def shots(page: Path, code: str, light: str, dark: str, rows: int | None = None) -> None:
    """Pictures of a page, of few colours so that they stay small; an empty name: none.

    Args:
        rows: only so many from the top, in twice the colours, of which a yellow that few pixels have is one too.
    """
    from browser import Browser
    from PIL import Image

    with Browser() as browser:
        for scheme, name in (("light", light), ("dark", dark)):
            if not name:
                continue
            browser.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            browser.open(page, 1100)
            browser.ask(code)
            browser.ask("new Promise(resolve => setTimeout(resolve, 500))", wait=True)
            data = base64.b64decode(browser.do("Page.captureScreenshot", format="png")["data"])
            seen = Image.open(io.BytesIO(data)).convert("RGB")
            seen = seen.crop((0, 0, seen.width, rows or seen.height))
            few = seen.quantize(256, Image.Quantize.MAXCOVERAGE) if rows else seen.quantize(128)
            few.save(PICTURES / name, optimize=True)


def page(shop: Workshop) -> None:
    """The page of many inputs, some of them broken."""
    shop.mvit("predict", "videos/", "odd/", *shop.weights, "--report", "many.html")
    shots(shop.folder / "many.html", "scrollTo(0, 0)", "page.png", "page.dark.png")


def page_windows(shop: Workshop) -> None:
    """The page of a film in windows."""
    shop.mvit("predict", shop.film, *shop.weights, "--window", CLIP_S, "--report", "film.html")
    code = "document.querySelector('#results').scrollIntoView()"
    shots(shop.folder / "film.html", code, "", "page-windows.png")


def page_heat(shop: Workshop) -> None:
    """Heat under the frames of a clip."""
    shop.mvit("predict", "videos/spin/06.mp4", *shop.weights, "--report", "heat.html", "--heatmap")
    code = "document.querySelector('.film').scrollIntoView()"
    shots(shop.folder / "heat.html", code, "page-heat.png", "", rows=560)


def pyramid(shop: Workshop) -> None:
    """What `summarize` draws."""
    for name in ("pyramid.svg", "pyramid.dark.svg"):
        shop.mvit("summarize", "--preset", "B", "--plot", str(PICTURES / name), "--format", "csv")


def timeline(shop: Workshop) -> None:
    """What `predict` draws of a film in windows."""
    for name in ("timeline.svg", "timeline.dark.svg"):
        windows = ("--window", "2", "--hop", "0.5", "--plot", str(PICTURES / name))
        shop.mvit("predict", shop.film, *shop.weights, *windows)


def labelled(shop: Workshop) -> None:
    """Two frames of the video that `--save-video` writes, of few colours so that they stay small."""
    import av
    from PIL import Image

    shop.mvit("predict", shop.film, *shop.weights, "--window", CLIP_S, "--save-video", "labelled.mp4")
    with av.open(str(shop.folder / "labelled.mp4")) as video:
        frames = [frame.to_image() for frame in video.decode(video=0)]
    first, second = frames[len(frames) // 16], frames[len(frames) * 7 // 16]
    both = Image.new("RGB", (2 * first.width + 8, first.height), "white")
    for x, frame in ((0, first), (first.width + 8, second)):
        both.paste(frame, (x, 0))
    both.quantize(128).save(PICTURES / "labelled.png", optimize=True)


def heat(shop: Workshop) -> None:
    """The sheet of heat that `predict` leaves, of a clip in which it is known what decides."""
    from PIL import Image

    shop.mvit("predict", *shop.squares, "--heatmap", "heat")
    (sheet,) = (shop.folder / "heat").glob("*.png")
    Image.open(sheet).convert("RGB").save(PICTURES / "heat.webp", quality=85, method=6)


def watch(shop: Workshop) -> None:
    """The table of `watch` as the terminal has it at the end, of a real run."""
    from rich.console import Console
    from rich.text import Text

    command = ("watch", shop.film, "--realtime", *shop.weights, "--every", "2")
    shown = shop.seen(*command)
    last = re.split(r"\x1b\[2K(?:\x1b\[1A\x1b\[2K)*", shown)[-1]
    text = re.sub(r"\x1b\[[?0-9;]*[A-Zac-ln-z]", "", last).replace("\r", "").strip("\n")
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ {shlex.join(('mvit', *command))}\n\n{text}"))
    svg = console.export_svg(code_format=TERMINAL, unique_id="watch", font_aspect_ratio=0.602)
    (PICTURES / "watch.svg").write_text(svg, encoding="utf-8")


MAKERS: dict[str, tuple[Callable[[Workshop], None], tuple[str, ...]]] = {
    "page": (page, ("page.png", "page.dark.png")),
    "page-windows": (page_windows, ("page-windows.png",)),
    "page-heat": (page_heat, ("page-heat.png",)),
    "pyramid": (pyramid, ("pyramid.svg", "pyramid.dark.svg")),
    "labelled": (labelled, ("labelled.png",)),
    "timeline": (timeline, ("timeline.svg", "timeline.dark.svg")),
    "heat": (heat, ("heat.webp",)),
    "watch": (watch, ("watch.svg",)),
}


def main() -> None:
    """Makes what is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MAKERS)}")
    names = parser.parse_args().names or list(MAKERS)
    if unknown := [name for name in names if name not in MAKERS]:
        parser.error(f"no picture is called {', '.join(unknown)}")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder))
        for name in names:
            make, files = MAKERS[name]
            make(shop)
            for file in files:
                size = (PICTURES / file).stat().st_size
                print(f"docs/pictures/{file}: {size:,} bytes")
                assert size < MOST_BYTES, f"{file} is too large"


if __name__ == "__main__":
    main()
