"""What the commands write, as types: rows, summaries, profiles. The schemas that `mvit schema` prints are made of them.

Plain typing: nothing heavy is imported. A value's type says what Python gives and takes; a `Rule` beside it says what
the schema tells of it beyond its type: its range, its form, and what it means.
"""

from typing import Annotated, Literal, NotRequired, TypedDict, final

from mvit_cli.explained import ExplainedBlock
from mvit_cli.protocol import Activation, SaidProtocol, ViewsText
from mvit_cli.rules import Amount, Count, Grid, Rule, Share, Size

StageName = Annotated[str, Rule(pattern=r"^(cube1|scale[0-9]+|head)$")]
DtypeName = Literal["float32", "bfloat16", "float16", "int8"]
ReaderName = Literal["decord", "av", "pillow", "memory"]
ErrorKind = Literal["not_found", "unsupported", "empty", "decode", "timeout", "crash", "memory", "internal"]
# fmt: off
LayoutName = Literal[
    "pyslowfast", "pyslowfast-separate-qkv", "pyslowfast-reversible", "mvit-image", "torchvision", "pytorchvideo",
    "mmaction2", "timm",
]
# fmt: on


class Input(TypedDict):
    """The clip that a network takes."""

    frames: Size
    height: Size
    width: Size


class PaperFigures(TypedDict):
    """What the paper prints; gflops are multiply-accumulates of one view, in units of 1e9."""

    gflops: Annotated[float, Rule(exclusive_minimum=0)]
    params_m: Annotated[float, Rule(exclusive_minimum=0)]
    top1: Annotated[float, Rule(minimum=0, maximum=100)] | None
    dataset: str
    views: ViewsText
    source: str


class Stage(TypedDict):
    """Shapes are those of the stage's output; channels and heads those inside its blocks."""

    name: StageName
    blocks: Count
    channels: Size
    heads: Size | None
    thw: Grid
    sequence_length: Annotated[Size, Rule("With the class token, where there is one.")]
    kv_sequence_length: Annotated[Size | None, Rule("In the last block.")]
    params: Count
    macs: Count


class Block(TypedDict):
    """One transformer block: its widths, grids, strides and costs."""

    index: Count
    stage: Annotated[str, Rule(pattern=r"^scale[0-9]+$")]
    dim_in: Size
    dim_out: Size
    heads: Size
    thw_in: Grid
    thw_out: Grid
    kv_thw: Grid
    sequence_length: Size
    kv_sequence_length: Annotated[Size, Rule("What the attention of this block sees.")]
    stride_q: Grid
    stride_kv: Grid
    kernel_q: Annotated[Grid | None, Rule("Null: Q is not pooled.")]
    kernel_kv: Annotated[Grid | None, Rule("Null: K and V are not pooled.")]
    params: Count
    macs: Count


class DescribedWeights(TypedDict):
    """The checkpoint that is described, with --weights."""

    name: str
    path: Annotated[str | None, Rule("Null: the file is not on this machine.")]
    layout: LayoutName
    dtype: str | None
    strides_from: str
    notes: Annotated[list[str], Rule("Habits of its code, and what does not fit.")]
    protocol: NotRequired[Annotated[SaidProtocol | None, Rule("Null: predict refuses it, and a note says why.")]]


class Summary(TypedDict):
    """What a network does to one clip, by stage and by block."""

    preset: Annotated[str | None, Rule("Null for an architecture that is no preset.")]
    input: Input
    num_classes: Size
    params: Count
    macs: Annotated[Count, Rule("Multiply-accumulates of one view.")]
    flops: Annotated[Count, Rule("Twice the MACs.")]
    paper: PaperFigures | None
    note: Annotated[str, Rule("Where papers or public code disagree; may be empty.")]
    stages: Annotated[list[Stage], Rule(min_items=3)]
    blocks: Annotated[list[Block], Rule(min_items=1)]
    weights: NotRequired[DescribedWeights]
    explanation: NotRequired[
        Annotated[
            dict[str, Annotated[str, Rule(min_length=1)]],
            Rule(
                "With --explain: the arithmetic of each row of the table, by its name.",
                pattern=r"^(data|cube1|scale[0-9]+|head)$",
                required=("data", "cube1", "head"),
            ),
        ]
    ]
    explained_blocks: NotRequired[Annotated[list[ExplainedBlock], Rule("With --explain.", min_items=1)]]


class Comparison(TypedDict):
    """Several networks side by side, with --compare."""

    summaries: Annotated[list[Summary], Rule(min_items=2)]


class Run(TypedDict):
    """What all rows of a run share."""

    preset: str | None
    weights: str
    views: str
    activation: Activation
    device: str
    dtype: DtypeName


class Span(TypedDict):
    """Seconds of the video."""

    start_s: float
    end_s: float


class WindowSpan(Span):
    """Seconds of the video that a row is about."""

    last: NotRequired[Annotated[bool, Rule("No window follows, although the video goes on: --hop is longer.")]]


class PartSpan(TypedDict):
    """Seconds of the file that a row is about, as a list of clips says."""

    start_s: Amount
    end_s: Annotated[Amount | None, Rule("Null: to its end.")]


class Prediction(TypedDict):
    """A class and how sure the network is of it."""

    index: Annotated[Count, Rule("Class of the checkpoint.")]
    label: Annotated[str, Rule("Its name; its index where nobody names it.")]
    score: Share


class RowTiming(TypedDict):
    """Milliseconds that decoding and the network took."""

    decode: Amount
    model: Amount


class OkRow(TypedDict):
    """An input, or with --window a part of it, that was recognised."""

    path: Annotated[str, Rule("As the user named it, or as found below a folder.")]
    path_bytes: NotRequired[Annotated[str, Rule("Of a name that is no Unicode, the exact bytes in base64.")]]
    track: NotRequired[Annotated[str, Rule("With --boxes: the object that was cut out, by its id.")]]
    boxes_digest: NotRequired[Annotated[str, Rule("Of its boxes, as shown.", pattern=r"^[0-9a-f]{16}$")]]
    status: Literal["ok"]
    part: NotRequired[Annotated[PartSpan, Rule("Of a list with start_s or end_s: the part that was looked at.")]]
    window: NotRequired[Annotated[WindowSpan, Rule("The part of the video, with --window.")]]
    preset: Annotated[str | None, Rule("Null for an architecture that is no preset.")]
    weights: str
    views: ViewsText
    activation: Annotated[Activation, Rule("softmax: scores sum to 1; sigmoid: each score is for itself.")]
    predictions: Annotated[list[Prediction], Rule("Best first.", min_items=1)]
    clips: Annotated[list[Span], Rule("What was shown to the network.", min_items=1)]
    duration_s: Annotated[Amount, Rule("Of the whole file; 0 for a still image.")]
    reader: Annotated[ReaderName, Rule("The library that gave the frames.")]
    warnings: Annotated[list[str], Rule("What is not as it should be, or was assumed.")]
    device: Annotated[str, Rule(pattern=r"^(cpu|mps|cuda(:[0-9]+)?)$")]
    dtype: DtypeName
    timing_ms: RowTiming


class RowError(TypedDict):
    """What was wrong with a file."""

    kind: ErrorKind
    message: str
    hint: NotRequired[Annotated[str, Rule("What to do next.")]]


class ErrorRow(TypedDict):
    """An input, or with --window a part of it, that was not."""

    path: Annotated[str, Rule("As the user named it, or as found below a folder.")]
    path_bytes: NotRequired[Annotated[str, Rule("Of a name that is no Unicode, the exact bytes in base64.")]]
    track: NotRequired[Annotated[str, Rule("With --boxes: the object that was cut out, by its id.")]]
    boxes_digest: NotRequired[Annotated[str, Rule("Of its boxes, as shown.", pattern=r"^[0-9a-f]{16}$")]]
    status: Literal["error"]
    part: NotRequired[Annotated[PartSpan, Rule("Of a list with start_s or end_s: the part that was looked at.")]]
    window: NotRequired[Annotated[WindowSpan | None, Rule("With --window; null: the file gave no window at all.")]]
    error: RowError
    duration_s: NotRequired[Annotated[Amount, Rule("Of the file, beside a window.")]]


Row = OkRow | ErrorRow


class Counts(TypedDict):
    """Rows by status."""

    ok: Count
    error: Count


class PredictDocument(TypedDict):
    """--format json: all rows, in the order of the inputs."""

    model: Summary
    results: list[Row]
    counts: Counts


class ProfiledDevice(TypedDict):
    """Where the network ran."""

    type: Literal["cpu", "cuda", "mps"]
    name: str
    threads: Size


class MachineRates(TypedDict):
    """The best rates measured, for one number format and number of threads."""

    dtype: DtypeName
    threads: Size
    gmacs_per_s: Amount
    copy_gb_per_s: Amount
    cache_gb_per_s: Annotated[Amount | None, Rule("Null on a GPU.")]


class Quantiles(TypedDict):
    """Milliseconds of a forward pass."""

    median: Amount
    p10: Amount
    p90: Amount


OperatorClass = Literal[
    "linear", "attention", "pooling", "patches", "norm", "activation", "addition", "copy", "other", "between"
]


class StageCost(TypedDict):
    """A stage's part of a pass."""

    name: StageName
    latency_ms: Amount
    share: Share
    macs: Count
    achieved_gmacs_per_s: Amount
    executed_macs: Count
    executed_gmacs_per_s: Amount
    operators_ms: Annotated[
        dict[OperatorClass, Amount], Rule("Time of each class of operators in the stage, and between them.")
    ]


OperatorCost = TypedDict(  # "class" is a word of Python's
    "OperatorCost",
    {
        "class": OperatorClass,
        "calls": Count,
        "latency_ms": Amount,
        "share": Share,
        "macs": Annotated[Count, Rule("Of one clip.")],
        "gmacs_per_s": Amount,
        "bytes": Annotated[Count, Rule("Of the whole batch.")],
        "gb_per_s": Amount,
        "macs_per_byte": Amount | None,
        "compute_utilization": Amount,
        "memory_utilization": Amount,
        "bound": Literal["compute", "memory"] | None,
    },
)


class TimerCosts(TypedDict):
    """Runs with something attached, and how much longer they took: 0.02 is 2 %."""

    stage_runs: Count
    stage_cost: Annotated[float, Rule(minimum=-1)] | None
    operator_runs: Count
    operator_cost: Annotated[float, Rule(minimum=-1)] | None


@final
class ProfileResult(TypedDict):
    """What one batch size, number format and number of threads cost."""

    batch_size: Size
    dtype: DtypeName
    threads: Size
    runs: Size
    warm_up_runs: Size
    latency_ms: Quantiles
    noise: Annotated[
        Amount, Rule("Share of the median: from p10 to p90, or what the stages' sum is off it, if that is more.")
    ]
    processor_share: Annotated[
        Amount | None, Rule("Processor time of all threads, as a share of what they could have had; null on a GPU.")
    ]
    clips_per_s: Amount
    peak_memory_bytes: Count | None
    resting_memory_bytes: Annotated[Count | None, Rule("Before the first batch: libraries and weights.")]
    macs: Count
    achieved_gmacs_per_s: Amount
    machine_gmacs_per_s: Amount
    utilization: Amount
    executed_macs: Annotated[
        Count, Rule("What the operators did for one clip: on the fast path less than the architecture asks for.")
    ]
    executed_gmacs_per_s: Amount
    executed_utilization: Amount
    stages: Annotated[list[StageCost], Rule("Empty where the network is compiled.")]
    operators: Annotated[
        list[OperatorCost], Rule("Empty where the network is compiled; the last entry is the time between operators.")
    ]
    timers: TimerCosts


@final
class ProfileFailure(TypedDict):
    """A batch that does not fit, and why."""

    batch_size: Size
    dtype: DtypeName
    threads: Size
    error: Annotated[str, Rule(min_length=1)]


class Phase(TypedDict):
    """A part of a run of `mvit predict`."""

    name: str
    ms: float
    share: float


class Phases(TypedDict):
    """A run of `mvit predict`, part by part."""

    total_ms: Amount
    phases: Annotated[list[Phase], Rule(min_items=1)]


class EndToEnd(TypedDict):
    """Where the time of mvit predict FILE goes; only with --input."""

    file: str
    weights: str
    views: Annotated[str, Rule(pattern=r"^[0-9]+x[13]$")]
    batch_size: Size
    duration_s: Amount
    reader: ReaderName
    cold: Annotated[Phases, Rule("A new process.")]
    warm: Annotated[Phases, Rule("A file more in the same process.")]
    decoding_ms: Amount
    recognising_ms: Amount


class Profile(TypedDict):
    """What a network costs on one machine; macs are those of one clip."""

    preset: str
    device: ProfiledDevice
    dtype: DtypeName
    network: Annotated[Literal["fast", "plain"], Rule("fast: the path that predict runs.")]
    compiled: bool
    input: Input
    machine: Annotated[list[MachineRates], Rule(min_items=1)]
    results: Annotated[list[ProfileResult | ProfileFailure], Rule(min_items=1)]
    end_to_end: NotRequired[EndToEnd]
    notes: list[str]
