"""How fast the network is beside the other implementations: `python benchmarks/peers.py [--preset NAME]`.

The same weights and the same input go through all of them in turns, in one process, so that a noisy moment meets them
all. Prints a table (Markdown) and one JSON document. Times are of the clock; processor times (all threads together,
waiting threads included) hardly change when other programs run. A ratio is the other's time by that of the fast path.
"""

import argparse
import ctypes
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peer_models import PEERS, Peer, importable, version_of
from startup import commit, machine
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mvit_cli.arch import get_preset
from mvit_cli.checkpoints.load import build_model, load_state_dict
from mvit_cli.model.fast.network import FastMViT

FAST, PLAIN = "mvit", "mvit --no-fast"
Networks = dict[str, Callable[[Tensor], Tensor]]
Samples = dict[str, list[float]]


def networks(preset: str) -> tuple[Networks, list[Peer]]:
    """Ours in both ways and every peer that can be imported, with one set of weights."""
    model = build_model(get_preset(preset).config).eval()
    found: Networks = {}
    peers = [peer for peer in PEERS if peer.preset == preset and importable(peer.library)]
    for peer in peers:
        other = peer.build().eval()
        if found:  # the first one's weights serve all
            load_shared(other, model)
        else:
            load_state_dict(model, other.state_dict())
        found[peer.library] = as_clip_network(other, get_preset(preset).is_image)
    return {FAST: FastMViT(model), PLAIN: model, **found}, peers


def load_shared(other: nn.Module, model: nn.Module) -> None:
    """Our weights into another code base's network: in place, through the names its layout has for ours."""
    from mvit_cli.checkpoints.formats.layouts import recognise, to_canonical

    theirs = other.state_dict()
    layout = recognise({key: tuple(tensor.shape) for key, tensor in theirs.items()})
    canonical = to_canonical(theirs, layout)  # their own tensors, but for a joined qkv
    ours = model.state_dict()
    for key, tensor in canonical.items():
        tensor.copy_(ours[key])
    for key in theirs:
        for part, rows in zip("qkv", range(3), strict=True):
            if f".attn.{part}." in key:
                theirs[key].copy_(ours[key.replace(f".attn.{part}.", ".attn.qkv.")].chunk(3)[rows])


def as_clip_network(network: nn.Module, is_image: bool) -> Callable[[Tensor], Tensor]:
    """Takes `(B, 3, T, H, W)` like ours."""
    return (lambda clips: network(clips[:, :, 0])) if is_image else network


def macs_of(network: Callable[[Tensor], Tensor], clips: Tensor) -> int:
    """Multiply-accumulates that are really done, from the operators that run."""
    uncounted = {  # operators that torch's counter does not know, from the shapes of their arguments
        torch.ops.aten.addmm_: lambda total, a, b, *rest, **kwargs: 2 * prod(a) * b[1],
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, *rest, **kwargs: 4 * prod(q) * k[2],
    }
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=uncounted) as counter:
        network(clips)
    return counter.get_total_flops() // 2


def matmul_rate(size: int = 1024) -> float:
    """Multiply-accumulates a second of one square product, by the clock."""
    a, out = torch.randn(size, size), torch.empty(size, size)
    start = time.perf_counter()
    torch.mm(a, a, out=out)
    return size**3 / (time.perf_counter() - start)


def measure(found: Networks, clips: Tensor, runs: int) -> tuple[Samples, Samples, float]:
    """Clock and processor seconds of every network, in turns, and the best matrix rate met between them."""
    seconds: Samples = {name: [] for name in found}
    processor: Samples = {name: [] for name in found}
    rate = 0.0
    with torch.inference_mode():
        for turn in range(runs + 1):
            rate = max(rate, *(matmul_rate() for _ in range(5)))
            for name, network in found.items():
                before, start = time.process_time(), time.perf_counter()
                network(clips)
                if turn:
                    seconds[name].append(time.perf_counter() - start)
                    processor[name].append(time.process_time() - before)
    return seconds, processor, rate


def rows_of(preset: str, found: Networks, clips: Tensor, threads: int, runs: int) -> list[dict[str, Any]]:
    """One row for each network."""
    torch.set_num_threads(threads)
    with torch.inference_mode():
        logits = {name: network(clips) for name, network in found.items()}
    macs = macs_of(found[FAST], clips[:1]) * len(clips)  # a batch may be computed by other threads, unseen
    seconds, processor, rate = measure(found, clips, runs)
    return [
        {
            "preset": preset,
            "batch": len(clips),
            "threads": threads,
            "network": name,
            "min_s": min(seconds[name]),
            "median_s": median(seconds[name]),
            "cpu_min_s": min(processor[name]),
            "ratio_min": min(seconds[name]) / min(seconds[FAST]),
            "ratio_pairs_median": median(a / b for a, b in zip(seconds[name], seconds[FAST], strict=True)),
            "cpu_ratio_min": min(processor[name]) / min(processor[FAST]),
            "logit_difference": float((logits[name] - logits[PLAIN]).abs().max()),
            "matmul_gmacs_s": rate / 1e9,
            "matmul_share": macs / min(seconds[name]) / rate if name == FAST else None,
            "gmacs": macs / 1e9 if name == FAST else None,
        }
        for name in found
    ]


def peak_mib(preset: str, name: str, sources: list[str]) -> float:
    """Memory one clip adds to the loaded network at its peak, in a process of its own."""
    command = [sys.executable, __file__, "--preset", preset, "--memory-of", name]
    command += [part for source in sources for part in ("--source", source)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_own_peak(preset: str, name: str) -> None:
    """Runs one network on one clip and prints the MiB its peak lies above the memory before."""
    torch.set_num_threads(1)
    network = networks(preset)[0][name]
    clips = torch.randn(1, 3, *get_preset(preset).config.input_thw)
    ctypes.CDLL(None).malloc_trim(0)  # what building the networks left behind
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status_kib("VmRSS")
    with torch.inference_mode():
        network(clips)
    print((status_kib("VmHWM") - before) / 1024)


def status_kib(field: str) -> int:
    """A line of this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    titles = ("preset", "batch", "threads", "network", "min s", "CPU s", "ratio", "pairs", "CPU ratio", "difference")
    titles += ("matmul share", "peak MiB")
    lines = [f"| {' | '.join(titles)} |", f"| :--- | ---: | ---: | :--- | {' | '.join(['---:'] * 8)} |"]
    for row in rows:
        share = f"{row['matmul_share']:.0%}" if row["matmul_share"] else ""
        peak = f"{row['peak_mib']:.0f}" if row.get("peak_mib") else ""
        lines.append(
            f"| {row['preset']} | {row['batch']} | {row['threads']} | {row['network']} | {row['min_s']:.3f} "
            f"| {row['cpu_min_s']:.3f} | {row['ratio_min']:.2f} | {row['ratio_pairs_median']:.2f} "
            f"| {row['cpu_ratio_min']:.2f} | {row['logit_difference']:.1e} | {share} | {peak} |"
        )
    return "\n".join(lines)


def document(rows: list[dict[str, Any]], runs: int) -> dict[str, Any]:
    """The result as JSON can carry it."""
    libraries = sorted({row["network"] for row in rows} - {FAST, PLAIN})
    return {
        "benchmark": "peers",
        "runs": runs,
        "load": os.getloadavg()[0],
        "machine": machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__}
        | {library: version_of(library) for library in libraries},
        "commit": commit(),
        "dtype": "float32",
        "results": rows,
    }


def main() -> None:
    """Measures, prints the table and the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", action="append", help="only these (default: all that have a peer)")
    parser.add_argument("--source", action="append", default=[], help="folder with the source of a peer")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path[:0] = options.source
    presets = options.preset or list(dict.fromkeys(peer.preset for peer in PEERS))
    if options.memory_of:
        print_own_peak(presets[0], options.memory_of)
        return
    rows = []
    for preset in presets:
        found, _ = networks(preset)
        for threads in options.threads:
            for batch in options.batch:
                clips = torch.randn(batch, 3, *get_preset(preset).config.input_thw)
                rows += rows_of(preset, found, clips, threads, options.runs)
                print(f"{preset}, batch {batch}, threads {threads}: done", file=sys.stderr)
        for row in [] if options.no_memory else rows:
            if row["preset"] == preset and row["batch"] == 1 and row["threads"] == options.threads[0]:
                row["peak_mib"] = peak_mib(preset, row["network"], options.source)
    print(table(rows), "", json.dumps(document(rows, options.runs), indent=1), sep="\n")


if __name__ == "__main__":
    main()
