"""What is asked of an index: rows of another one, or files that go through its own network."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.checkpoints.find import find
from mvit_cli.embedding.embed import opened
from mvit_cli.embedding.similar import member_of
from mvit_cli.embedding.vectors import Vectors, read_vectors
from mvit_cli.errors import UsageError, at_most
from mvit_cli.findings import EmbedderFacts
from mvit_cli.recognition.listing import Listing
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

Query = tuple[dict[str, Any], "NDArray[Any] | None"]
"""What a query is of, with its error where it has no features."""


def of_file(path: Path, index: Vectors) -> Iterator[Query]:
    """The rows of another file of features.

    Raises:
        UsageError: features of another network.
    """
    vectors = read_vectors(path)
    other = same_embedder(index.facts, vectors.facts)
    if other:
        raise UsageError(f"{path} has other features than the index: {other}", "embed both with the same weights")

    def queries() -> Iterator[Query]:
        for row in range(len(vectors)):
            asked: dict[str, Any] = {**member_of(vectors, row), "status": "ok" if vectors.ok[row] else "error"}
            if vectors.ok[row]:
                yield asked, vectors.features[row]
            else:
                asked["error"] = {"kind": "decode", "message": f"{path} has no features of it"}
                yield asked, None

    return queries()


def of_inputs(
    inputs: list[str], index: Vectors, *, weights: str | None, device: str, workers: str, progress: bool
) -> Iterator[Query]:
    """Files, through the network of the index.

    Raises:
        UsageError: these are other weights, or lie elsewhere and were not named.
    """
    import numpy as np

    facts = index.facts
    if facts["weights_sha256"] is None:
        raise UsageError("the index is of random weights, which are gone", "embed with --weights")
    if weights is None and find(facts["weights"]).kind in ("repository", "address"):
        # A file from anybody must not say which addresses this machine asks.
        raise UsageError(
            f"the index was made with weights from elsewhere: {at_most(facts['weights'])}",
            "name them with --weights if you trust that place",
        )
    options = PredictOptions(
        preset=None if weights else facts["preset"],
        weights=weights or facts["weights"],
        views=facts["views"],
        window_s=facts["window_s"],
        hop_s=facts["hop_s"],
        device=device,
        workers="auto" if workers == "auto" else int(workers),
    )
    embedder = opened(plan(options), facts["stage"], "float32", progress=progress)
    other = same_embedder(facts, embedder.facts, () if weights is None else ("weights", "preset"))
    if other:
        raise UsageError(f"the index is of other weights: {other}", "say with --weights where those of the index are")

    def queries() -> Iterator[Query]:
        for row in embedder.rows(Listing(tuple(inputs)).sources()):
            asked: dict[str, Any] = {"path": row["path"], "status": row["status"]}
            if "window" in row:
                asked["window"] = row["window"]
            if row["status"] == "ok":
                yield asked, np.array(row["features"], np.float32)
            else:
                yield {**asked, "error": row["error"]}, None

    return queries()


def same_embedder(one: EmbedderFacts, other: EmbedderFacts, ignored: Sequence[str] = ()) -> str | None:
    """What keeps features of two embedders from being compared; None: nothing.

    Args:
        ignored: facts that may differ beside how windows are cut and numbers are stored.
    """
    free = {"window_s", "hop_s", "format", "views", *ignored}
    if one["weights_sha256"] and one["weights_sha256"] == other["weights_sha256"]:
        free |= {"weights"}  # the same file under another name
    for name in one:
        if name not in free and one[name] != other.get(name):  # type: ignore[literal-required]
            return f"{name} {one[name]} and {other.get(name)}"  # type: ignore[literal-required]
    return None
