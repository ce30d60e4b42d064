"""One set of random weights and its exports for other runtimes, in a folder: `mvit export`, then their own quantizers.

Every step is a process of its own: one that fails costs the rows that need its file, and what it loads is gone
after it. A file that is there is taken as it is; the logits tell whether it is of these weights.

    python benchmarks/peer_files.py nncf SOURCE.xml TARGET.xml    # one step
"""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

ROOT = Path(__file__).parents[1]
CALIBRATED_ON = 4
"""Clips of noise that NNCF sees; those that are timed are others."""
LONGEST_S = 600


@dataclass
class PeerFiles:
    """The files of one preset.

    Attributes:
        errors: why a file is not there, by its ending.
    """

    folder: Path
    preset: str
    errors: dict[str, str] = field(default_factory=dict)

    def path(self, ending: str) -> Path:
        """Where a file is, or would be."""
        return self.folder / f"{self.preset}{ending}"

    def needed(self, ending: str) -> Path:
        """A file that has to be there.

        Raises:
            RuntimeError: it could not be made.
        """
        if ending in self.errors:
            raise RuntimeError(self.errors[ending])
        return self.path(ending)

    def make(self) -> None:
        """Makes all that is missing of the weights, both runtimes side by side."""
        steps = (
            [(".xml", self._export), (".int8.xml", lambda end: self._step("nncf", ".xml", end))],
            [(".onnx", self._export), (".int8.onnx", lambda end: self._step("dynamic", ".onnx", end))],
        )
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._in_turn, steps))

    def _in_turn(self, steps: list[tuple[str, Callable[[str], list[str]]]]) -> None:
        for ending, command in steps:
            if self._is_there(ending):
                continue
            try:
                done = subprocess.run(command(ending), cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_S)
                said = done.stderr.strip().splitlines() or ["it said nothing"]
                if done.returncode or not self._is_there(ending):
                    errors = [line for line in said if "rror" in line] or said
                    self.errors[ending] = errors[-1][:120]
            except (subprocess.TimeoutExpired, RuntimeError) as error:
                self.errors[ending] = str(error)[:120]

    def _is_there(self, ending: str) -> bool:
        """Whether a file was made; one that was reserved and then left is empty."""
        path = self.path(ending)
        return path.exists() and path.stat().st_size > 0

    def _export(self, ending: str) -> list[str]:
        weights = self.needed(".safetensors")
        return [sys.executable, "-m", "mvit_cli", "export", "--weights", str(weights), "-o", str(self.path(ending))]

    def _step(self, name: str, source: str, target: str) -> list[str]:
        return [sys.executable, __file__, name, str(self.needed(source)), str(self.path(target))]


def save(model: nn.Module, target: Path) -> None:
    """The weights of one of our networks as a file that every command takes."""
    from mvit_cli.checkpoints.convert import save_weights
    from mvit_cli.checkpoints.load import CONFIG_KEY, config_to_json

    save_weights(model.state_dict(), {CONFIG_KEY: config_to_json(model.config)}, target)


def nncf_int8(source: Path, target: Path) -> None:
    """Post-training quantization by NNCF, as its documentation has it for transformers."""
    import nncf
    import numpy as np
    import openvino

    model = openvino.Core().read_model(source)
    shape = [1, *(axis.get_length() for axis in list(model.inputs[0].partial_shape)[1:])]
    noise = np.random.default_rng(1)
    clips = [noise.standard_normal(shape, np.float32) for _ in range(CALIBRATED_ON)]
    quantized = nncf.quantize(
        model, nncf.Dataset(clips), model_type=nncf.ModelType.TRANSFORMER, subset_size=CALIBRATED_ON
    )
    openvino.save_model(quantized, target, compress_to_fp16=False)


def dynamic_int8(source: Path, target: Path) -> None:
    """ONNX Runtime's dynamic quantization: weights by channel, activations as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])


if __name__ == "__main__":
    {"nncf": nncf_int8, "dynamic": dynamic_int8}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
