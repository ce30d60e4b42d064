"""The network through torch's compiler: minutes once, kept on disk for the next run; then faster on a GPU."""

import os
import warnings
from typing import TYPE_CHECKING, Any

from mvit_cli.checkpoints.fetch.caches import cache_home
from mvit_cli.errors import MViTError, first_line

if TYPE_CHECKING:
    import torch
    from torch import nn


def compiled(network: "nn.Module", clips: "torch.Tensor") -> Any:
    """What runs as the network does, for clips of exactly this shape, and was tried on them.

    On a GPU all kernels are launched as one (CUDA graphs).

    Args:
        clips: a whole batch.

    Raises:
        MViTError: the compiler failed, or is not there.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_home() / "mvit" / "compiled"))
    import torch

    mode = "reduce-overhead" if clips.device.type == "cuda" else None
    try:
        with torch.inference_mode(), warnings.catch_warnings():  # remarks on what the compiler cannot see through
            warnings.simplefilter("ignore")
            runs = torch.compile(network, dynamic=False, mode=mode)
            for _ in range(3 if mode else 1):  # CUDA graphs are recorded in the second run
                runs(clips)
    except Exception as error:  # a compiler can fail in any way
        raise MViTError(
            f"--compile failed: {type(error).__name__}: {first_line(error)}",
            "leave --compile out; on a CPU it needs a C++ compiler",
        ) from error
    return runs
