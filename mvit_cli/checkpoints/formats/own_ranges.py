"""How files of our own keep the ranges that `mvit calibrate` found, in the metadata beside the protocol."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mvit_cli.arch.ranges import BlockRanges, Range
from mvit_cli.checkpoints.formats.reading import read_shapes
from mvit_cli.checkpoints.formats.settings import read_json
from mvit_cli.errors import CheckpointError

RANGES_KEY = "mvit_int8"
"""Where they stand in the metadata (JSON)."""


@dataclass(frozen=True)
class FoundRanges:
    """What was seen of some files.

    Attributes:
        files: how many were looked at.
        blocks: from the first block to the last.
    """

    files: int
    blocks: tuple[BlockRanges, ...]


def ranges_to_json(found: FoundRanges) -> str:
    """As the metadata keeps them."""
    return json.dumps(asdict(found))


def ranges_of(path: Path, num_blocks: int, weights_key: str | None = None) -> FoundRanges | None:
    """What a file of weights says of its network's blocks; None: it was not calibrated.

    Raises:
        CheckpointError: the file cannot be read, or what stands there are no ranges, or not of this network.
    """
    return ranges_in(read_shapes(path, weights_key).metadata, num_blocks)


def ranges_in(metadata: Mapping[str, str], num_blocks: int) -> FoundRanges | None:
    """What the metadata of a file says; raises as `ranges_of`."""
    text = metadata.get(RANGES_KEY)
    if text is None:
        return None
    told = read_json(text, "the ranges in the file's metadata")
    try:
        found = FoundRanges(int(told["files"]), tuple(map(_block, told["blocks"])))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"the ranges in the file's metadata are not usable ({error})", "write the file again with mvit calibrate"
        ) from error
    if len(found.blocks) != num_blocks:
        raise CheckpointError(
            f"the ranges in the file's metadata are of {len(found.blocks)} blocks, its network has {num_blocks}",
            "write the file again with mvit calibrate",
        )
    return found


def _block(told: Any) -> BlockRanges:
    """The ranges of a block, each finite, not empty, around zero."""
    read = {}
    for field in fields(BlockRanges):
        low, high = told[field.name]
        if not all(type(bound) in (int, float) and math.isfinite(bound) for bound in (low, high)):
            raise ValueError("a bound that is no number")
        if not low <= 0 <= high or high == low:
            raise ValueError("a range that does not go around zero")
        read[field.name] = Range(float(low), float(high))
    return BlockRanges(**read)
