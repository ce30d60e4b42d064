"""The pictures in `docs/`: `python scripts/docs_pictures.py`. Needs Chromium and ffmpeg's libx264 in PyAV.

Trains a probe on the tiny labelled set of the tests, recognises the clips and a film made of some of them, and takes
pictures of the pages in a headless browser, and one of the pyramid: `docs/pictures/`.
"""

import base64
import io
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image

ROOT = Path(__file__).parent.parent
MOVES = ROOT / "tests" / "data" / "moves"
PICTURES = ROOT / "docs" / "pictures"
FILM = ("bounce/00", "bounce/01", "swing/02", "spin/03", "swing/04", "bounce/05", "spin/06", "spin/07")
MOST_BYTES = 150_000
sys.path.insert(0, str(ROOT / "tests"))
from browser import Browser  # noqa: E402  (the tests' own)


def mvit(folder: Path, *arguments: str) -> None:
    """Runs the command there; inputs that fail are part of the picture."""
    done = subprocess.run([sys.executable, "-m", "mvit_cli", *arguments], cwd=folder, stdout=subprocess.DEVNULL)
    assert done.returncode in (0, 1), arguments


def write_film(target: Path) -> None:
    """Some clips one after the other."""
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


def shot(browser: Browser, page: Path, target: Path, *, dark: bool, code: str) -> None:
    """A picture of a page, of few colours so that it stays small."""
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.do("Emulation.setEmulatedMedia", features=[scheme])
    browser.open(page, 1100)
    browser.ask(code)
    browser.ask("new Promise(resolve => setTimeout(resolve, 500))", wait=True)
    data = base64.b64decode(browser.do("Page.captureScreenshot", format="png")["data"])
    Image.open(io.BytesIO(data)).convert("RGB").quantize(128).save(target, optimize=True)
    assert target.stat().st_size < MOST_BYTES, f"{target} has {target.stat().st_size} bytes"


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, Browser() as browser:
        folder = Path(name)
        (folder / "videos").symlink_to(MOVES)
        (folder / "odd").symlink_to(ROOT / "tests" / "data" / "clips")
        write_film(folder / "film.mp4")
        mvit(folder, "train", "videos/", "-o", "moves.safetensors", "--preset", "camera")
        weights = ("--weights", "moves.safetensors")
        mvit(folder, "predict", "videos/", "odd/", *weights, "--report", "many.html")
        mvit(folder, "predict", "film.mp4", *weights, "--window", "2.27", "--report", "film.html")
        shot(browser, folder / "many.html", PICTURES / "page.png", dark=False, code="scrollTo(0, 0)")
        timeline = "document.querySelector('#results').scrollIntoView()"
        shot(browser, folder / "film.html", PICTURES / "page-windows.png", dark=True, code=timeline)
    mvit(ROOT, "summarize", "--preset", "B", "--plot", str(PICTURES / "pyramid.svg"), "--format", "csv")
    for picture in sorted(PICTURES.iterdir()):
        print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
