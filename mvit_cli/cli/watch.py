"""`mvit watch`: what is in a stream, as it comes."""

import math
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

import typer

from mvit_cli.cli.arguments import taking
from mvit_cli.cli.flags import RunDtype
from mvit_cli.cli.help import exit_codes
from mvit_cli.cli.predict_flags import Labels, Threshold, Top
from mvit_cli.cli.recognising import OfNetwork
from mvit_cli.errors import UsageError, printable, tell

if TYPE_CHECKING:
    from mvit_cli.findings import LiveRow
    from mvit_cli.live.address import Address
    from mvit_cli.live.watching import Asked, Watch
    from mvit_cli.recognition.local_engine import LocalEngine
    from mvit_cli.recognition.options import PredictOptions

TRIES = 10
"""How often a stream that broke is tried again, unless the user says otherwise."""

EXAMPLES = f"""\b
Examples:
  mvit watch 0 --preset camera                          the first camera
  mvit watch rtsp://camera.local/stream --every 2 --on-change --min-score 0.5
  mvit watch 'udp://@:5000' --reconnect always > rows.jsonl
  mvit watch clip.mp4 --realtime                        a file as if it came now
  ffmpeg -i SOURCE -f mpegts - | mvit watch -           whatever ffmpeg can read
  producer | mvit watch - --raw 640x480@30:yuv420p      bare pixels

\b
{exit_codes("the stream or the time asked for is over", "it cannot be opened or does not come back")}"""

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Camera (0, /dev/video0), rtsp://, udp://, tcp://, http(s)://, - (a stream on standard input), a named "
        "pipe, or with --realtime a file.",
        show_default=False,
    ),
]
Every = Annotated[float, typer.Option("--every", metavar="S", help="Seconds from one row to the next.")]
LiveWindow = Annotated[
    float | None,
    typer.Option("--window", metavar="S", help="Seconds that each row looks back.  [default: one clip of the weights]"),
]
LiveMinScore = Annotated[
    float,
    typer.Option("--min-score", metavar="P", min=0, max=1, help="Rows whose best class scores less are left out."),
]
OnChange = Annotated[bool, typer.Option("--on-change", help="Only rows whose best class is another than before.")]
Rows = Annotated[int | None, typer.Option("--rows", metavar="N", min=1, help="Stop after N rows.")]
Duration = Annotated[float | None, typer.Option("--duration", metavar="S", help="Stop after S seconds of the stream.")]
Reconnect = Annotated[
    str | None,
    typer.Option(
        "--reconnect",
        metavar="N|always|never",
        help="Tries to open the stream again, in a row; said, it holds for the first try too.  [default: 10 once frames"
        " have come]",
    ),
]
LiveTimeout = Annotated[
    float,
    typer.Option("--timeout", metavar="S", help="Seconds without a frame after which the stream is taken as gone."),
]
Raw = Annotated[
    str | None,
    typer.Option("--raw", metavar="WxH@FPS[:FORMAT]", help="Standard input or pipe has bare pixels, rgb24 by default."),
]
Realtime = Annotated[
    bool, typer.Option("--realtime", help="Let frames through when their time has come: plays a file.")
]
LiveFormat = Annotated[
    Literal["table", "jsonl"] | None,
    typer.Option("--format", help="How rows are written.  [default: table on a terminal, else jsonl]"),
]


@dataclass(frozen=True, kw_only=True)
class WatchArguments(OfNetwork):
    """What stands behind `mvit watch`: each field is an option, with its default."""

    source: SourceArgument
    every: Every = 1.0
    window: LiveWindow = None
    min_score: LiveMinScore = 0.0
    on_change: OnChange = False
    rows: Rows = None
    duration: Duration = None
    reconnect: Reconnect = None
    timeout: LiveTimeout = 30.0
    raw: Raw = None
    realtime: Realtime = False
    labels: Labels = None
    top: Top = 5
    threshold: Threshold = None
    dtype: RunDtype = "auto"
    format: LiveFormat = None

    def options(self) -> "PredictOptions":
        """What is asked of recognition: each row is a window."""
        return replace(
            super().options(),
            labels=self.labels,
            top=self.top,
            threshold=self.threshold,
            window_s=self.window or self.every,
            dtype=self.dtype,
        )


class RowSink(Protocol):
    """Where rows go."""

    def take(self, row: "LiveRow") -> None:
        """Takes a row and gives it on at once."""

    def tell(self, note: str) -> None:
        """Takes a line for people."""


def _watch(asked: WatchArguments) -> None:
    """Say what happens in a stream, as it comes.

    Every --every seconds a row on the newest frames: they never wait in a line, however slow this machine is.
    """
    from mvit_cli.cli.engine import opened_engine
    from mvit_cli.live.address import address_of
    from mvit_cli.live.live_rows import live_row, warm_up
    from mvit_cli.recognition.local_engine import LocalEngine
    from mvit_cli.recognition.planning import planned

    _check(asked)
    address = address_of(asked.source, asked.raw)
    wanted = _wanted(asked, address)
    with opened_engine(planned(asked.options()), None, quiet=asked.quiet) as engine:
        assert isinstance(engine, LocalEngine)
        warm_up(engine)
        with (
            _sink(asked, address, engine) as sink,
            closing(_watching(asked, address, wanted, engine, sink).rows()) as rows,
        ):
            for watched in rows:
                sink.take(live_row(address.name, watched, engine.run))


watch_command = taking(WatchArguments, _watch)


def _check(asked: WatchArguments) -> None:
    for option, value in (
        ("--every", asked.every),
        ("--window", asked.window),
        ("--timeout", asked.timeout),
        ("--duration", asked.duration),
    ):
        if value is not None and not 0.001 <= value < math.inf:
            raise UsageError(f"{option} {value:g} is no time", f"give seconds, as {option} 2")


def _wanted(asked: WatchArguments, address: "Address") -> "Asked":
    """What is wanted of the stream.

    Raises:
        UsageError: it is of a kind that does not come back, or has no time of its own to be let through at.
    """
    from mvit_cli.live.watching import Asked

    if address.kind == "file" and not asked.realtime:
        hint = f"add --realtime to play it, or: mvit predict {address.name} --window {asked.every:g}"
        raise UsageError(f"{address.name} is a file, no stream", hint)
    if address.kind in ("device", "network") and asked.realtime:
        raise UsageError("--realtime plays a file or a pipe; a stream comes in its own time", "drop --realtime")
    if asked.reconnect is not None and address.kind in ("file", "stdin"):
        raise UsageError(f"--reconnect: {address.name} cannot be opened again", "drop --reconnect")
    retries = TRIES if address.comes_back else 0
    return Asked(
        name=address.name,
        every_s=asked.every,
        min_score=asked.min_score,
        on_change=asked.on_change,
        most_rows=asked.rows or math.inf,
        duration_s=asked.duration or math.inf,
        retries=retries if asked.reconnect is None else _tries(asked.reconnect),
        patient=asked.reconnect is not None,
    )


def _tries(text: str) -> float:
    named = {"always": math.inf, "never": 0.0}
    if text in named:
        return named[text]
    if text.isdecimal():
        return float(text)
    raise UsageError(f"--reconnect {text!r} is no number of tries", "give one, as 5, or always, or never")


def _watching(
    asked: WatchArguments, address: "Address", wanted: "Asked", engine: "LocalEngine", sink: RowSink
) -> "Watch":
    from mvit_cli.live.feed import Connection, SystemClock, told_for
    from mvit_cli.live.live_rows import request_of, score_with
    from mvit_cli.live.watching import Watch

    told = told_for(address, request_of(engine), span_s=asked.window, realtime=asked.realtime)

    def connect(base_s: float) -> Connection:
        return Connection(told, asked.timeout, base_s)

    return Watch(connect, score_with(engine), wanted, SystemClock(), sink.tell)


@contextmanager
def _sink(asked: WatchArguments, address: "Address", engine: "LocalEngine") -> Iterator[RowSink]:
    format = asked.format or ("table" if sys.stdout.isatty() else "jsonl")
    if format == "table" and sys.stdout.isatty():
        from mvit_cli.report.watch.live_table import LiveTable

        table = LiveTable(sys.stdout, engine.run, address.name, asked.every)
        with table.showing():
            yield table
    else:
        yield _Lines(format, quiet=asked.quiet)


class _Lines:
    """A row a line, of JSON or of text, given on at once; lines for people go to stderr."""

    def __init__(self, format: Literal["table", "jsonl"], *, quiet: bool) -> None:
        self._format, self._quiet = format, quiet

    def take(self, row: "LiveRow") -> None:
        from mvit_cli.report.predict.writers import to_json
        from mvit_cli.report.tables import write
        from mvit_cli.report.watch.live_table import line_of_row

        if self._format == "table":
            write(line_of_row(row) + "\n", sys.stdout)
        elif sys.stdout.isatty():
            write(printable(to_json(row).decode()) + "\n", sys.stdout)
        else:
            sys.stdout.buffer.write(to_json(row) + b"\n")
        sys.stdout.flush()

    def tell(self, note: str) -> None:
        if not self._quiet:
            tell(note)
