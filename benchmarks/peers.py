"""How fast the network is beside the other implementations: `python benchmarks/peers.py --write`.

The same weights and the same input go through all of them, in every number format that each has, in turns and in one
process, so that a noisy moment meets them all; each one's logits are compared with ours before. Whatever fails is a row
that says why. Prints a table (Markdown) and one JSON document; `--write` makes `benchmarks/RESULTS_PEERS.md` of it, and
the table of the README is made of that page by `python scripts/update_docs.py`.

What can be imported takes part: `pip install -e '.[onnx,openvino]' nncf timm` and, without its torch, `pip install
--no-deps torchvision`; PySlowFast and MMAction2 from folders of their sources (`--source`).
`--files FOLDER` keeps weights and exports, so that a second run need not make them again (`--prepare`: only
makes them). Times are of the clock; processor times (all threads together, waiting threads included) hardly change when
other programs run.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "30000")  # as the command line does

import torch
from peer_files import CALIBRATED_ON, PeerFiles, save
from peer_models import PEERS, importable, version_of
from peer_page import PAGE, page, table
from peer_rows import OURS, RUNTIMES, Network, Setup, Way, failing, of_torch
from startup import commit, machine
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mvit_cli.arch import get_preset
from mvit_cli.checkpoints.load import build_model, load_file, load_state_dict
from mvit_cli.model.linearised import return_free_memory

FAST = ("mvit", "float32")
PRESETS = ("mvit_b_16x4", "mvitv2_s_16x4", "mvitv2_small")
CASES = ((2, 1), (1, 1), (2, 4))
"""Threads and clips at a time."""
RATED = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TOLERANCE = 1e-3
"""Between logits in float32; other runtimes' sums and GELU differ by up to 1e-4."""
LIBRARIES = ("torchvision", "timm", "pytorchvideo", "openvino", "nncf", "onnxruntime")
Row = dict[str, Any]
Samples = dict[Way, list[float]]
Rates = dict[str, float]


def ways_of(preset: str, folder: Path) -> tuple[Any, list[Way], PeerFiles]:
    """Our plain network, and every row of a preset, all with one set of weights; peers that fail are rows too."""
    is_image = get_preset(preset).is_image
    model, files = build_model(get_preset(preset).config).eval(), PeerFiles(folder, preset)
    weights = files.path(".safetensors")
    if weights.exists():
        load_state_dict(model, load_file(weights).state_dict())
    theirs: list[Way] = []
    for peer in PEERS:
        if peer.preset != preset or not importable(peer.library):
            continue
        try:
            other = peer.build().eval()
            if theirs or weights.exists():  # the first one's weights serve all
                load_shared(other, model)
            else:
                load_state_dict(model, other.state_dict())
            theirs.append(of_torch(peer.library, other, is_image))
        except Exception as error:  # code bases of others, each with its own needs
            theirs.append(failing(peer.library, error))
    if not weights.exists():
        save(model, weights)
    return model, [*OURS, *RUNTIMES, *theirs], files


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


def macs_of(network: Callable[[Tensor], Tensor], clips: Tensor) -> int:
    """Multiply-accumulates that are really done, from the operators that run."""
    uncounted = {  # operators that torch's counter does not know, from the shapes of their arguments
        torch.ops.aten.addmm_: lambda total, a, b, *rest, **kwargs: 2 * prod(a) * b[1],
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, *rest, **kwargs: 4 * prod(q) * k[2],
    }
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=uncounted) as counter:
        network(clips)
    return counter.get_total_flops() // 2


def matmul_rate(dtype: torch.dtype, size: int = 1024) -> float:
    """Multiply-accumulates a second of one square product, by the clock."""
    a, out = torch.randn(size, size, dtype=dtype), torch.empty(size, size, dtype=dtype)
    start = time.perf_counter()
    torch.mm(a, a, out=out)
    return size**3 / (time.perf_counter() - start)


def opened(ways: list[Way], setup: Setup, clips: Tensor) -> tuple[dict[Way, Network], dict[Way, float], dict[Way, str]]:
    """Every network that runs and gives our logits, how far from them it is, and why the others do not."""
    networks: dict[Way, Network] = {}
    differences: dict[Way, float] = {}
    failed: dict[Way, str] = {}
    with torch.inference_mode():
        expected = setup.model(clips)
        for way in ways:
            try:
                network = way.open(setup)
                difference = float((network(clips) - expected).abs().max())
                if not difference <= (TOLERANCE if way.numbers == "float32" else expected.abs().max()):
                    raise ValueError(f"its logits differ by {difference:.2g}")
                networks[way], differences[way] = network, difference
            except Exception as error:  # whatever a runtime raises
                lines = str(error).strip().splitlines() or [""]
                failed[way] = f"{type(error).__name__}: {lines[0][:100]}"
    return networks, differences, failed


def measure(networks: dict[Way, Network], clips: Tensor, rounds: int, until: float) -> tuple[Samples, Samples, Rates]:
    """Clock and processor seconds of every network, in turns, and the best product rates met between them.

    Args:
        until: when no other round is begun, after two.
    """
    seconds: Samples = {way: [] for way in networks}
    processor: Samples = {way: [] for way in networks}
    rates: Rates = dict.fromkeys(RATED, 0.0)
    with torch.inference_mode():
        for turn in range(rounds):
            if turn > 1 and time.monotonic() > until:
                break
            for numbers, dtype in RATED.items():
                rates[numbers] = max(rates[numbers], *(matmul_rate(dtype) for _ in range(3)))
            for way, network in networks.items():
                before, start = time.process_time(), time.perf_counter()
                network(clips)
                seconds[way].append(time.perf_counter() - start)
                processor[way].append(time.process_time() - before)
    return seconds, processor, rates


def rows_of(preset: str, ways: list[Way], setup: Setup, rounds: int, until: float) -> tuple[list[Row], Rates]:
    """One row for each way."""
    torch.set_num_threads(setup.threads)
    clips = torch.randn(setup.batch, 3, *get_preset(preset).config.input_thw)
    networks, differences, failed = opened(ways, setup, clips)
    seconds, processor, rates = measure(networks, clips, rounds, until)
    fast = next(way for way in networks if (way.library, way.numbers) == FAST)
    macs = macs_of(networks[fast], clips[:1]) * len(clips)  # a batch may be computed by other threads, unseen
    rows: list[Row] = []
    for way in ways:
        row: Row = {"preset": preset, "batch": setup.batch, "threads": setup.threads, "network": way.library}
        row["numbers"] = way.numbers
        if way in failed:
            rows.append(row | {"failed": failed[way]})
            continue
        rate = rates.get(way.numbers) if way.library == FAST[0] else None
        rows.append(
            row
            | {
                "min_s": min(seconds[way]),
                "median_s": median(seconds[way]),
                "cpu_min_s": min(processor[way]),
                "ratio_min": min(seconds[way]) / min(seconds[fast]),
                "ratio_pairs_median": median(a / b for a, b in zip(seconds[way], seconds[fast], strict=True)),
                "logit_difference": differences[way],
                "product_share": macs / min(seconds[way]) / rate if rate else None,
                "rounds": len(seconds[way]),
            }
        )
    return rows, rates


def peak_mib(preset: str, way: Way, folder: Path, sources: list[str]) -> float | None:
    """Memory one clip adds to the loaded network at its peak, in a process of its own; None where that fails."""
    command = [sys.executable, __file__, "--preset", preset, "--files", str(folder)]
    command += ["--memory-of", f"{way.library}:{way.numbers}"]
    command += [part for source in sources for part in ("--source", source)]
    done = subprocess.run(command, capture_output=True, text=True)
    return float(done.stdout) if not done.returncode else None


def print_own_peak(preset: str, name: str, folder: Path) -> None:
    """Runs one network on one clip and prints the MiB its peak lies above the memory before."""
    torch.set_num_threads(1)
    model, ways, files = ways_of(preset, folder)
    way = next(way for way in ways if f"{way.library}:{way.numbers}" == name)
    network = way.open(Setup(model, files, threads=1, batch=1))
    clips = torch.randn(1, 3, *get_preset(preset).config.input_thw)
    return_free_memory()  # what building the networks left behind
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = status_kib("VmRSS")
    with torch.inference_mode():
        network(clips)
    print((status_kib("VmHWM") - before) / 1024)


def status_kib(field: str) -> int:
    """A line of this process's status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    found = {library: version_of(library) for library in LIBRARIES if importable(library)}
    sources = {peer.library for peer in PEERS if importable(peer.library)} - set(found)
    return {"python": platform.python_version(), "torch": torch.__version__, **found} | dict.fromkeys(sources, "source")


def measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All presets, one after another; the time that is left is shared by what is still to come."""
    load, end = os.getloadavg()[0], time.monotonic() + 60 * options.minutes
    presets, rows, rates, rounds = options.preset or PRESETS, [], dict.fromkeys(RATED, 0.0), set()
    made = []
    for preset in presets:
        model, ways, files = ways_of(preset, folder)
        files.make()
        made.append((preset, model, ways, files))
        print(f"{preset}: files {'; '.join(f'{end}: {why}' for end, why in files.errors.items())}", file=sys.stderr)
    cases = [(threads, batch) for threads, batch in CASES if threads in options.threads and batch in options.batch]
    left = len(made) * len(cases)
    for preset, model, ways, files in [] if options.prepare else made:
        for threads, batch in cases:
            until = time.monotonic() + (end - time.monotonic()) / left
            found, met = rows_of(preset, ways, Setup(model, files, threads, batch), options.rounds, until)
            rows += found
            rates = {name: max(rate, met[name]) for name, rate in rates.items()}
            rounds |= {row["rounds"] for row in found if "rounds" in row}
            left -= 1
            print(f"{preset}, {threads} threads, batch {batch}: done", file=sys.stderr)
        for way, row in zip(ways, rows[-len(ways) * len(cases) :], strict=False) if options.memory else ():
            row["peak_mib"] = None if "failed" in row else peak_mib(preset, way, folder, options.source)
    return {
        "benchmark": "peers",
        "command": shlex.join(["python", "benchmarks/peers.py", "--rounds", str(options.rounds), "--write"]),
        "rounds": f"{min(rounds, default=0)} to {max(rounds, default=0)} rounds",
        "calibrated_on": CALIBRATED_ON,
        "load": load,
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        "product_rates": {name: rate / 1e9 for name, rate in rates.items()},
        "results": rows,
    }


def main() -> None:
    """Measures, prints the table and the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", action="append", help=f"only these (default: {', '.join(PRESETS)})")
    parser.add_argument("--source", action="append", default=[], help="folder with the source of a peer")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7, help="at most (default 7)")
    parser.add_argument("--minutes", type=float, default=14.0, help="in all; two rounds are always run (default 14)")
    parser.add_argument("--files", type=Path, help="folder that keeps weights and exports (default: one that goes)")
    parser.add_argument("--prepare", action="store_true", help="only make the files")
    parser.add_argument("--memory", action="store_true", help="the peak memory too, a process a row")
    parser.add_argument("--write", action="store_true", help="write benchmarks/RESULTS_PEERS.md")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path[:0] = options.source
    torch.manual_seed(0)
    if options.memory_of:
        print_own_peak(options.preset[0], options.memory_of, options.files)
        return
    with tempfile.TemporaryDirectory() as passing:
        folder = options.files or Path(passing)
        folder.mkdir(parents=True, exist_ok=True)
        result = measured(options, folder)
    print(table(result["results"]), "", json.dumps(result, indent=1), sep="\n")
    if options.write and not options.prepare:
        PAGE.write_text(page(result), encoding="utf-8")


if __name__ == "__main__":
    main()
