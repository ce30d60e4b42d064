"""Progress of a transfer, on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mvit_cli.errors import tell


@contextmanager
def transfer_bar(
    name: str, where: str, total_bytes: int | None, done_bytes: int, show: bool
) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with each number of bytes that arrived: a bar on a terminal, else one line."""
    if not (show and sys.stderr.isatty()):
        announce(name, where, total_bytes, show)
        yield lambda received: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total_bytes, completed=done_bytes)
        yield lambda received: progress.advance(task, received)


def announce(name: str, where: str, size_bytes: int | None, show: bool) -> None:
    """Says on stderr what is fetched from where."""
    if show:
        size = "" if size_bytes is None else f" ({size_bytes / 1e6:.1f} MB)"
        tell(f"downloading {name}{size} from {where}")
