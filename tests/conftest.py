"""Settings for all tests."""

import os

# One thread a process: on a shared machine spinning threads made the suite five times slower, and sums keep one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")
