"""Writes goldens of networks from the formulas alone: numpy, and nothing of this package.

    python scripts/make_goldens.py [--check]

The network is `tests/paper_network.py`, the papers' equations written as loops; weights and input are those of
`tests/data/goldens/fill.py`. What belongs to a code base (names and shapes of its tensors, its strides) stands in
`golden_mmpretrain.py` and `golden_reversible.py`. `--check` writes nothing: it says whether the files are what the
formulas give. That the same loops give what timm and MMAction2 compute, which can be run, is a test of its own in
`tests/test_goldens.py`.
"""

import hashlib
import json
import sys
from itertools import chain
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1] / "tests"
FOLDER = TESTS / "data" / "goldens"
sys.path[:0] = [str(TESTS), str(FOLDER)]
import fill  # noqa: E402
import golden_mmpretrain  # noqa: E402
import golden_reversible  # noqa: E402
import paper_network  # noqa: E402

SAME = 1e-9
"""Logits of two ways to sum float64; stored are all 17 digits."""


def golden(network: SimpleNamespace) -> dict[str, Any]:
    """The JSON of one golden.

    Args:
        network: `name`, `names_of`, `layout`, `note` and `config` as the golden keeps them; `shape` of its input;
            `tensors` of its state dict, key and shape in order; `canonical` makes of them what `paper_network` reads,
            with the configuration `fields`; `macs()` of one sample.
    """
    weights = fill.state_dict(network.tensors, 0)
    layout = "NCHW" if len(network.shape) == 4 else "NCTHW"
    shown: dict[str, Any] = {"shape": network.shape, "layout": layout, "seed": 0}
    shown |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    clips = fill.model_input(shown)
    logits, blocks = computed(network.fields, network.canonical(weights), np.float64(clips))
    rounded = np.float32(logits)
    return {
        "format": 1,
        "name": network.name,
        "implementation": {"name": "formulas", "names_of": network.names_of},
        "entry": "tests/paper_network.py: logits",
        "layout": network.layout,
        "made_with": {"fill": fill.VERSION, "numpy": np.__version__},
        "notes": [network.note],
        "config": network.config,
        "seed": 0,
        "input": {**shown, "sha256": fill.input_digest(clips)},
        "params": sum(prod(shape) for _, shape in network.tensors),
        "layernorm_eps": [1e-06],
        "state_dict": [[key, shape] for key, shape in network.tensors],
        "weights_sha256": fill.digest(weights),
        "flops": {"batch": 1, "matrix_macs": network.macs()},
        "blocks": blocks,
        "logits": [[float(f"{number:.8g}") for number in row] for row in rounded],
        "logits_f64": logits.tolist(),
        "logits_sha256": hashlib.sha256(np.ascontiguousarray(rounded, "<f4")).hexdigest(),
    }


def computed(config: Any, tensors: dict[str, Any], clips: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Logits, and what leaves each block: its grid, mean, standard deviation, and four tokens of the last sample."""
    outputs: list[list[tuple[Any, tuple[int, ...]]]] = []
    plain = paper_network.block

    def kept(*arguments: Any) -> Any:
        outputs[-1].append(plain(*arguments))
        return outputs[-1][-1]

    paper_network.block, logits = kept, []
    try:
        for clip in clips:
            outputs.append([])
            logits.append(paper_network.logits(config, tensors, clip[:, None] if clip.ndim == 3 else clip))
    finally:
        paper_network.block = plain
    blocks = []
    for samples in zip(*outputs, strict=True):
        batch, thw = np.stack([tokens for tokens, _ in samples]), samples[0][1]
        count = batch.shape[1]
        places = [0, 1, count // 2, count - 1]
        block = {"thw": [*map(int, thw)], "tokens": count, "dim": batch.shape[2]}
        block |= {"mean": float(batch.mean()), "std": float(batch.std())}
        blocks.append(block | {"probe": np.round(batch[-1, places, :4], 9).tolist()})
    return np.stack(logits), blocks


def main() -> int:
    """Writes the goldens, or with `--check` compares them."""
    differing = []
    for network in chain(golden_mmpretrain.networks(), golden_reversible.networks()):
        path = FOLDER / f"{network.name}.json"
        found = golden(network)
        if "--check" not in sys.argv[1:]:
            lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
            path.write_text(f"{{\n{lines}\n}}\n")
        elif not path.is_file() or difference(found, json.loads(path.read_text())) > SAME:
            differing.append(path.name)
    print("\n".join(f"{name} is not what the formulas give" for name in differing) or "all as the formulas give them")
    return bool(differing)


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Of the logits; infinite where names, shapes or input differ."""
    same = all(one[key] == other[key] for key in ("state_dict", "weights_sha256", "input", "params", "flops"))
    return float(np.abs(np.subtract(one["logits_f64"], other["logits_f64"])).max()) if same else float("inf")


if __name__ == "__main__":
    sys.exit(main())
