"""Where the network runs, and in which number format."""

import re
from typing import TYPE_CHECKING

from mvit_cli.errors import MViTError, UsageError

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "float32", "bfloat16", "float16", "int8")
INT8 = "int8"
"""Linear layers in 8-bit integers, the rest of the network in float32."""


def check_device_name(name: str) -> None:
    """Refuses what is no device, without torch.

    Raises:
        UsageError: neither auto, cpu, cuda, cuda:N nor mps.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:(0|[1-9][0-9]?))?", name):  # torch counts devices in 7 bits
        from difflib import get_close_matches

        near = get_close_matches(name, ("auto", "cpu", "cuda", "cuda:1", "mps"), n=1)
        known = "use auto, cpu, cuda, cuda:1 (the second GPU) or mps"
        raise UsageError(f"there is no device {name!r}", f"did you mean {near[0]}? {known}" if near else known)


def pick_device(name: str = "auto") -> "torch.device":
    """The device of that name; auto takes a GPU where there is one. What is asked for and missing is an error.

    Raises:
        UsageError: an unknown name.
        MViTError: this machine, or this torch, has no such device.
    """
    import torch

    check_device_name(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        _check_cuda(name, device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise MViTError(f"--device {name}: this machine has no Apple GPU that torch can use", "use --device cpu")
    return device


def _check_cuda(name: str, index: int) -> None:
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        raise MViTError(
            f"--device {name}: this torch ({torch.__version__}) is built without CUDA",
            "use --device cpu, or install a CUDA build of torch (pytorch.org)",
        )
    count = torch.cuda.device_count()
    if index >= count:
        there = "no GPU was found" if count == 0 else f"the last GPU is cuda:{count - 1}"
        raise MViTError(f"--device {name}: {there}", "check nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu")


def pick_dtype(name: str, device: "torch.device") -> "torch.dtype":
    """The number format; auto is float32 except on a GPU that computes faster in 16 bits, int8 is float32 at first.

    Raises:
        UsageError: an unknown name, int8 on a GPU, or float16 on a CPU that computes it number by number.
    """
    import torch

    if name not in DTYPES:
        raise UsageError(f"there is no dtype {name!r}", f"use {', '.join(DTYPES)}")
    if name == INT8 and device.type != "cpu":
        raise UsageError(f"--dtype int8 runs on a CPU only, not on {device}", "use bfloat16 or float16 there")
    if name == INT8:
        return torch.float32
    if name == "float16" and device.type == "cpu" and not has_hardware("float16"):
        better = "bfloat16" if has_hardware("bfloat16") else "float32"
        raise UsageError(
            "--dtype float16: this CPU has no hardware for it, and is several times slower with it than with float32",
            f"use --dtype {better} here; float16 is for GPUs",
        )
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    if device.type != "cuda":
        return torch.float32
    capability = torch.cuda.get_device_capability(device)
    if capability >= (8, 0):
        return torch.bfloat16
    return torch.float16 if capability >= (7, 0) else torch.float32  # tensor cores for float16 came with 7.0


def has_hardware(dtype: str) -> bool:
    """Whether this CPU multiplies matrices of bfloat16 or float16 by instructions of its own, as torch asks it.

    On x86 those of AVX-512 or AMX, on Arm those of its extensions; where torch cannot ask, it is not refused.
    """
    import torch

    ask = {"bfloat16": "_is_mkldnn_bf16_supported", "float16": "_is_mkldnn_fp16_supported"}[dtype]
    try:
        return bool(getattr(torch.ops.mkldnn, ask)())
    except (AttributeError, RuntimeError):
        return True


SLOW_BFLOAT16 = "bfloat16: this CPU has no hardware for it, float32 is faster here"
SLOW_INT8 = "int8: this CPU multiplies bfloat16 in matrices (AMX), --dtype bfloat16 is faster here and more exact"
"""MViT-B on two such threads: float32 0.63 s, int8 0.48 s, with scales known before 0.25 s, bfloat16 0.20 s."""


def slower_than_another(dtype: str, device: "torch.device") -> str | None:
    """What a run says of a number format that another one beats on this CPU in speed and exactness."""
    import torch

    if device.type != "cpu":
        return None
    if dtype == "bfloat16" and not has_hardware("bfloat16"):
        return SLOW_BFLOAT16
    has_matrices = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return SLOW_INT8 if dtype == INT8 and has_matrices() else None


_ALLOCATORS_SAY = ("out of memory", "can't allocate memory", "not enough memory")
"""Of CUDA, mps and the CPU; of the CPU on Linux; of the CPU on Windows."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out. CUDA has a class of its own for it; mps and the allocators of a CPU only say so."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in message for words in _ALLOCATORS_SAY)
