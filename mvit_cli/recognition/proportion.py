"""What a checkpoint of one's own may ask for: work and memory in proportion to its size, unless --views says more;
and never more memory than the machine has.

A file of a few kilobytes can describe a network that looks at a thousand large frames a hundred times. Published
weights are the measure: each may take a multiple of what the costliest of them take for a byte of theirs.
"""

from math import prod

from mvit_cli.arch.blocks import block_specs
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.cost import RGB
from mvit_cli.errors import CheckpointError
from mvit_cli.protocol import Views

SMALL_FILE_BYTES = 10_000_000
"""Up to this size a checkpoint is answered within 5 s and 600 MB, whatever it says."""

SMALL_S, SMALL_MEMORY_BYTES = 2.5, 500_000_000
"""By the estimates below, which may be half of what it comes to."""

S_A_BYTE, MEMORY_A_BYTE = 6e-6, 8
"""For each byte beyond `SMALL_FILE_BYTES`. MViTv2-L 40x3 in 15 views takes 4.4e-6 s and 6 bytes of each in float16."""

MACS_A_S, NUMBERS_A_S, PIXELS_A_S = 30e9, 4e8, 8e7
"""What one core does in a second. Measured: narrow networks, bound by the numbers they move, take up to twice as long
as these say, wide ones half as long."""

BYTES_A_PIXEL = 10
"""Of each colour of each frame of all views: as it is decoded, cropped, stored and normalised."""


def seconds_of(config: MViTConfig, views: int, macs: int) -> float:
    """An estimate of the time of one core for one file.

    Args:
        macs: of one view.
    """
    blocks = block_specs(config)
    tokens = sum(10 * block.tokens_in * block.dim_in for block in blocks)
    scores = sum(block.heads * block.sequence_length * block.kv_sequence_length for block in blocks)
    pixels = RGB * prod(config.input_thw)
    return views * (macs / MACS_A_S + (tokens + scores) / NUMBERS_A_S + pixels / PIXELS_A_S)


def memory_of(config: MViTConfig, views: Views, batch_bytes: int) -> int:
    """An estimate of the bytes that one file takes: the pixels of all its views, and a batch."""
    return batch_bytes + views.clips * views.crops * BYTES_A_PIXEL * RGB * prod(config.input_thw)


def refuse_without_memory(config: MViTConfig, views: Views, batch_bytes: int, memory_bytes: int | None) -> None:
    """Raises CheckpointError if one file would take more memory than there is, whoever has asked for the views.

    Args:
        batch_bytes: memory that a batch takes there.
        memory_bytes: what the machine has; None: it does not tell.
    """
    needed = memory_of(config, views, batch_bytes)
    if memory_bytes is None or needed <= memory_bytes:
        return
    raise CheckpointError(
        f"{views} views of {'x'.join(map(str, config.input_thw))} take about {needed / 1e9:.2g} GB for each file, and"
        f" this machine has {memory_bytes / 1e9:.2g} GB",
        "ask for fewer --views or a smaller --batch-size; of one view: the weights are for larger machines, or hostile",
    )


def refuse_out_of_proportion(config: MViTConfig, views: Views, macs: int, batch_bytes: int, file_bytes: int) -> None:
    """Raises CheckpointError if what a file asks for is out of proportion to it.

    Args:
        views: that the file, or its nearest card, asks for; nobody else did.
        macs: of one view.
        batch_bytes: memory that a batch takes.
        file_bytes: size of the file.
    """
    count = views.clips * views.crops
    beyond = max(0, file_bytes - SMALL_FILE_BYTES)
    seconds = seconds_of(config, count, macs)
    memory = memory_of(config, views, batch_bytes)
    if seconds <= SMALL_S + S_A_BYTE * beyond and memory <= SMALL_MEMORY_BYTES + MEMORY_A_BYTE * beyond:
        return
    raise CheckpointError(
        f"{file_bytes:,} bytes of weights ask for about {seconds:.2g} s of a processor and {memory / 1e9:.2g} GB for"
        f" each file, in {views} views of {'x'.join(map(str, config.input_thw))}: no published ones of their size do",
        "if you trust them, say how many views you want: --views 1x1",
    )
