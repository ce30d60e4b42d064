"""Writes the card of the embedded weights from what `evaluate.py` measured.

python training/camera/evaluate.py --data DIR --json RESULTS
python training/camera/card.py --json RESULTS --training "..."
"""

import argparse
import hashlib
import json
from pathlib import Path

from motion import FRAME_STRIDE, HAND_AMPLITUDE, LABELS, MIN_TRAVEL, NUM_FRAMES, PROTOCOL_FPS, RADIUS, STATIC_TRAVEL
from photos import PACKAGES
from sprites import SIDE_PX

WEIGHTS = Path(__file__).parents[2] / "weights"
NAME = "camera_motion.embedded"
DEFINITIONS = {
    "static": f"the camera stands: over a clip of 2.1 s the picture moves by less than {STATIC_TRAVEL:.1%} of its "
    f"shorter side, and trembles by less than {HAND_AMPLITUDE:.1%}; people and things may move in it",
    "pan left": "the camera turns or travels left, the picture moves right",
    "pan right": "the camera turns or travels right, the picture moves left",
    "tilt up": "the camera turns or rises up, the picture moves down",
    "tilt down": "the camera turns or sinks down, the picture moves up",
    "zoom in": "the picture grows: a longer focal length, or a camera that comes nearer",
    "zoom out": "the picture shrinks: a shorter focal length, or a camera that draws back",
    "roll clockwise": "the camera turns clockwise about its line of sight as seen from behind it; the picture turns "
    "counter-clockwise",
    "roll counter-clockwise": "the camera turns counter-clockwise as seen from behind it; the picture turns clockwise",
    "shake": "the camera moves to and fro without getting anywhere",
}


def card(results: dict, weights: bytes, training: str) -> str:
    """The card as TOML."""
    licences = "; ".join(f"{package.name}: {package.licence}" for package in PACKAGES)
    zoom, roll = MIN_TRAVEL["zoom"] / RADIUS, MIN_TRAVEL["roll"] / RADIUS
    notes = [
        training,
        f"Trained to call a motion by its name from {MIN_TRAVEL['pan']:.0%} of the shorter side (pan, tilt), a factor "
        f"of {1 + zoom:.2f} (zoom) or {roll * 57.3:.1f} degrees (roll) over a clip; slower moves may be called static.",
        "Where two motions are joined, the one by which the points of the picture move most gives the name.",
        "The network sees brightness only: its first layer is a grey filter spread over the three colours.",
        "Limits: one motion a clip, so a cut or a change of direction inside a clip gives an arbitrary answer; an "
        "object that fills the frame and moves or turns is taken for the camera; a picture without texture is static.",
        f"Photographs filmed in training, none of them shipped: {licences}.",
        "No test clip chose a checkpoint: these are the averaged weights at the end of one run of one command. But the "
        "tests on footage are not blind: what earlier versions did on them led to talking people, to heads that fill "
        "the view, to stronger hand jitter and to shakes in bursts in the generated clips (so the held-out "
        "photographs are a harder test than they were), to the limit of wobble of 0.25 of its travel in a labelled "
        "moving window, and to counting bare walls apart in the virtual camera's test.",
        "The virtual camera over real footage films views in which something that stands shows upright and level "
        "edges. Where somebody moves before a bare wall nothing tells whether the camera moves or the head: such "
        "views are a test of their own, which measures guessing. A third test takes views of both kinds as they come.",
        "Three of the files with a moving camera (example.avi, flashmob.mkv, goldengate.mp4) were added after the "
        "network's design was done, and no network saw them before the one that ships: they are blind.",
    ]
    lines = [
        f'name = "{NAME}"',
        'preset = "camera_motion"',
        "default = true",
        'layout = "pyslowfast"',
        'licence = "Apache-2.0 (this project)"',
        "notes = [",
        *(f"  {quoted(note)}," for note in notes),
        "]",
        "",
        "[source]",
        'embedded = "camera_motion.safetensors"',
        f'sha256 = "{hashlib.sha256(weights).hexdigest()}"',
        f"size_bytes = {len(weights)}",
        "",
        "[labels]",
        'dataset = "camera motion (generated)"',
        f"classes = {len(LABELS)}",
        'list = "camera_motion"',
        'order = "published"',
        "",
        "[labels.definitions]",
        *(f"{label.replace(' ', '_').replace('-', '_')} = {quoted(text)}" for label, text in DEFINITIONS.items()),
        "",
        "[preprocess]",
        "mean = [0.45, 0.45, 0.45]",
        "std = [0.225, 0.225, 0.225]",
        f"resize = {SIDE_PX}",
        f"crop = {SIDE_PX}",
        'interpolation = "bilinear"',
        "antialias = true",
        'resize_dtype = "uint8"',
        "",
        "[sampling]",
        'method = "clip"',
        f"frames = {NUM_FRAMES}",
        f"stride = {FRAME_STRIDE}",
        f"fps = {PROTOCOL_FPS}",
        "",
        "[views]",
        "clips = 3",
        "crops = 1",
        "",
        "[evaluation]",
        'command = "python training/camera/evaluate.py --data DIR"',
    ]
    for test, result in results.items():
        lines += ["", f"[evaluation.{test.replace(' ', '_').replace('-', '_')}]"]
        lines += [f"clips = {result['clips']}", f"accuracy = {result['accuracy']}"]
        for figure in ("recall", "precision"):
            pairs = ", ".join(f"{key.replace(' ', '_').replace('-', '_')} = {v}" for key, v in result[figure].items())
            lines.append(f"{figure} = {{ {pairs} }}")
        lines.append("by_file = [")
        lines += [f"  {quoted(f'{name}: {hits}')}," for name, hits in result["by_file"].items()]
        lines += ["]", "confusion = [  # rows: what it is; columns: what it was called; in the order of the labels"]
        lines += [f"  {row}," for row in result["confusion"]] + ["]"]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A TOML string."""
    return json.dumps(text, ensure_ascii=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the card of the embedded weights.")
    parser.add_argument("--json", type=Path, required=True, help="results of evaluate.py")
    parser.add_argument("--training", required=True, help="one sentence on the run that made the weights")
    args = parser.parse_args()
    weights = (WEIGHTS / "camera_motion.safetensors").read_bytes()
    text = card(json.loads(args.json.read_text()), weights, args.training)
    (WEIGHTS / f"{NAME}.toml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
