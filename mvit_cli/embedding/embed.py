"""Files -> features before the classifier, by the decoder, batches and loop of `predict`: a row for each input."""

import json
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Unpack, cast

from mvit_cli.errors import UsageError
from mvit_cli.findings import EmbedderFacts, VectorRow
from mvit_cli.recognition.local_engine import Inputs, LocalEngine, Opened, Sources, sources_of
from mvit_cli.recognition.options import PredictArguments, PredictOptions, options_of, said_in_python
from mvit_cli.recognition.plan import Plan, plan
from mvit_cli.recognition.readout import FeatureRows, NumberFormat
from mvit_cli.records import Row

if TYPE_CHECKING:
    from mvit_cli.protocol import Sampling, Transform


@dataclass(frozen=True)
class Embedder:
    """A network whose features are wanted.

    Attributes:
        engine: the network; in this process, or actors whose rows are `FeatureRows`.
        facts: what two files of features must share to be compared.
    """

    engine: Opened
    facts: EmbedderFacts

    def rows(self, sources: Sources) -> Generator[VectorRow, None, None]:
        """Yields one row for each source, or for each of its windows, in their order."""
        with closing(self._rows(sources)) as rows:
            for row, _ in rows:
                features: Any = row.pop("features", None)  # type: ignore[typeddict-item]  # of FeatureRows
                about = {"embedder": self.facts} if row["status"] == "ok" else {}
                yield cast("VectorRow", {**row, **about, "features": features})

    def _rows(self, sources: Sources) -> Generator[tuple[Row, Any], None, None]:
        if not isinstance(self.engine, LocalEngine):
            return self.engine.rows(sources)
        read = FeatureRows(self.facts["stage"], self.facts["format"])
        return read(self.engine, sources)


def embed(
    inputs: Inputs,
    *,
    stage: str | None = None,
    format: NumberFormat = "float32",
    **options: Unpack[PredictArguments],
) -> Iterator[VectorRow]:
    """Features before the classifier. The network is loaded at once; files are read as rows are asked for.

    Args:
        inputs: files, folders, globs or `@list.txt`.
        stage: `cube1`, `scale2`, ...: the mean over its grid; None: what the classifier sees, after the norm: the class
            token, or the mean of all tokens.
        format: of the numbers.
        options: as of `predict`.

    Returns:
        One row for each input or window, in input order; of a bad one `features` is None.

    Raises:
        UsageError: a wrong value, or a stage that the network does not have.
        CheckpointError, DownloadError: as of `predict`.
    """
    with said_in_python():
        embedder = opened(plan(options_of(options)), stage, format)
    return embedder.rows(sources_of(inputs))


def opened(planned: Plan, stage: str | None, format: NumberFormat, *, progress: bool = False) -> Embedder:
    """The network on its device; raises as `embedder_of`."""
    return embedder_of(planned.open(progress=progress), planned, stage, format)


def embedder_of(engine: Opened, planned: Plan, stage: str | None, format: NumberFormat) -> Embedder:
    """What gives the features of a network that was opened.

    Raises:
        UsageError: a stage that it does not have, a network that is compiled or of 8 bits, or the file of an export.
    """
    options: PredictOptions = planned.options
    if options.engine != "local":
        raise UsageError(f"features are no output of a file for {options.engine}", "name the weights that it is of")
    if options.compiled or options.dtype == "int8":
        raise UsageError("features are taken of networks that are neither compiled nor int8", "leave it out")
    stages = [one["name"] for one in engine.summary["stages"] if one["name"] != "head"]
    if stage is not None and stage not in stages:
        raise UsageError(f"--stage {stage} is none of {', '.join(stages)}", "leave it out for what the classifier sees")
    recipe = engine.recipe
    windows = recipe.windows
    facts: EmbedderFacts = {
        "preset": engine.run["preset"],
        "weights": engine.run["weights"],
        "weights_sha256": _digest(planned),
        "views": engine.run["views"],
        "stage": stage,
        "format": format,
        "window_s": windows.length_s if windows else None,
        "hop_s": windows.hop_s if windows else None,
        "sampling": _as_json(recipe.sampling),
        "transform": _as_json(recipe.transform),
    }
    return Embedder(engine, facts)


def _as_json(part: "Sampling | Transform") -> Any:
    """The fields as they come back from a file."""
    return json.loads(json.dumps(asdict(part)))


def _digest(planned: Plan) -> str | None:
    """Of the file of the weights; None for random ones."""
    if planned.choice.found is None:
        return None
    from mvit_cli.checkpoints.fetch.integrity import sha256_of_checkpoint
    from mvit_cli.checkpoints.find import obtain

    return sha256_of_checkpoint(obtain(planned.choice.found).path)
