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
