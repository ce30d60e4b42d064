"""Whether cost grows as the arithmetic does: `python benchmarks/scaling.py [PRESET:BATCH ...]`.

Each network with random weights, by the fast path, in a process of its own with one thread. Processor time, which
hardly changes when other programs run. Prints a table (Markdown) and one JSON document.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from typing import Any

import torch
from startup import commit, machine

from mvit_cli.arch import get_preset
from mvit_cli.arch.summary import summarize_config
from mvit_cli.checkpoints.load import build_model
from mvit_cli.model.fast.network import FastMViT

CASES = ("mvit_b_16x4:1", "mvit_b_16x4:4", "mvit_b_16x4:16", "mvit_b_32x3:1", "mvit_b_64x3:1", "mvitv2_s_16x4:1")
CASES += ("mvitv2_s_16x4:4", "mvitv2_s_16x4:16", "mvitv2_b_32x3:1", "mvitv2_l_40x3:1", "mvitv2_tiny:1")
CASES += ("mvitv2_small:1", "mvitv2_small:4", "mvitv2_small:16", "mvitv2_base:1", "mvitv2_large:1")
CASES += ("camera_motion:1", "camera_motion:16")
LONG = 20.0
"""Seconds after which one run is enough."""


def measured(preset: str, batch: int) -> dict[str, Any]:
    """Processor seconds of one batch, the best of three, and the most memory the process ever had."""
    torch.set_num_threads(1)
    config = get_preset(preset).config
    network = FastMViT(build_model(config).eval())
    clips = torch.randn(batch, 3, *config.input_thw)
    seconds: list[float] = []
    with torch.inference_mode():
        while len(seconds) < 3 and sum(seconds) < LONG:
            start = time.process_time()
            network(clips)
            seconds.append(time.process_time() - start)
    macs = batch * summarize_config(config)["macs"]
    return {
        "preset": preset,
        "batch": batch,
        "gmacs": macs / 1e9,
        "cpu_s": min(seconds),
        "ps_a_mac": 1e12 * min(seconds) / macs,
        "parameters_mib": sum(parameter.numel() for parameter in network.parameters()) * 4 / 2**20,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    least = min(row["ps_a_mac"] for row in results)
    lines = ["| preset | batch | GMACs | CPU s | times the least a MAC | peak MiB of the process | of it weights |"]
    lines.append(f"| :--- | {' | '.join(['---:'] * 6)} |")
    lines += [
        f"| {row['preset']} | {row['batch']} | {row['gmacs']:.1f} | {row['cpu_s']:.2f} "
        f"| {row['ps_a_mac'] / least:.2f} | {row['peak_mib']:.0f} | {row['parameters_mib']:.0f} |"
        for row in results
    ]
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the table and the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=CASES, metavar="PRESET:BATCH")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        preset, _, batch = options.one.partition(":")
        print(json.dumps(measured(preset, int(batch))))
        return
    results = []
    for case in options.cases:
        told = subprocess.run([sys.executable, __file__, "--one", case], check=True, capture_output=True, text=True)
        results.append(json.loads(told.stdout))
        print(f"{case}: done", file=sys.stderr)
    document = {
        "benchmark": "scaling",
        "machine": machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "commit": commit(),
        "results": results,
    }
    print(table(results), "", json.dumps(document, indent=1), sep="\n")


if __name__ == "__main__":
    main()
