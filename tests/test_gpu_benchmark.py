"""`benchmarks/gpu.py` as far as a machine without a GPU can try it: every part runs, and says what is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_every_part_gives_its_figures(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--device", "cpu", "--preset", "camera_motion", "--batch", "1"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([*command, "--clips", "4", "--out", str(tmp_path)], check=True, env=environment, timeout=500)
    found = json.loads((tmp_path / "gpu.json").read_text())
    exact = found["correctness"][0]
    assert exact["format"] == "float32, TF32 off"
    assert exact["goldens"] >= 50
    assert exact["worst"] < 1e-4  # of a standard deviation of the logits, in float32
    assert {row["network"] for row in found["networks"]} == {"plain", "plain, channels last", "fast"}
    assert found["attention"][0]["difference"] < 1e-4  # both ways are the same attention
    assert found["folder"]["clips"] == 4
    assert 0 < found["folder"]["busy"] < 1
    assert sum(row["share"] for row in found["kernels"]) == pytest.approx(1, abs=0.3)  # twelve of them
    assert [text for text in found["missing"] if "float16" in text and "no hardware" in text]
    assert "## Not measured" in (tmp_path / "gpu.md").read_text()
