"""Damage to the bytes of a file: each kind takes bytes and random numbers, so that all of it follows from a seed."""

import random
import struct
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]


def bit_flips(data: bytes, rng: random.Random) -> bytes:
    """0.01 to 1 % of the bytes with one bit turned over."""
    damaged = bytearray(data)
    for _ in range(max(1, int(len(data) * 10 ** rng.uniform(-4, -2)))):
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def header_flips(data: bytes, rng: random.Random) -> bytes:
    """A few bytes of the first 512, or of the last, replaced: sizes, counts, tables."""
    damaged = bytearray(data)
    reach = min(512, len(data))
    offset = rng.choice((0, len(data) - reach))
    for _ in range(rng.randint(1, 8)):
        damaged[offset + rng.randrange(reach)] = rng.choice((0, 0xFF, 0x7F, 0x80, rng.randrange(256)))
    return bytes(damaged)


def truncated(data: bytes, rng: random.Random) -> bytes:
    """The beginning only."""
    return data[: rng.randrange(len(data))]


def header_only(data: bytes, rng: random.Random) -> bytes:
    """The first 16 bytes to 2 KB."""
    return data[: rng.choice((16, 64, 256, 1024, 2048))]


def chunk_deleted(data: bytes, rng: random.Random) -> bytes:
    """Without up to a quarter from somewhere."""
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def chunk_doubled(data: bytes, rng: random.Random) -> bytes:
    """With up to a quarter twice."""
    start, end = _span(data, rng)
    return data[:end] + data[start:]


def chunk_zeroed(data: bytes, rng: random.Random) -> bytes:
    """With zeros in place of up to a quarter."""
    start, end = _span(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


def chunks_swapped(data: bytes, rng: random.Random) -> bytes:
    """Two parts have changed places."""
    a, b, c, d = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def boxes_swapped(data: bytes, rng: random.Random) -> bytes:
    """Two boxes of an MP4 have changed places, at the top or in `moov`; other formats: two parts."""
    boxes = _boxes(data, 0, len(data))
    inside = next(((start + 8, end) for start, end in boxes if data[start + 4 : start + 8] == b"moov"), None)
    if inside and rng.random() < 0.5:
        boxes = _boxes(data, *inside)
    if len(boxes) < 2:
        return chunks_swapped(data, rng)
    (a, b), (c, d) = sorted(rng.sample(boxes, 2))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def foreign_middle(data: bytes, rng: random.Random) -> bytes:
    """Noise in place of up to a quarter."""
    start, end = _span(data, rng)
    return data[:start] + rng.randbytes(end - start) + data[end:]


MUTATIONS: dict[str, Mutation] = {
    function.__name__: function
    for function in (
        bit_flips,
        header_flips,
        truncated,
        header_only,
        chunk_deleted,
        chunk_doubled,
        chunk_zeroed,
        chunks_swapped,
        boxes_swapped,
        foreign_middle,
    )
}


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    """A part of up to a quarter of the file."""
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.randint(1, max(1, len(data) // 4)))


def _boxes(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """Where the boxes of an MP4 begin and end."""
    boxes = []
    while start + 8 <= end:
        (size,) = struct.unpack_from(">I", data, start)
        if size < 8 or start + size > end:
            break
        boxes.append((start, start + size))
        start += size
    return boxes
