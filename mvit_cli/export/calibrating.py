"""Weights for 8-bit integers: the ranges in which a network's layers are given numbers, found on clips of the user's.

With them nothing has to be looked for while the network runs (`model/fast/int8.py`). They stand in the metadata of a
file of weights whose numbers are what they were, so that every other run of it is as before.
"""

import random
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.checkpoints.convert import convert
from mvit_cli.checkpoints.find import obtain
from mvit_cli.checkpoints.formats.own_ranges import RANGES_KEY, FoundRanges, ranges_to_json
from mvit_cli.errors import MediaError, MViTError, UsageError
from mvit_cli.findings import Calibrated
from mvit_cli.recognition.readout import reading
from mvit_cli.recognition.running import check_int8

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mvit_cli.checkpoints.find import Found
    from mvit_cli.media.sources import Source
    from mvit_cli.model import MViT
    from mvit_cli.recognition.local_engine import LocalEngine
    from mvit_cli.recognition.plan import Plan

Told = Callable[[int, int], None]

JUDGED = 4
"""Of so many files that are looked at, one more judges what came of it."""
NOT_JUDGED_HERE = "this CPU has no VNNI: how exact the integers are was not measured"
JUDGED_BY_ITSELF = "too few files to keep one apart: the difference was measured on those that were looked at"


@dataclass
class _Judge:
    """Runs the network both ways: `Readout`.

    Attributes:
        static: the network in integers; None: this CPU cannot run it.
        largest, span, views, agreed: of the logits.
    """

    static: "nn.Module | None"
    largest: float = 0.0
    span: float = 0.0
    views: int = 0
    agreed: int = 0

    def __call__(self, model: Any, clips: "Tensor") -> "Tensor":
        """`(B, 3, T, H, W)` -> logits `(B, classes)` in float32."""
        expected: Tensor = model(clips)
        if self.static is not None:
            got = self.static(clips)
            self.largest = max(self.largest, float((got - expected).abs().max()))
            self.span = max(self.span, float((expected.amax(1) - expected.amin(1)).max()))
            self.agreed += int((got.argmax(1) == expected.argmax(1)).sum())
        self.views += len(clips)
        return expected


@dataclass
class _Seen:
    """What became of the files."""

    ok: int = 0
    failed: list[str] = field(default_factory=list)


def calibrate(
    planned: "Plan",
    engine: "LocalEngine",
    sources: "Iterable[Source]",
    target: Path,
    *,
    most: int,
    seed: int,
    told: Told,
) -> Calibrated:
    """Finds the ranges on some of the files and writes the weights with them, whole or not at all.

    Args:
        planned, engine: a plain network in float32 on the CPU.
        sources: all files; `most` of them are drawn at random, or all where there are fewer.
        target: a `.safetensors` file, which is replaced: whether it may be is asked before, by `cli/outputs.py`.
        seed: of what is drawn.
        told: how many files were looked at, of how many.

    Raises:
        UsageError: random weights, a network that has no integers, a target of another name.
        MViTError: no file could be read, or the network gives no numbers; the target cannot be written.
    """
    from mvit_cli.model.fast.int8 import may_be_static
    from mvit_cli.model.fast.network import FastMViT

    model, meant = _calibratable(planned, engine)
    drawn = _drawn(sources, most, seed)
    apart = drawn[JUDGED :: JUDGED + 1]
    looked_at = [one for place, one in enumerate(drawn) if place % (JUDGED + 1) != JUDGED]
    found, failed = _ranges(engine, model, looked_at, told)
    judge, judged = _Judge(FastMViT(model).to_int8(found.blocks) if may_be_static() else None), _Seen()
    _run(engine, apart or drawn, judged, told, judge)
    preset, key = planned.preset.name if planned.preset else None, planned.options.weights_key
    more = {RANGES_KEY: ranges_to_json(found)}
    written = convert(obtain(meant), target, preset, force=True, weights_key=key, more=more)
    measured = judge.static is not None and judge.views
    return {
        "path": str(written.path),
        "preset": engine.run["preset"],
        "weights": engine.run["weights"],
        "seen": found.files,
        "judged": judged.ok,
        "failed": [*failed, *(judged.failed if apart else [])],
        "largest_difference": judge.largest if measured else None,
        "span": judge.span if measured else None,
        "same_class": judge.agreed / judge.views if measured else None,
        "notes": [
            *engine.notes,
            *([] if judge.static else [NOT_JUDGED_HERE]),
            *([] if apart else [JUDGED_BY_ITSELF]),
        ],
    }


def _ranges(engine: "LocalEngine", model: "MViT", sources: "list[Source]", told: Told) -> tuple[FoundRanges, list[str]]:
    """What is seen on some files, and those that could not be read."""
    from mvit_cli.model.range_watch import RangeWatch

    watch, seen = RangeWatch(model), _Seen()
    with watch.watching():
        _run(engine, sources, seen, told)
    if not seen.ok:
        raise MViTError(f"none of the files could be read: {(seen.failed or ['there is none'])[0]}", "name clips")
    try:
        return FoundRanges(seen.ok, watch.ranges()), seen.failed
    except ValueError as error:
        raise MViTError(f"these weights cannot be calibrated: {error}", "check them with mvit predict") from error


def _calibratable(planned: "Plan", engine: "LocalEngine") -> "tuple[MViT, Found]":
    model, meant = engine.plain, planned.choice.found
    if meant is None or model is None:
        raise UsageError("random weights have nothing to calibrate", "name --preset or --weights of trained ones")
    check_int8(model.config, "mvit calibrate")
    return model, meant


def _drawn(sources: "Iterable[Source]", most: int, seed: int) -> "list[Source]":
    """Some of the files, each as likely as any other, in their order; of millions only these are kept."""
    rng, kept = random.Random(seed), list[tuple[int, Any]]()
    for number, source in enumerate(sources):
        if len(kept) < most:
            kept.append((number, source))
        elif (place := rng.randrange(number + 1)) < most:
            kept[place] = number, source
    return [source for _, source in sorted(kept, key=lambda one: one[0])]


def _run(engine: "LocalEngine", sources: "list[Source]", seen: _Seen, told: Told, readout: Any = None) -> None:
    """Shows files to the network, and keeps which could be read."""
    looking = reading(engine, readout or (lambda model, clips: model(clips)))
    with closing(looking.items(sources)) as items:
        for done, item in enumerate(items, 1):
            error = next((one for one in (item.outcome, item.scores) if isinstance(one, MediaError)), None)
            if error:
                seen.failed.append(f"{item.path}: {error}")
            else:
                seen.ok += 1
            told(done, len(sources))
