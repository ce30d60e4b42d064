"""What `mvit train` writes, as types, beside those of `records.py`."""

from typing import Annotated, Literal, TypedDict

from mvit_cli.rules import Count, Rule, Share, Size


class Accuracy(TypedDict):
    """How good the weights are on some clips; what does not apply is null."""

    clips: Size
    top1: Share | None
    top5: Annotated[Share | None, Rule("Null with five classes or fewer.")]
    mean_class: Annotated[Share | None, Rule("Mean over the classes of their top-1.")]
    map: Annotated[Share | None, Rule("Mean average precision, where a clip may have several labels.")]
    interval95: Annotated[list[Share], Rule("Of top1, or of map.", min_items=2, max_items=2)]
    interval_method: Annotated[
        Literal["wilson", "bootstrap"], Rule("bootstrap: over the groups of the split, or of map over the clips.")
    ]


class Metrics(TypedDict):
    """The figures by part of the data; null: there is no such part."""

    val: Annotated[Accuracy, Rule("It also chose what is kept, so that it is a little too good.")]
    val_without_leaks: Annotated[Accuracy | None, Rule("Without the clips that are nearly those learned from.")]
    test: Annotated[Accuracy | None, Rule("Of clips that nothing was chosen by.")]
    test_without_leaks: Annotated[Accuracy | None, Rule("The same for test.")]


class TrainedClips(TypedDict):
    """Clips by part that could be read."""

    train: Size
    val: Size
    test: Count


class TrainedSplit(TypedDict):
    """How clips came to be kept apart."""

    method: Literal["given", "stratified", "grouped"]
    seed: int
    groups: Annotated[Count, Rule("That were kept together; 0: each clip was for itself.")]


class LeakedClip(TypedDict):
    """A clip that is kept apart, and the one it is nearly the same as that was learned from."""

    path: str
    learned: str
    part: Literal["val", "test"]
    correlation: Annotated[
        Share | None, Rule("Of their thumbnails, grey and 16x16, of three moments; null: less than of the same clip.")
    ]
    distance: Annotated[float, Rule("Of their features, as a share of the median one between clips.", minimum=0)]


class FailedClip(TypedDict):
    """A clip that could not be read."""

    path: str
    kind: str
    message: str


class Baseline(TypedDict):
    """What is reached without looking."""

    majority: Annotated[Share, Rule("On val, by saying the most frequent class; with several labels its map.")]


class Trained(TypedDict):
    """--format json: the weights that were made, of what, and how good they are."""

    weights: str
    method: Literal["probe", "full"]
    started_from: Annotated[str, Rule("Name of the weights.")]
    preset: str | None
    classes: Annotated[list[str], Rule(min_items=2)]
    activation: Literal["softmax", "sigmoid"]
    clips: TrainedClips
    split: TrainedSplit
    metrics: Metrics
    leaks: list[LeakedClip]
    failed: list[FailedClip]
    baseline: Baseline
    chosen: Annotated[dict[str, float | int | str], Rule("On validation: inputs and regularisation, or the epoch.")]
    notes: list[str]
