"""What other commands and `predict --events` give, as types, like those of `records.py`."""

from typing import Annotated, Literal, NotRequired, TypedDict

from mvit_cli.protocol import Activation, ViewsText
from mvit_cli.records import (
    Counts,
    DtypeName,
    ErrorRow,
    Prediction,
    ReaderName,
    RowError,
    RowTiming,
    Span,
    Summary,
    WindowSpan,
)
from mvit_cli.rules import Amount, Count, Rule, Share, Size

Interval = Annotated[list[Share], Rule("Lower and upper end.", min_items=2, max_items=2)]
OrderName = Literal["in_order", "reversed", "shuffled"]


# mvit eval


class ClassFigures(TypedDict):
    """One class that occurs."""

    label: str
    clips: Count
    top1: Annotated[Share | None, Rule("Of its clips, those that were given it; null where clips have several.")]
    average_precision: NotRequired[Annotated[Share | None, Rule("Where clips have several labels.")]]


class Confused(TypedDict):
    """Clips of one class that were given another."""

    truth: str
    predicted: str
    clips: Count


class Published(TypedDict):
    """What the publisher of the weights says, as shares."""

    weights: str
    dataset: str
    top1: Share | None
    top5: Share | None
    views: str | None
    source: str


class OrderFigures(TypedDict):
    """The same clips with their frames in one order, with --shuffle-frames."""

    order: OrderName
    top1: Share | None
    top5: Share | None
    mean_class: Share | None
    interval95: Interval | None


class Evaluation(TypedDict):
    """How right a network is. Shares are of the clips that could be read, from 0 to 1; null where nothing tells."""

    clips: Annotated[Count, Rule("That have a row.")]
    failed: Annotated[Count, Rule("Of them, those that could not be recognised; the figures leave them out.")]
    missing: Annotated[Count, Rule("Clips of the truth without a row.")]
    top1: Annotated[Share | None, Rule("Where clips have several labels: the best class is one of them.")]
    top5: Annotated[Share | None, Rule("Null with five classes or fewer.")]
    mean_class: Annotated[Share | None, Rule("Mean over the classes of the share of their clips that are right.")]
    map: Annotated[Share | None, Rule("Mean average precision, where clips have several labels.")]
    ece: Annotated[Share | None, Rule("Expected calibration error of the best class, 15 bins.")]
    interval95: Annotated[Interval | None, Rule("Of top1.")]
    interval_method: Annotated[Literal["wilson", "bootstrap"], Rule("bootstrap: by the groups of the truth.")]
    preset: str | None
    weights: str | None
    views: str | None
    per_class: list[ClassFigures]
    confused: Annotated[list[Confused], Rule("The most frequent ones first.")]
    published: Published | None
    orders: NotRequired[list[OrderFigures]]
    notes: list[str]


class Orders(TypedDict):
    """What a row has beside, with --shuffle-frames: predictions of the same clips with other orders of frames."""

    reversed: list[Prediction]
    shuffled: list[Prediction]


# mvit embed


class EmbedderFacts(TypedDict):
    """What made features: the same for all rows of a file; npz and Parquet have it as metadata."""

    preset: str | None
    weights: str
    weights_sha256: Annotated[str | None, Rule("Null for random weights.")]
    views: ViewsText
    stage: Annotated[str | None, Rule("Null: what the classifier sees, after the norm.")]
    format: Literal["float32", "float16"]
    window_s: float | None
    hop_s: float | None
    sampling: dict[str, str | int | float | None]
    transform: dict[str, str | int | float | bool | list[float]]


class EmbeddedRow(TypedDict):
    """An input, or with --window a part of it, and its features."""

    path: str
    path_bytes: NotRequired[Annotated[str, Rule("Of a name that is no Unicode, the exact bytes in base64.")]]
    status: Literal["ok"]
    window: NotRequired[WindowSpan]
    preset: str | None
    weights: str
    views: ViewsText
    clips: list[Span]
    duration_s: Amount
    reader: ReaderName
    warnings: list[str]
    device: str
    dtype: DtypeName
    timing_ms: RowTiming
    embedder: EmbedderFacts
    features: Annotated[list[float], Rule("Mean over the views.", min_items=1)]


class UnembeddedRow(ErrorRow):
    """An input, or with --window a part of it, that gave none."""

    features: None


VectorRow = EmbeddedRow | UnembeddedRow


# mvit similar


class Member(TypedDict):
    """A row of a file of features."""

    path: str
    window: NotRequired[Span]


class Alike(Member):
    """A row that is like the query."""

    score: Annotated[float, Rule("Cosine.", minimum=-1.001, maximum=1.001)]


class Answer(Member):
    """What is most like a query."""

    path_bytes: NotRequired[str]
    status: Literal["ok", "error"]
    similar: NotRequired[Annotated[list[Alike], Rule("Best first.")]]
    error: NotRequired[RowError]


class DuplicateGroup(TypedDict):
    """Rows of which each is like another one of the group, with --duplicates."""

    lowest: Annotated[float, Rule("The lowest cosine of the pairs that made the group.")]
    members: Annotated[list[Member], Rule(min_items=2)]


# mvit export


class Exported(TypedDict):
    """The file that was written."""

    path: str
    format: Literal["onnx", "openvino", "pt2", "torchscript"]
    preset: str | None
    weights: str
    dtype: DtypeName
    batch: Annotated[Size | None, Rule("Clips at a time; null: any number.")]
    bytes: Annotated[Count, Rule("Of all its files.")]
    largest_difference: Annotated[
        float | None, Rule("With --check: between its logits and ours, on three clips.", minimum=0)
    ]


# mvit calibrate


class Calibrated(TypedDict):
    """--format json: the weights that were written, and how exact they are in 8-bit integers."""

    path: str
    preset: str | None
    weights: str
    seen: Annotated[Size, Rule("Files whose numbers the ranges are of.")]
    judged: Annotated[Count, Rule("Files that the difference is of.")]
    failed: Annotated[list[str], Rule("Files that could not be read, and why.")]
    largest_difference: Annotated[float | None, Rule("Between logits of the two; null: not measured.", minimum=0)]
    span: Annotated[float | None, Rule("From the least logit of a view to its greatest, at most.", minimum=0)]
    same_class: Annotated[Share | None, Rule("Of views whose best class is that of float32.")]
    notes: list[str]


# mvit predict --events


class EventRow(TypedDict):
    """What a video shows from when to when: neighbouring windows of one best class, with --events."""

    path: Annotated[str, Rule("As the user named it, or as found below a folder.")]
    path_bytes: NotRequired[Annotated[str, Rule("Of a name that is no Unicode, the exact bytes in base64.")]]
    status: Annotated[Literal["ok"], Rule("Windows that were not recognised are rows with an error.")]
    start_s: Annotated[float, Rule("Of its first window, in seconds of the video.")]
    end_s: Annotated[float, Rule("Of its last window; where the next event begins before that, its start.")]
    label: Annotated[str, Rule("Of the best class; its index where nobody names it.")]
    score: Annotated[Share, Rule("Of this class, the mean over the windows; with --smooth of the smoothed ones.")]
    windows: Annotated[Size, Rule("That were merged.")]


class EventDocument(TypedDict):
    """The events of a run, with --events --format json."""

    model: Annotated[Summary, Rule("The network.")]
    results: Annotated[list[EventRow | ErrorRow], Rule("In the order of the inputs and of their time.")]
    counts: Annotated[Counts, Rule("Of the results.")]


# mvit watch


class LiveRow(TypedDict):
    """What a stream shows at one moment."""

    source: Annotated[str, Rule("As it was named; of an address no user, password or query.")]
    status: Literal["ok"]
    at: Annotated[
        str,
        Rule(
            "When the newest frame came, UTC.",
            pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        ),
    ]
    stream_s: Annotated[Amount, Rule("End of the newest frame, in seconds from the first on.")]
    label: Annotated[str, Rule("Of the best class.")]
    score: Annotated[Share, Rule("Of the best class.")]
    predictions: Annotated[list[Prediction], Rule("Best first.", min_items=1)]
    clips: Annotated[list[Span], Rule("What was shown to the network, in seconds of the stream.", min_items=1)]
    lag_s: Annotated[Amount, Rule("From when the newest frame came to when this row was there.")]
    dropped_frames: Annotated[
        Count, Rule("Since the last row: frames that a faster machine would have shown the network, and this did not.")
    ]
    frames: Annotated[Count, Rule("That came so far; after a reconnection from 0 on.")]
    fps: Annotated[float, Rule("Frames a second.", exclusive_minimum=0)]
    reconnects: Annotated[Count, Rule("How often the stream was opened anew.")]
    preset: str | None
    weights: str
    views: ViewsText
    activation: Activation
    device: str
    dtype: DtypeName
    model_ms: Annotated[Amount, Rule("What the network took, milliseconds.")]
    warnings: list[str]


# --log of mvit predict, embed and eval

LogTime = Annotated[str, Rule("When, in UTC (ISO 8601).")]


class LogStarted(TypedDict):
    """A run begins."""

    time: LogTime
    event: Annotated[Literal["started"], Rule("What happened.")]
    command: Annotated[str, Rule("predict, embed or eval.")]
    options: Annotated[dict[str, str | int | float | bool | list[str] | None], Rule("What is not as usual, by name.")]
    versions: Annotated[dict[str, str], Rule("Of mvit, Python and the libraries that decide scores.")]


class LogWarning(TypedDict):
    """Something is not as it should be, or was assumed."""

    time: LogTime
    event: Annotated[Literal["warning"], Rule("What happened.")]
    path: Annotated[str | None, Rule("The input; null: it holds for all.")]
    track: NotRequired[Annotated[str, Rule("With --boxes: the object of it.")]]
    message: Annotated[str, Rule("What is so.")]


class LogError(TypedDict):
    """An input, or a window of it, has no result."""

    time: LogTime
    event: Annotated[Literal["error"], Rule("What happened.")]
    path: Annotated[str, Rule("The input.")]
    track: NotRequired[Annotated[str, Rule("With --boxes: the object of it.")]]
    kind: Annotated[str, Rule("As of the error rows of `mvit predict`.")]
    message: Annotated[str, Rule("What was wrong.")]


class LogWritten(TypedDict):
    """A file is complete."""

    time: LogTime
    event: Annotated[Literal["written"], Rule("What happened.")]
    path: Annotated[str, Rule("The file.")]
    bytes: Annotated[Count, Rule("Its size.")]


class LogFinished(TypedDict):
    """The run came to its end."""

    time: LogTime
    event: Annotated[Literal["finished"], Rule("What happened.")]
    exit_code: Annotated[Count, Rule("0: every input has its result; 1: some have none.")]
    inputs: Annotated[Count, Rule("Inputs that were done.")]
    rows: Annotated[Count, Rule("Rows that were made.")]
    ok: Annotated[Count, Rule("Rows with a result.")]
    errors: Annotated[dict[str, Count], Rule("Rows without one, by kind.")]
    skipped: Annotated[Count, Rule("Inputs that had their row before.")]
    seconds: Annotated[Amount, Rule("Since the start of the first row.")]


class LogStopped(TypedDict):
    """The run was stopped before its end."""

    time: LogTime
    event: Annotated[Literal["stopped"], Rule("What happened.")]
    exit_code: Annotated[Count, Rule("1: something failed; 2: wrong usage; 130: interrupted; 143: terminated.")]
    message: Annotated[str, Rule("What stopped it.")]
    inputs: Annotated[Count, Rule("Inputs that were done.")]
    rows: Annotated[Count, Rule("Rows that were made.")]
    ok: Annotated[Count, Rule("Rows with a result.")]
    errors: Annotated[dict[str, Count], Rule("Rows without one, by kind.")]
    skipped: Annotated[Count, Rule("Inputs that had their row before.")]
    seconds: Annotated[Amount, Rule("Since the start of the first row.")]
