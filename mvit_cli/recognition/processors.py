"""How commands that compute share the processors with others."""

import os


def share_processors() -> None:
    """Has torch's threads spin only briefly while they wait for each other; has effect before torch is loaded only.

    Decoding processes want the same processors, and a thread that spins where another waits for a processor holds both
    up. On two busy cores `camera` took 428 ms a clip with libgomp's default, 11 ms so and 19 ms with threads that sleep
    at once; on two idle ones 7, 8 and 14 ms, and MViT-B 1.33, 1.25 and 1.49 s.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "30000")


SMALL_MACS = 1_000_000_000
"""Cost of a view below which threads wait for each other longer than they compute."""


def leave_processors(macs: int) -> None:
    """Runs a small network on one thread and leaves the others to decoding, unless the user has set their number.

    A folder of 30 files with `camera` (0.12 GMACs) took 5.9 s with two threads and one decoding process on two cores,
    and 3.9 s with one; its network alone took 1.3 and 1.0 s.
    """
    import torch

    if macs < SMALL_MACS and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
