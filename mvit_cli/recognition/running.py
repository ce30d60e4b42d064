"""How a network that is on its device is run: plain or fast, in which number format, compiled or not."""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.cost import RGB
from mvit_cli.errors import UsageError
from mvit_cli.recognition.device import INT8
from mvit_cli.recognition.options import PredictOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mvit_cli.arch.ranges import BlockRanges
    from mvit_cli.model import MViT

UNUSED_RANGES = "int8: this CPU has no VNNI, so the ranges of mvit calibrate are not used, but those of each batch"


class Way(NamedTuple):
    """A way to run a network.

    Attributes:
        plain: the network as the papers have it, if it is there in this format.
        runs: what clips are shown to.
        reference: what tells how exact that is; None: nothing is rounded.
        note: what every row is to say.
    """

    plain: "MViT | None"
    runs: "nn.Module"
    reference: "nn.Module | None" = None
    note: str | None = None


def kept_in(dtype: "torch.dtype", device: "torch.device") -> "torch.dtype":
    """What the numbers of a network are at first."""
    import torch

    return torch.float32 if device.type == "cpu" and dtype.itemsize < 4 else dtype


def way_to_run(model: "MViT", options: PredictOptions, dtype: "torch.dtype", path: Path | None) -> Way:
    """How a network on its device is run; `path` is the file of its weights.

    Raises:
        UsageError: a network that has no integers.
        CheckpointError: a file whose ranges are none.
    """
    from mvit_cli.model.fast.network import FastMViT
    from mvit_cli.model.fast.products import PlainLinear

    if options.dtype != INT8:
        plain, reference = model, None
        if next(model.parameters()).dtype != dtype:
            plain, reference = copy.deepcopy(model).to(dtype), FastMViT(model)
        if not options.fast:
            return Way(plain, plain, reference)
        return Way(plain, FastMViT(plain, PlainLinear) if options.compiled else FastMViT(plain), reference)
    check_int8(model.config, "--dtype int8")
    ranges, note = _known_ranges(model, options, path)
    return Way(None, FastMViT(model).to_int8(ranges), FastMViT(model), note)


def check_int8(config: MViTConfig, what: str) -> None:
    """Refuses a network whose layers cannot be 8-bit integers.

    Args:
        what: asks for them.

    Raises:
        UsageError: says why.
    """
    if config.pool_first or config.streams == 2:
        why = "pools before it projects" if config.pool_first else "is reversible"
        raise UsageError(f"{what}: this network {why}", "use --dtype float32")


def _known_ranges(
    model: "MViT", options: PredictOptions, path: Path | None
) -> "tuple[tuple[BlockRanges, ...] | None, str | None]":
    """What `mvit calibrate` found of these weights, and what is to be said where it cannot be used."""
    from mvit_cli.checkpoints.formats.own_ranges import ranges_of
    from mvit_cli.model.fast.int8 import may_be_static

    found = ranges_of(path, len(model.blocks), options.weights_key) if path else None
    if found is None:
        return None, None
    if options.compiled:
        raise UsageError("--compile cannot see through the integers of mvit calibrate", "leave --compile out")
    return (found.blocks, None) if may_be_static() else (None, UNUSED_RANGES)


def compiled_for(
    network: "nn.Module", config: MViTConfig, batch_size: int, device: "torch.device", dtype: "torch.dtype"
) -> "nn.Module":
    """The network compiled for whole batches."""
    import torch

    from mvit_cli.recognition.compiling import compiled

    clips = torch.zeros(batch_size, RGB, *config.input_thw, device=device, dtype=dtype)
    runs: nn.Module = compiled(network, clips)
    return runs
