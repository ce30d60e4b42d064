"""Makes the example clip of the tests and the README: a camera that pans left over a landscape.

    python training/camera/example.py --data DIR --out tests/data/pan_left.mp4

The photograph is "Aitzgorri" by Aitzol Berasategi, CC-BY-4.0, from Debian's lomiri-wallpapers-16.04. It is one of the
held-out photographs: the network has not been trained on it.
"""

import argparse
import sys
from pathlib import Path

import av
import cv2
import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from packages import unpack_debian

PACKAGE, PHOTOGRAPH = "lomiri-wallpapers-16.04", "aitzgorri_by_Aitzol_Berasategi.jpg"
WIDTH, HEIGHT, FPS, SECONDS = 480, 270, 25, 3.0
TRAVEL = 0.8  # of the picture's height, over the clip


def film(photograph: np.ndarray) -> list[np.ndarray]:
    """The frames of the pan, eased at both ends and held in a hand."""
    rng = np.random.default_rng(3)
    scale = 0.55 * photograph.shape[0] / HEIGHT
    small = cv2.GaussianBlur(photograph, (0, 0), max(0.3, 0.4 * scale))
    frames = []
    for i in range(round(FPS * SECONDS)):
        t = i / (FPS * SECONDS - 1)
        way = t + 0.4 * (t * t * (3 - 2 * t) - t)
        tremor = np.sin(2 * np.pi * (np.array([0.9, 1.3]) * i / FPS + np.array([0.2, 0.7]))) * 0.7
        x = photograph.shape[1] - (WIDTH + 20 + TRAVEL * HEIGHT * way + tremor[0]) * scale
        y = 0.5 * (photograph.shape[0] - HEIGHT * scale) + tremor[1] * scale
        to_photograph = np.array([[scale, 0, x], [0, scale, y]])
        frame = cv2.warpAffine(small, to_photograph, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        frames.append(np.clip(frame + rng.normal(0, 1.5, frame.shape), 0, 255).astype(np.uint8))
    return frames


def write(frames: list[np.ndarray], path: Path) -> None:
    """An h264 file that every reader understands."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"crf": "25", "preset": "slow"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the example clip.")
    parser.add_argument("--data", type=Path, required=True, help="folder for the package")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    package = unpack_debian(PACKAGE, args.data)
    photograph = cv2.cvtColor(cv2.imread(str(next(package.rglob(PHOTOGRAPH)))), cv2.COLOR_BGR2RGB)
    write(film(photograph), args.out)


if __name__ == "__main__":
    main()
