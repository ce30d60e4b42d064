"""Options of `mvit predict` that no other command has."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from mvit_cli.cli.sink import Format

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Video or image, folder, quoted glob, shard.tar or .zip, https://... or s3://..., "
        "@list.txt (a path per line), or - (paths on standard input).",
        show_default=False,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="Class names, one per line or JSON.  [default: the weights']"),
]
Top = Annotated[int, typer.Option("--top", "-k", metavar="K", min=1, help="Classes per input.")]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold", metavar="P", help="All classes with this score or more, and the best, instead of --top."
    ),
]
Views = Annotated[
    str | None,
    typer.Option("--views", metavar="CxS", help="Clips x crops to average, as 5x1.  [default: the weights' protocol]"),
]
Window = Annotated[
    float | None,
    typer.Option(
        "--window", metavar="S", help="A row for each window of S seconds of a video, instead of one for all."
    ),
]
Hop = Annotated[
    float | None,
    typer.Option("--hop", metavar="S", help="Seconds from the start of a window to the next.  [default: --window]"),
]
MaxWindows = Annotated[
    int,
    typer.Option("--max-windows", metavar="N", min=1, help="Rows of one video; the rest is one error."),
]
BatchSize = Annotated[str, typer.Option("--batch-size", metavar="N|auto", help="Views that go through together.")]
Workers = Annotated[str, typer.Option("--workers", metavar="N|auto", help="Processes that decode.")]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="S",
        help="Seconds that a file may take to decode; with --window each one, and the file 0.1 s per frame more.",
        show_default="60",
    ),
]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="The same scores to the bit in every run; rows may wait for a batch to fill."),
]
Reader = Annotated[
    Literal["auto", "decord", "av"],
    typer.Option(
        "--reader", help="Library that fetches frames; auto takes decord where it is proved right, else PyAV."
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", help="How rows are written.  [default: table on a terminal, else jsonl or --output's suffix]"
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="NAME,...",
        help="Columns of csv and tsv, as path,label_1,score_1,warnings.  [default: most]",
    ),
]
CsvSafe = Annotated[
    bool,
    typer.Option(
        "--csv-safe",
        help="For spreadsheets: in csv and tsv a cell that begins like a formula (= + - @ tab CR) gets a ' in front.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write rows here, not to stdout; s3:// and the like too."),
]
OutputParts = Annotated[
    int | None,
    typer.Option("--output-parts", metavar="N", min=1, help="Write rows in parts of N: rows.00000.jsonl and so on."),
]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Write a page too: frames, classes, timings, network (HTML)."),
]
EventsOption = Annotated[
    bool,
    typer.Option("--events", help="With --window: a row for neighbouring windows of one class, not for each window."),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        "--min-score",
        metavar="P",
        min=0,
        max=1,
        help="With --window, of events, tables, subtitles, pictures, pages and videos: what scores less is left out.",
    ),
]
Smooth = Annotated[
    float | None,
    typer.Option(
        "--smooth",
        metavar="S",
        min=0,
        help="Of the same: scores are means over S seconds around.",
    ),
]
Heatmap = Annotated[
    str | None,
    typer.Option(
        "--heatmap",
        metavar="[DIR]",
        help="Where the best class was seen: pictures and numbers of each row in DIR, and a row of heat in --report; "
        "in that alone where no DIR follows.",
    ),
]
HeatmapMethod = Annotated[
    Literal["gradient", "split", "rollout"] | None,
    typer.Option(
        "--heatmap-method",
        help="gradient: exact, by patches; split: of the last tokens' mean; rollout: of a class token.",
        show_default="gradient",
    ),
]
Timeline = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="With --window: draw the timeline, .svg, .png or .pdf (NAME.dark.svg: on dark ground); needs mvit[plot].",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Keep the rows that --output has (JSON lines, csv, tsv), do only inputs without one."
    ),
]
RetryErrors = Annotated[
    bool, typer.Option("--retry-errors", help="With --resume: drop the rows that are errors, do their inputs again.")
]
AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty", help="Nothing to do is no error: an empty list, folder or standard input.")
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first input that fails.")]
Null = Annotated[bool, typer.Option("--null", "-0", help="Paths of - and @list end with NUL, not with a line break.")]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only the I-th (from 0) of N parts of the inputs; auto takes both from the job's environment.",
    ),
]
NoStages = Annotated[bool, typer.Option("--no-stages", help="Leave the table of stages out.")]
