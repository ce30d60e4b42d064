"""Decoding in worker processes: a pool, its processes, and the memory they share with it."""
