"""Progress of a transfer, on stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int], None]


@contextmanager
def transfer_bar(name: str, total_bytes: int | None, done_bytes: int, show: bool) -> Iterator[Advance]:
    """Gives a function to call with the number of bytes that arrived: a bar on a terminal, else silent."""
    if not (show and sys.stderr.isatty()):
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
        size = "" if size_bytes is None else f" ({size_bytes / 1e6:.0f} MB)"
        print(f"downloading {name}{size} from {where}", file=sys.stderr)
