"""Where the time of `mvit predict FILE` goes: in a new process, and for a file more in the same one."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.profiling.child import run_module, why_it_failed
from mvit_cli.profiling.clock import synchronize
from mvit_cli.profiling.timing import median
from mvit_cli.records import EndToEnd, Phases, ReaderName

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvit_cli.media.request import Decoded, DecodeRequest
    from mvit_cli.recognition.local_engine import LocalEngine

REPEATS = 3
"""Files after the first that are decoded and scored; the median of each phase counts."""

PhaseTimes = dict[str, float]
"""Milliseconds, in the order of events."""


@dataclass(frozen=True, kw_only=True)
class FileSetup:
    """One file and the network that it is shown to; plain values, so that another process can be given them.

    Attributes:
        weights: what `predict` takes; `none` for random ones.
        device, dtype: names as torch has them.
        face: a module to load first in the new process: the one that reads the command line.
    """

    path: str
    preset: str
    weights: str = "none"
    device: str = "cpu"
    dtype: str = "float32"
    threads: int | None = None
    fast: bool = True
    face: str = "mvit_cli"


def weights_here(preset: str) -> str:
    """The preset's published weights where they are on this machine, else `none`: nothing is downloaded."""
    from mvit_cli.checkpoints.cards import default_card
    from mvit_cli.checkpoints.inventory import state_of

    card = default_card(preset)
    return card.name if card and state_of(card)[1] else "none"


def profile_file(setup: FileSetup, say: Callable[[str], None] = lambda text: None) -> EndToEnd:
    """Times every phase of recognising a file.

    Returns:
        The object `end_to_end` of `mvit profile`.

    Raises:
        MViTError: the file could not be recognised.
    """
    say(f"recognising {setup.path} in a new process")
    cold = _cold(setup)
    say(f"recognising {setup.path} {REPEATS} times more in one process")
    recogniser = _recogniser(setup)
    decoded, decoding = _decoding(_request(setup, recogniser))
    warm = {**decoding, **_scoring(recogniser, decoded.pixels)}
    ahead, behind = sum(decoding.values()), sum(warm.values()) - sum(decoding.values())
    return {
        "file": setup.path,
        "weights": recogniser.run["weights"],
        "views": recogniser.run["views"],
        "batch_size": recogniser.scorer.batch_size,
        "duration_s": decoded.duration_s,
        "reader": cast("ReaderName", decoded.reader),
        "cold": _as_json(cold),
        "warm": _as_json(warm),
        "decoding_ms": ahead,
        "recognising_ms": behind,
    }


def _as_json(phases: PhaseTimes) -> Phases:
    total = sum(phases.values())
    return {
        "total_ms": total,
        "phases": [{"name": name, "ms": ms, "share": ms / total} for name, ms in phases.items()],
    }


def _recogniser(setup: FileSetup) -> "LocalEngine":
    import torch

    from mvit_cli.recognition.options import PredictOptions
    from mvit_cli.recognition.plan import plan

    if setup.threads:
        torch.set_num_threads(setup.threads)
    options = PredictOptions(
        preset=setup.preset, weights=setup.weights, device=setup.device, dtype=setup.dtype, fast=setup.fast
    )
    return plan(options).open()


def _request(setup: FileSetup, recogniser: "LocalEngine") -> "DecodeRequest":
    from mvit_cli.media.request import DecodeRequest

    recipe = recogniser.recipe
    views = recipe.views
    return DecodeRequest(
        setup.path,
        recipe.sampling,
        recipe.transform,
        num_clips=views.clips,
        num_crops=views.crops,
        stills=recipe.stills,
    )


# Decoding, in a worker process that is there already


def _decoding(request: "DecodeRequest") -> "tuple[Decoded, PhaseTimes]":
    """The last outcome, and the median of each phase until its pixels are in this process."""
    from mvit_cli.media.workers.pool import DecodePool

    walls: list[float] = []
    seen: list[Decoded] = []
    with DecodePool(1) as pool, closing(pool.imap([request] * (1 + REPEATS))) as outcomes:
        before = time.perf_counter()
        for outcome in outcomes:
            if isinstance(outcome, MediaError):
                raise MViTError(f"{request.path}: {outcome.message}", outcome.hint)
            now = time.perf_counter()
            walls.append(1000 * (now - before))
            seen.append(outcome)
            before = now
    decode_ms = median([decoded.decode_ms for decoded in seen[1:]])
    opening, transforming = (share * decode_ms for share in _shares(request))
    phases = {
        "open and index": opening,
        "decode": decode_ms - opening - transforming,
        "resize and crop": transforming,
        "hand over": max(0.0, median(walls[1:]) - decode_ms),
    }
    return seen[-1], phases


def _shares(request: "DecodeRequest") -> tuple[float, float]:
    """The parts of decoding that opening and transforming take: of a run in this process, by Python's own profiler."""
    import cProfile

    from mvit_cli.media.decode import decode
    from mvit_cli.media.images import probe
    from mvit_cli.media.transforms import crops_of
    from mvit_cli.media.video.index import index_video

    decode(request)  # loads the libraries
    profiler = cProfile.Profile()
    whole_s = profiler.runcall(decode, request).decode_ms / 1000
    spent = {entry.code: entry.totaltime for entry in profiler.getstats()}
    opening = sum(spent.get(function.__code__, 0.0) for function in (probe, index_video))
    return min(1.0, opening / whole_s), min(1.0, spent.get(crops_of.__code__, 0.0) / whole_s)


# Scoring


def _scoring(recogniser: "LocalEngine", pixels: "NDArray[Any]") -> PhaseTimes:
    """The median of each phase from the pixels to the best classes."""
    runs = [_scored(recogniser, pixels) for _ in range(1 + REPEATS)][1:]
    phases = {name: median([run[name] for run in runs]) for name in runs[0]}
    copying = min(phases["normalise"], _copy_ms(recogniser, pixels))
    return {"copy to the device": copying, **phases, "normalise": phases["normalise"] - copying}


def _scored(recogniser: "LocalEngine", pixels: "NDArray[Any]") -> PhaseTimes:
    """One run, with hooks where the network begins and ends; `normalise` is all that comes before."""
    from mvit_cli.recognition.rows import prediction_list

    scorer = recogniser.scorer
    moments: list[float] = []

    def now(*_: object) -> None:
        synchronize(scorer.device)
        moments.append(1000 * time.perf_counter())

    handles = [scorer.model.register_forward_pre_hook(now), scorer.model.register_forward_hook(now)]
    try:
        now()
        scores = scorer.scores(pixels)
        prediction_list(scores, recogniser.recipe.labels, recogniser.options.top)
        now()
    finally:
        for handle in handles:
            handle.remove()
    starts, ends = moments[1:-1:2], moments[2:-1:2]
    model_ms = sum(end - start for start, end in zip(starts, ends, strict=True))
    scores_ms = moments[-1] - ends[-1]
    return {"normalise": moments[-1] - moments[0] - model_ms - scores_ms, "model": model_ms, "scores": scores_ms}


def _copy_ms(recogniser: "LocalEngine", pixels: "NDArray[Any]") -> float:
    """The pixels' way to a device with a memory of its own."""
    import torch

    device = recogniser.scorer.device
    if device.type == "cpu":
        return 0.0
    times = []
    for _ in range(REPEATS):
        synchronize(device)
        start = time.perf_counter()
        torch.from_numpy(pixels).to(device)
        synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return median(times)


# A new process


def _cold(setup: FileSetup) -> PhaseTimes:
    """Every phase of one file, from the start of the process to its end."""
    spawned = time.time()
    done = run_module("mvit_cli.profiling.end_to_end", json.dumps(asdict(setup)), str(spawned))
    ended = time.time()
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise MViTError(f"{setup.path} was not recognised: {why_it_failed(done)}", "try mvit predict") from None
    if "error" in answer:
        raise MViTError(f"{setup.path}: {answer['error']['message']}", answer["error"].get("hint", ""))
    phases: PhaseTimes = answer["phases"]
    return {**phases, "end": 1000 * (ended - answer["ended"])}


def _main() -> None:
    """What `mvit predict` does with one file, with the time at every step."""
    setup, before = FileSetup(**json.loads(sys.argv[1])), float(sys.argv[2])
    phases: PhaseTimes = {}

    def lap(name: str) -> None:
        nonlocal before
        now = time.time()
        phases[name], before = 1000 * (now - before), now

    import_module(setup.face)
    lap("start Python and the command line")
    import_module("torch")
    lap("load torch")
    recogniser = _recogniser(setup)
    lap("load the network")
    (row,) = recogniser.predict([setup.path])
    lap("start the decoder")
    if row["status"] == "error":
        print(json.dumps({"error": row["error"]}))
        return
    timing = row["timing_ms"]
    phases["start the decoder"] -= timing["decode"] + timing["model"]
    phases |= {"open, decode, resize": timing["decode"], "recognise": timing["model"]}
    print(json.dumps({"phases": phases, "ended": before}))


if __name__ == "__main__":
    _main()
