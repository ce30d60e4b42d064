"""`mvit predict --heatmap [DIR]`: what is refused, where the files go, and what the page says of the colours."""

import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mvit_cli.cli.arguments import LEFT_OUT
from mvit_cli.errors import UsageError

if TYPE_CHECKING:
    from mvit_cli.recognition.local_engine import Opened, Sources
    from mvit_cli.records import Row
    from mvit_cli.report.predict.page.frames import Pictures
    from mvit_cli.report.predict.page.heat_key import HeatKey

Method = Literal["gradient", "split", "rollout"]


@dataclass(frozen=True)
class Heat:
    """Heat maps that are wanted.

    Attributes:
        folder: where files go; None: only the page shows heat.
    """

    folder: Path | None
    method: Method

    def rows(
        self, recogniser: "Opened", sources: "Sources", wanted: "Callable[[int], Any]"
    ) -> "Generator[tuple[Row, Pictures | None], None, None]":
        """The rows of all sources, with heat in their pictures; the folder is made if need be."""
        from mvit_cli.insight.heatmaps import rows_with_heat
        from mvit_cli.recognition.local_engine import LocalEngine

        assert isinstance(recogniser, LocalEngine)
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
        return rows_with_heat(recogniser, sources, self.folder, self.method, wanted)

    def key(self, crops: int) -> "HeatKey":
        """What a page says of the colours, of so many crops a clip."""
        from mvit_cli.insight.colours import colour_scale
        from mvit_cli.report.predict.page.heat_key import HeatKey

        return HeatKey(self.method, colour_scale(HeatKey.STEPS), crops)


def heat_asked(
    named: str | None,
    method: Method | None,
    page: Path | None,
    inputs: Sequence[str],
    *,
    engine: str,
    dtype: str,
) -> Heat | None:
    """The heat maps that `--heatmap` and its method ask for, if any.

    Args:
        named: the folder; `LEFT_OUT` for the page alone.

    Raises:
        UsageError: another engine or integers, which have none; no folder and no page; a file where the folder is to
            be, or one of the folders that are read.
    """
    if named is None:
        if method:
            hint = "add --heatmap DIR, or --heatmap and --report"
            raise UsageError("--heatmap-method says how heat maps are made, and none are", hint)
        return None
    for option, is_given in ((f"--engine {engine}", engine != "local"), ("--dtype int8", dtype == "int8")):
        if is_given:
            raise UsageError(f"--heatmap looks into the plain network, and {option} has none", f"drop {option}")
    if named == LEFT_OUT:
        if page is None:
            hint = "add --report report.html, or name a folder: --heatmap heat/"
            raise UsageError("--heatmap without a folder is a row in the page, and there is no page", hint)
        return Heat(None, method or "gradient")
    folder = Path(named)
    _check_folder(folder, inputs)
    return Heat(folder, method or "gradient")


def _check_folder(folder: Path, inputs: Sequence[str]) -> None:
    if folder.exists() and not folder.is_dir():
        hint = "name a folder; for a row in the page alone, write --heatmap last"
        raise UsageError(f"--heatmap {folder} is a file", hint)
    there = folder.resolve()
    for name in inputs:
        if os.path.isdir(name) and there.is_relative_to(Path(name).resolve()):
            message = f"--heatmap {folder}: its pictures would be inputs, as all that is in {name}"
            raise UsageError(message, "name a folder elsewhere")
