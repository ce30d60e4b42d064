"""What is alike among features: by cosine, exactly, block after block, so that memory stays bounded."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mvit_cli.embedding.vectors import Vectors
from mvit_cli.findings import Alike, DuplicateGroup, Member

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 4096
"""Rows of a block: a product of two has 64 MiB."""
MANY = 1_000_000
"""Rows above which an index that is not exact is worth its trouble."""


def many_note(index: Vectors) -> str | None:
    """Which library takes a file that has very many rows."""
    if len(index) <= MANY:
        return None
    return (
        f"{len(index):,} rows are compared one by one; FAISS (faiss.IndexHNSWFlat) or hnswlib take the array "
        "`features` of the .npz, normalised, and answer in milliseconds"
    )


def unit(rows: "NDArray[Any]") -> "NDArray[np.float32]":
    """Rows of length 1, float32; those that are not numbers, or 0, become 0."""
    import numpy as np

    values = np.asarray(rows, np.float32)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    wrong = ~np.isfinite(length) | (length == 0)
    return np.where(wrong, np.float32(0), values / np.where(wrong, np.float32(1), length))


def most_similar(index: Vectors, queries: "Sequence[NDArray[Any]] | NDArray[Any]", top: int) -> list[list[Alike]]:
    """The rows of the index that are most like each query, best first; of equal ones the first in the index.

    Args:
        queries: `(Q, dims)`.
    """
    import numpy as np

    found: list[list[Alike]] = []
    for start in range(0, len(queries), BLOCK):
        asked = unit(np.stack(list(queries[start : start + BLOCK])))
        scores, rows = np.zeros((len(asked), 0), np.float32), np.zeros((len(asked), 0), np.int64)
        for first, block in _blocks(index):
            new = asked @ block.T
            new[:, ~index.ok[first : first + len(block)]] = -np.inf
            scores = np.hstack((scores, new))
            rows = np.hstack((rows, np.broadcast_to(np.arange(first, first + len(block)), new.shape)))
            best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
            scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
        for own, own_scores in zip(rows.tolist(), scores.tolist(), strict=True):
            found.append(
                [
                    {**member_of(index, row), "score": round(score, 6)}
                    for row, score in zip(own, own_scores, strict=True)
                    if score != float("-inf")
                ]
            )
    return found


def duplicates(index: Vectors, above: float) -> list[DuplicateGroup]:
    """Groups of rows of which each is like another one of its group; in the order of the index.

    Args:
        above: the cosine from which two rows are duplicates.
    """
    import numpy as np

    parent = np.arange(len(index))
    lowest = np.full(len(index), np.inf, np.float32)  # of the pairs that a row is in
    for first, block in _blocks(index):
        for second, other in _blocks(index, first):
            scores = block @ other.T
            if first == second:
                scores = np.triu(scores, 1)
            left, right = np.nonzero(scores >= above)
            if not len(left):
                continue
            values, left, right = scores[left, right], left + first, right + second
            np.minimum.at(lowest, left, values)
            np.minimum.at(lowest, right, values)
            _join(parent, left, right)
    roots = _roots(parent)
    sizes = np.bincount(roots, minlength=len(index))
    groups: dict[int, list[int]] = {}
    for row in np.flatnonzero(sizes[roots] > 1).tolist():
        groups.setdefault(int(roots[row]), []).append(row)
    return [
        {"lowest": round(float(lowest[rows].min()), 6), "members": [member_of(index, row) for row in rows]}
        for rows in sorted(groups.values())
    ]


def member_of(index: Vectors, row: int) -> Member:
    """What a row is of."""
    member: Member = {"path": index.paths[row]}
    if index.windows:
        start_s, end_s = index.windows[row]
        member["window"] = {"start_s": start_s, "end_s": end_s}
    return member


def _blocks(index: Vectors, start: int = 0) -> "Iterator[tuple[int, NDArray[np.float32]]]":
    for first in range(start, len(index), BLOCK):
        yield first, unit(index.features[first : first + BLOCK])


def _roots(parent: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """The first row of each row's group, so far."""
    while True:
        above = parent[parent]
        if (above == parent).all():
            return parent
        parent[:] = above


def _join(parent: "NDArray[np.int64]", left: "NDArray[np.int64]", right: "NDArray[np.int64]") -> None:
    """Puts the groups of each pair together: the first row of both becomes that of all."""
    import numpy as np

    while True:
        roots = _roots(parent)
        one, other = roots[left], roots[right]
        apart = one != other
        if not apart.any():
            return
        low, high = np.minimum(one[apart], other[apart]), np.maximum(one[apart], other[apart])
        np.minimum.at(parent, high, low)
