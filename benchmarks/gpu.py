"""The first hour on a GPU in nine minutes: `python benchmarks/gpu.py`. Writes `gpu.md` and `gpu.json` into `--out`.

In turn, as long as `--seconds` last; what was not reached or failed is said in the results, never left out:

1. correctness: all small goldens in float32 (TF32 off and on), bfloat16 and float16;
2. rates: square matrix products in each number format, the ceiling of everything below;
3. networks: ours plain, fast, compiled with CUDA graphs, one graph a shape, and the patches' and pooling's convolutions
   channels-last; beside torchvision and timm, eager and compiled; by preset, batch and number format;
4. attention with relative positions: as a bias of the scores, beside folded into the dimensions of the heads;
5. a folder, decoded and recognised: clips a second and the share of the time in which the network runs;
6. kernels: where the time of one batch goes.

`--device cpu --preset camera_motion` tries the script itself; its times then say nothing.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peer_models import PEERS, importable, version_of
from peer_rows import as_clip_network
from peers import load_shared
from startup import commit, machine
from torch import Tensor, nn
from torch.nn import functional as F

import mvit_cli
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.presets import get_preset
from mvit_cli.arch.summary import summarize_config
from mvit_cli.checkpoints.load import build_model
from mvit_cli.model.fast.network import FastMViT
from mvit_cli.recognition.compiling import compiled

ROOT = Path(__file__).parents[1]
PRESETS = ("mvit_b_16x4", "mvitv2_s_16x4", "mvitv2_b_32x3", "mvitv2_tiny", "mvitv2_base")
BATCHES = (1, 8, 32, 64)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
ROUNDS, WARM_UP = 10, 3
LEAST_S = 0.2
"""Of one measurement, where ten rounds are shorter."""

Runs = Callable[[Tensor], Any]
Row = dict[str, Any]


@dataclass
class Bench:
    """What is measured with, and what came out.

    Attributes:
        until: when to stop, by `time.monotonic`.
        missing: what was not measured, and why.
    """

    device: torch.device
    until: float
    results: dict[str, Any] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """A failure, as of memory, costs this one figure and is told."""
        try:
            yield
        except Exception as error:
            self.missing.append(f"{what}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            traceback.print_exc(limit=2)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def is_late(self, what: str) -> bool:
        """Whether there is no time left, which is noted."""
        late = time.monotonic() > self.until
        if late:
            self.missing.append(f"{what}: no time was left")
        return late

    def seconds(self, runs: Runs, clips: Tensor) -> tuple[float, float]:
        """Median seconds of a run, by events of the device where it has them, and MiB at the peak above the start."""
        with torch.inference_mode():
            for _ in range(WARM_UP):
                runs(clips)
            if self.device.type != "cuda":
                return median(_by_the_clock(lambda: runs(clips)) for _ in range(ROUNDS)), float("nan")
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before, taken = torch.cuda.memory_allocated(), []
            begun = time.monotonic()
            while len(taken) < ROUNDS or time.monotonic() - begun < LEAST_S:
                start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                start.record()
                runs(clips)
                end.record()
                end.synchronize()
                taken.append(start.elapsed_time(end) / 1000)
            return median(taken), (torch.cuda.max_memory_allocated() - before) / 2**20


def _by_the_clock(what: Callable[[], object]) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


# --- 1: correctness


def correctness(bench: Bench) -> None:
    """The largest difference of logits from the goldens', by number format, as a share of their standard deviation."""
    sys.path.append(str(ROOT / "tests"))
    import golden

    names = [name for name in golden.with_logits() if name.startswith("small_")]
    formats = [("float32, TF32 off", torch.float32, False), ("float32, TF32 on", torch.float32, True)]
    formats += [(name, dtype, False) for name, dtype in DTYPES.items() if name != "float32"]
    rows = []
    for title, dtype, tf32 in formats:
        if bench.device.type == "cpu" and dtype == torch.float16:
            bench.missing.append("correctness in float16: a CPU has no hardware for it")
            continue
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        worst, where = 0.0, ""
        for name in names:
            with bench.trying(f"golden {name} in {title}"):
                difference = _golden_difference(golden, name, bench.device, dtype)
                worst, where = max((worst, where), (difference, name))
        rows.append({"format": title, "goldens": len(names), "worst": worst, "of": where})
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    bench.results["correctness"] = rows


def _golden_difference(golden: Any, name: str, device: torch.device, dtype: torch.dtype) -> float:
    with tempfile.TemporaryDirectory() as made:
        model = golden.load_small(name, Path(made))
    with torch.inference_mode():
        got = FastMViT(model.to(device, dtype).eval())(golden.clips(name).to(device, dtype)).float().cpu()
    expected = torch.tensor(golden.golden(name)["logits"])
    return float((got - expected).abs().max() / expected.std())


# --- 2: rates


def rates(bench: Bench) -> None:
    """Multiply-accumulates a second of large square products."""
    size = 8192 if bench.device.type == "cuda" else 1024
    found = {}
    for name, dtype in {**DTYPES, "float32, TF32 on": torch.float32}.items():
        if bench.device.type == "cpu" and name not in ("float32", "bfloat16"):
            continue
        with bench.trying(f"rate in {name}"):
            torch.backends.cuda.matmul.allow_tf32 = "TF32" in name
            a = torch.randn(size, size, device=bench.device).to(dtype)
            found[name] = size**3 / bench.seconds(lambda x: x @ x, a)[0]
    torch.backends.cuda.matmul.allow_tf32 = False
    bench.results["gmacs_per_second"] = {name: rate / 1e9 for name, rate in found.items()}


# --- 3: networks


def ways_of(preset: str, device: torch.device, dtype: torch.dtype) -> dict[str, nn.Module | Runs]:
    """Ours in several ways and the peers that can be imported, with the same weights where a peer has them."""
    known = get_preset(preset)
    model = build_model(known.config).eval()
    peers: dict[str, Runs] = {}
    for peer in PEERS:
        if peer.preset == preset and peer.library in ("torchvision", "timm") and importable(peer.library):
            other = peer.build().eval()
            load_shared(other, model)
            peers[peer.library] = as_clip_network(other.to(device, dtype), known.is_image)
    model = model.to(device, dtype)
    last = build_model(known.config).eval()
    last.load_state_dict(model.state_dict())
    return {
        "plain": model,
        "plain, channels last": last.to(device, dtype, memory_format=torch.channels_last_3d),
        "fast": FastMViT(model),
        **peers,
    }


def networks(bench: Bench, presets: tuple[str, ...], batches: tuple[int, ...]) -> None:
    """Seconds a clip of every way, eager and compiled, and its share of the measured rate of products."""
    rows: list[Row] = []
    bench.results["networks"] = rows
    dtypes = ("bfloat16", "float16", "float32") if bench.device.type == "cuda" else ("float32",)
    for dtype in dtypes:
        for preset in presets:
            ways: dict[str, Any] = {}
            with bench.trying(f"{preset} in {dtype}"):
                ways = ways_of(preset, bench.device, DTYPES[dtype])
            for batch in batches:
                what = f"{preset}, batch {batch}, {dtype}"
                if not bench.is_late(what):
                    with bench.trying(what):
                        rows += _rows_of(bench, preset, ways, batch, dtype)


def _rows_of(bench: Bench, preset: str, ways: dict[str, Any], batch: int, dtype: str) -> list[Row]:
    config = get_preset(preset).config
    clips = torch.randn(batch, 3, *config.input_thw, device=bench.device).to(DTYPES[dtype])
    macs = summarize_config(config)["macs"]
    rate = bench.results["gmacs_per_second"].get(dtype)
    rows: list[Row] = []
    for way, network in ways.items():
        kinds: list[tuple[str, Callable[[], Runs]]] = [(way, lambda own=network: own)]
        if bench.device.type == "cuda" and "channels" not in way:
            kinds.append((f"{way}, compiled", lambda own=network: compiled(own, clips)))
        for name, make in kinds:
            with bench.trying(f"{preset}, batch {batch}, {dtype}, {name}"):
                seconds, mib = bench.seconds(make(), clips)
                share = macs * batch / seconds / 1e9 / rate if rate else None
                rows.append({
                    "preset": preset, "batch": batch, "dtype": dtype, "network": name, "ms": 1000 * seconds,
                    "clips_per_second": batch / seconds, "rate_share": share, "peak_mib": mib,
                })  # fmt: skip
    return rows


# --- 4: attention


def attention(bench: Bench) -> None:
    """Attention of MViTv2-S's blocks with relative positions, two ways of giving them to torch's own kernel.

    A bias `(B, H, L_Q, L_K)` is written out, whose memory grows with both lengths. Folded, what a query adds for a
    key's row, column and time stands in more dimensions of the query, and the key picks it out by ones: the scores
    are the same, no bias exists, and kernels without a bias may be taken. Dimensions are filled up to a multiple of 8.
    """
    rows: list[Row] = []
    bench.results["attention"] = rows
    dtype = torch.bfloat16 if bench.device.type == "cuda" else torch.float32
    sides = ((8, 56, 56, 8, 7, 7), (8, 28, 28, 8, 7, 7), (8, 14, 14, 8, 7, 7)) if bench.device.type == "cuda" else ()
    for heads, (t, h, w, kt, kh, kw) in zip((1, 2, 4), sides or ((2, 8, 8, 2, 4, 4),), strict=False):
        with bench.trying(f"attention of {t}x{h}x{w} over {kt}x{kh}x{kw}"):
            rows.append(_attention_row(bench, heads, (t, h, w), (kt, kh, kw), dtype))


def _attention_row(
    bench: Bench, heads: int, q_thw: tuple[int, int, int], k_thw: tuple[int, int, int], dtype: torch.dtype
) -> Row:
    dim, (kt, kh, kw) = 96, k_thw
    l_q, l_k = q_thw[0] * q_thw[1] * q_thw[2], kt * kh * kw
    make = {"device": bench.device, "dtype": dtype}
    q, k, v = torch.randn(1, heads, l_q, dim, **make), *torch.randn(2, 1, heads, l_k, dim, **make)
    parts = [torch.randn(1, heads, l_q, extent, **make) for extent in k_thw]
    place = torch.arange(l_k, device=bench.device)
    picks = [place // (kh * kw), place // kw % kh, place % kw]

    def biased(_: Tensor) -> Tensor:
        bias = sum(part[..., pick] for part, pick in zip(parts, picks, strict=True))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)

    def folded(_: Tensor) -> Tensor:
        ones = [F.one_hot(pick, extent).to(dtype) for pick, extent in zip(picks, k_thw, strict=True)]
        fill = -(dim + sum(k_thw)) % 8
        scaled = [part * dim**0.5 for part in parts]
        wide_q = F.pad(torch.cat((q, *scaled), -1), (0, fill))
        wide_k = F.pad(torch.cat((k, torch.cat(ones, -1).expand(1, heads, -1, -1)), -1), (0, fill))
        return F.scaled_dot_product_attention(wide_q, wide_k, v, scale=dim**-0.5)

    apart = float((biased(q) - folded(q)).abs().max())
    (one, one_mib), (other, other_mib) = bench.seconds(biased, q), bench.seconds(folded, q)
    return {
        "heads": heads, "queries": l_q, "keys": l_k, "bias_ms": 1000 * one, "folded_ms": 1000 * other,
        "bias_mib": one_mib, "folded_mib": other_mib, "difference": apart,
    }  # fmt: skip


# --- 5: a folder


def folder(bench: Bench, preset: str, clips: int) -> None:
    """The shipped clip again and again, as users run it; weights are random where none are shipped."""
    weights = None if preset == "camera_motion" else "none"
    with bench.trying(f"folder through {preset}"):
        name = str(bench.device)
        inputs = [ROOT / "tests" / "data" / "pan_left.mp4"] * clips
        own = mvit_cli.Recogniser(preset, weights=weights, views="1x1", device=name)
        list(own.predict(inputs[:4]))
        start = time.perf_counter()
        rows = [row for row in own.predict(inputs) if row["status"] == "ok"]
        seconds = time.perf_counter() - start
        busy = sum(row["timing_ms"]["model"] for row in rows) / 1000
        told = {"preset": preset, "clips": len(rows), "clips_per_second": len(rows) / seconds, "busy": busy / seconds}
        bench.results["folder"] = told | {"workers": os.cpu_count()}


# --- 6: kernels


def kernels(bench: Bench, preset: str, batch: int) -> None:
    """The twelve kernels that take most of a pass of the fast network."""
    with bench.trying(f"kernels of {preset}"):
        dtype = torch.bfloat16 if bench.device.type == "cuda" else torch.float32
        config: MViTConfig = get_preset(preset).config
        network = FastMViT(build_model(config).to(bench.device, dtype).eval())
        network.side_by_side = False  # the profiler watches one thread
        clips = torch.randn(batch, 3, *config.input_thw, device=bench.device).to(dtype)
        activities = [torch.profiler.ProfilerActivity.CPU]
        activities += [torch.profiler.ProfilerActivity.CUDA] if bench.device.type == "cuda" else []
        with torch.inference_mode():
            network(clips)
            with torch.profiler.profile(activities=activities) as profiled:
                network(clips)
        taken = {
            event.key: getattr(event, "self_device_time_total", 0) or event.self_cpu_time_total
            for event in profiled.key_averages()
            if bench.device.type == "cpu" or getattr(event, "self_device_time_total", 0)
        }
        total = sum(taken.values())
        first = sorted(taken.items(), key=lambda item: -item[1])[:12]
        bench.results["kernels"] = [{"kernel": name, "ms": us / 1000, "share": us / total} for name, us in first]


# --- results


def about(device: torch.device) -> dict[str, Any]:
    """The machine, the versions and the commit."""
    gpu = {}
    if device.type == "cuda":
        told = torch.cuda.get_device_properties(device)
        gpu = {"gpu": told.name, "gpu_gib": told.total_memory / 2**30, "capability": f"{told.major}.{told.minor}"}
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        gpu["driver"] = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    libraries = {name: version_of(name) for name in ("torchvision", "timm") if importable(name)}
    versions = {"python": platform.python_version(), "torch": torch.__version__, **libraries}
    return {"device": str(device), **gpu, **machine(), **versions, "commit": commit()}


def markdown(results: dict[str, Any], missing: list[str]) -> str:
    """Everything as tables."""
    told = ["# On a GPU", "", "By `python benchmarks/gpu.py`.", ""]
    for title, found in results.items():
        rows = found if isinstance(found, list) else [found]
        if rows and rows[0]:
            names = list(rows[0])
            told += [f"## {title}", "", f"| {' | '.join(names)} |", "|" + " --- |" * len(names)]
            told += ["| " + " | ".join(_short(row.get(name)) for name in names) + " |" for row in rows] + [""]
    return "\n".join([*told, "## Not measured", "", *(f"- {text}" for text in missing or ["everything was"]), ""])


def _short(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measures, and writes after each part what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--preset", action="append", help="only these (default: five)")
    parser.add_argument("--batch", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--clips", type=int, default=400, help="of the folder (default 400)")
    parser.add_argument("--seconds", type=float, default=500, help="begin nothing new after that (default 500)")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")), help="folder of the results")
    asked = parser.parse_args()
    bench = Bench(torch.device(asked.device), time.monotonic() + asked.seconds)
    presets = tuple(asked.preset or PRESETS)
    bench.results["about"] = about(bench.device)
    parts: list[tuple[str, Callable[[], None]]] = [
        ("correctness", lambda: correctness(bench)),
        ("rates", lambda: rates(bench)),
        ("attention", lambda: attention(bench)),
        ("folder", lambda: folder(bench, presets[0], asked.clips)),
        ("kernels", lambda: kernels(bench, presets[0], min(8, max(asked.batch)))),
        ("networks", lambda: networks(bench, presets, tuple(asked.batch))),
    ]
    for name, part in parts:
        if not bench.is_late(name):
            with bench.trying(name):
                part()
        print(f"{name}: done, {bench.until - time.monotonic():.0f} s left", file=sys.stderr)
        (asked.out / "gpu.json").write_text(json.dumps({**bench.results, "missing": bench.missing}, indent=1))
        (asked.out / "gpu.md").write_text(markdown(bench.results, bench.missing))
    print((asked.out / "gpu.md").read_text())


if __name__ == "__main__":
    main()
