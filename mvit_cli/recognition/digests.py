"""Many paths in little memory: 16 bytes each, and how often each is there. Plain Python, as a run that has nothing left
to do starts in the time that its imports take."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b

SIZE = 16
_HEAD = 2
_REST = SIZE - _HEAD


def digest_of(path: str) -> bytes:
    """16 bytes: two paths in 10^12 are the same with a chance of 10^-15."""
    return digests_of_bytes([path.encode("utf-8", "surrogatepass")])[0]


def digests_of_bytes(paths: Iterable[bytes]) -> list[bytes]:
    """Of paths in UTF-8."""
    return [blake2b(path, digest_size=SIZE).digest() for path in paths]


class Digests:
    """Digests with repetitions, about 20 bytes each where there are millions (a set of Python's takes 100).

    They lie in up to 65536 byte strings by their first two bytes; in 10^7 a search looks through 2 kB.
    """

    def __init__(self) -> None:
        self._of_head: dict[bytes, bytearray] = {}

    def extend(self, digests: Iterable[bytes]) -> None:
        """Puts more in."""
        of_head = self._of_head
        for digest in digests:
            head = digest[:_HEAD]
            if head in of_head:
                of_head[head] += digest[_HEAD:]
            else:
                of_head[head] = bytearray(digest[_HEAD:])

    def take(self, digest: bytes) -> bool:
        """Takes one out; False where there is none."""
        rests, place = self._found(digest)
        if place < 0:
            return False
        rests[place : place + _REST] = rests[-_REST:]
        del rests[-_REST:]
        return True

    def __contains__(self, digest: bytes) -> bool:
        return self._found(digest)[1] >= 0

    def __iter__(self) -> Iterator[bytes]:
        for head, rests in self._of_head.items():
            for place in range(0, len(rests), _REST):
                yield head + bytes(rests[place : place + _REST])

    def _found(self, digest: bytes) -> tuple[bytearray, int]:
        rests, rest = self._of_head.get(digest[:_HEAD], bytearray()), digest[_HEAD:]
        place = rests.find(rest)
        while place > 0 and place % _REST:  # the end of one and the beginning of the next
            place = rests.find(rest, place + 1)
        return rests, place
