"""The object of `mvit profile` around given results, for tests of what is made of it."""

from typing import Any

from mvit_cli.arch.summary import summarize_config
from mvit_cli.profiling.setup import Setup

CAMERA = summarize_config(Setup(preset="camera").config)


def document(*results: dict[str, Any], cache_gb_per_s: float | None = 40.0) -> dict[str, Any]:
    """A profile of `camera` on some CPU whose products reach 50 GMAC/s and whose copies 10 GB/s."""
    limit = {"gmacs_per_s": 50.0, "copy_gb_per_s": 10.0, "cache_gb_per_s": cache_gb_per_s}
    return {
        "preset": "camera_motion",
        "device": {"type": "cpu", "name": "some CPU", "threads": 1},
        "dtype": "float32",
        "network": "fast",
        "compiled": False,
        "input": CAMERA["input"],
        "machine": [{"dtype": "float32", "threads": 1, **limit}],
        "results": list(results),
        "notes": [],
    }
