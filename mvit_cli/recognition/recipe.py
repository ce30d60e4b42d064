"""How a network wants to be shown a file: frames, pixels, views, and what its outputs are called."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.presets import get_preset
from mvit_cli.checkpoints.cards import Card, cards_for, labels_of
from mvit_cli.checkpoints.formats.layouts import recognise
from mvit_cli.checkpoints.formats.own_protocol import OwnProtocol, protocol_in
from mvit_cli.checkpoints.formats.reading import answered, read_shapes
from mvit_cli.checkpoints.formats.said import said_by
from mvit_cli.checkpoints.formats.words import Said
from mvit_cli.checkpoints.load import origin_of
from mvit_cli.checkpoints.verification import card_of_file, card_of_origin, classes_are_the_cards
from mvit_cli.errors import CheckpointError, UsageError
from mvit_cli.media.request import MAX_WINDOWS, ReaderChoice, Windows
from mvit_cli.protocol import Activation, Sampling, Transform, Views

VIDEO_MEAN_STD = ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))
"""Of every published video checkpoint. Source: PySlowFast, `DATA.MEAN` and `DATA.STD`."""

IMAGE_MEAN_STD = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Statistics of ImageNet, of every published image checkpoint."""

MAX_FILE_BYTES = 2 << 30
"""Decoded pixels of one file: MViTv2-L takes 0.7e9 bytes in its 15 views."""

ANY_CLIP = ("mmaction2",)
"""Layouts of the code bases that show a network other clips than it was built for, if a file says so."""

PARTS = ("sampling", "statistics", "channels", "resizing", "views", "activation", "labels")
"""Of a protocol, each of which has somebody who says it."""

SMALL_SIDE = 64
"""Of so few pixels none is cut off: pictures of that size are made to be filled."""

NEEDS_MOTION = frozenset({"camera_motion"})
"""Presets for which a still image has no meaning."""


@dataclass(frozen=True)
class Recipe:
    """What stands between a file and the network's scores.

    Attributes:
        labels: class names in the order of the outputs; None where nobody names them.
        stills: whether a still image may stand for a video of equal frames.
        assumptions: what was taken for granted, by part; empty where a card says all of it.
        assumed_of: the card, or the papers, after which it was.
        why: it had to be.
        unfit: what is said for another network.
        windows: how a video is cut, each part to be recognised by itself; None: it is recognised whole.
        activation: what makes scores of the network's outputs; sigmoid's are independent of each other.
        origins: who says each part: sampling, statistics, channels, resizing, views, activation, labels.
    """

    sampling: Sampling
    transform: Transform
    views: Views
    labels: tuple[str, ...] | None
    stills: bool = True
    assumptions: Mapping[str, str] = field(default_factory=dict)
    assumed_of: str = ""
    why: str = ""
    unfit: str = ""
    windows: Windows | None = None
    activation: Activation = "softmax"
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def assumed(self) -> str:
        """A sentence on what was taken for granted, or said for another network; empty where a card says all."""
        parts = list(self.assumptions.values())
        if not parts:
            return self.unfit
        what = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
        return "; ".join(filter(None, (self.unfit, f"{self.why}: assumed as of {self.assumed_of}: {what}")))

    def without_assuming(self, *parts: str) -> "Recipe":
        """The recipe after somebody has said these parts."""
        return replace(self, assumptions={part: text for part, text in self.assumptions.items() if part not in parts})


def recipe_of_card(card: Card) -> Recipe:
    """The test protocol that a card states."""
    return Recipe(
        card.sampling,
        card.preprocess,
        card.views,
        labels_of(card),
        card.preset not in NEEDS_MOTION,
        origins=dict.fromkeys(PARTS, f"card {card.name}"),
    )


def recipe_of_file(path: Path, config: MViTConfig, preset: str | None, weights_key: str | None = None) -> Recipe:
    """The protocol for weights in a file: that of the card whose weights they are, else as the file says.

    Raises:
        CheckpointError: the file contradicts itself, or wants what `predict` cannot do.
    """
    checkpoint = read_shapes(path, weights_key)
    with answered(path):
        layout = recognise({key: tuple(tensor.shape) for key, tensor in checkpoint.tensors.items()})
        own = protocol_in(checkpoint.metadata, config.frames, config.height, config.num_classes)
        if own:
            return recipe_of_protocol(own)
        card = card_of_file(checkpoint, layout, config.num_classes)
        if card and card.preset == preset:
            return recipe_of_card(card)
        same_classes, origin = classes_are_the_cards(checkpoint), card_of_origin(checkpoint)
        if origin and same_classes is None and (origin.preset, origin.labels.classes) == (preset, config.num_classes):
            return _with_names_assumed(recipe_of_card(origin), origin)
        try:
            said = said_by(checkpoint, config.num_classes, config.frames)
            said = replace(said, other_classes=same_classes is False)
            return assumed_recipe(config, preset, said, origin_of(checkpoint, layout))
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error.message}", error.hint) from error


def _with_names_assumed(recipe: Recipe, card: Card) -> Recipe:
    """The protocol of a card, for weights made from its file with what may be another classifier."""
    return replace(
        recipe,
        assumptions={"labels": "class names"},
        assumed_of=card.name,
        why="the weights were converted by an earlier mvit, which did not keep which classifier they had",
        origins={**recipe.origins, "labels": f"assumed as of {card.name}"},
    )


def recipe_of_protocol(own: OwnProtocol) -> Recipe:
    """The protocol that a file of ours states whole."""
    return Recipe(
        own.sampling,
        own.transform,
        own.views,
        own.labels,
        own.stills,
        activation=own.activation,
        origins=dict.fromkeys(PARTS, "the file's metadata"),
    )


def assumed_recipe(
    config: MViTConfig, preset: str | None, said: Said | None = None, layout: str | None = None
) -> Recipe:
    """A protocol for weights without a card: what the file says; the rest from the nearest card, else the papers.

    Args:
        said: what the file states.
        layout: of the file, or of that which it was converted from; published weights of the same one are the nearest.

    Raises:
        CheckpointError: the network takes no square picture, or has one output and a softmax.
    """
    if config.height != config.width:
        raise CheckpointError(
            f"the network takes {config.height}x{config.width} pixels, and predict cuts squares",
            "call the model from Python (mvit_cli.load_model) with clips of that size",
        )
    said = said or Said()
    card = _nearest_card(config, preset, layout)
    base = _borrowed(card, config) if card else _from_papers(config, preset)
    if said.other_classes:
        base = replace(base, labels=None)
    any_clip = layout in ANY_CLIP
    fits = said.sampling is not None and (any_clip or said.sampling.frames == config.frames)
    sampling = said.sampling if fits and said.sampling else base.sampling
    resizing = said.resizing if said.resizing and (any_clip or said.resizing.crop == config.height) else None
    transform = base.transform
    if said.statistics:
        transform = replace(transform, mean=said.statistics[0], std=said.statistics[1])
    if said.channels:
        transform = replace(transform, channels=said.channels)
    if resizing:
        transform = replace(transform, **asdict(resizing))
    assumed = {
        ("statistics", _statistics(transform)): not said.statistics,
        ("channels", "channels (red, green, blue)"): bool(said.statistics) and not said.channels,
        ("resizing", "resizing"): not resizing,
        ("sampling", _described(sampling)): sampling is base.sampling and sampling.method != "image",
        ("views", f"views ({said.views or base.views})"): not said.views and sampling.method != "image",
        ("labels", "class names"): not said.labels and base.labels is not None,
        ("activation", "a sigmoid, as there is one output"): config.num_classes == 1 and not said.activation,
        ("activation", "softmax"): config.num_classes > 1 and not said.activation,
    }
    return replace(
        base,
        sampling=sampling,
        transform=transform,
        views=said.views or base.views,
        labels=said.labels or base.labels,
        assumptions=dict(part for part, is_assumed in assumed.items() if is_assumed),
        assumed_of=card.name if card else "the papers",
        why=f"the weights have no card{f', and {said.missing}' if said.missing else ''}",
        unfit=said.unfit,
        activation=_activation(said, config.num_classes),
        origins=_origins(said, card, {"sampling": sampling is not base.sampling, "resizing": bool(resizing)}),
    )


def _origins(said: Said, card: Card | None, fits: Mapping[str, bool]) -> dict[str, str]:
    """Who says each part.

    Args:
        fits: of parts that the file may state for another network, whether they were taken.
    """
    assumed = f"assumed as of {card.name if card else 'the papers'}"
    places = {part: place for part, place in said.places.items() if fits.get(part, True)}
    return {part: places.get(part, assumed) for part in PARTS}


def _activation(said: Said, num_classes: int) -> Activation:
    if num_classes == 1 and said.activation == "softmax":
        raise CheckpointError(
            "the network has one output and a softmax: its score is 1 whatever it is shown",
            "call the model from Python (mvit_cli.load_model), which gives the output itself",
        )
    return said.activation or ("sigmoid" if num_classes == 1 else "softmax")


def parse_views(text: str) -> Views:
    """`5x1`: clips, then crops.

    Raises:
        UsageError: anything else.
    """
    clips, _, crops = text.lower().partition("x")
    if clips.isdecimal() and int(clips) and crops in ("1", "3"):
        return Views(int(clips), int(crops))
    raise UsageError(f"--views {text!r} is not clips x crops", "for example 5x1: five clips, 1 crop (or 3) of each")


def parse_windows(
    window_s: float | None, hop_s: float | None, reader: ReaderChoice = "auto", most: int = MAX_WINDOWS
) -> Windows | None:
    """`--window`, `--hop`, which is as long as the window unless said otherwise, and `--max-windows`.

    Raises:
        UsageError: no time, a hop without a window, or a reader that cannot read them.
    """
    if window_s is None:
        if hop_s is not None:
            raise UsageError("--hop needs --window", "for example --window 2 --hop 1: two seconds, every second")
        return None
    if reader == "decord":
        raise UsageError("--window reads a video in one pass, which only the reader av does", "leave --reader out")
    try:
        return Windows(window_s, window_s if hop_s is None else hop_s, most)
    except ValueError as error:
        raise UsageError(f"--window, --hop, --max-windows: {error}", "for example --window 2 --hop 1") from error


def in_windows(recipe: Recipe, windows: Windows) -> Recipe:
    """The recipe for a row a window: of each one clip, in its middle, with the crops of the recipe."""
    return replace(recipe, windows=windows, views=replace(recipe.views, clips=1))


def with_views(recipe: Recipe, views: Views) -> Recipe:
    """The recipe with other views.

    Raises:
        UsageError: the pixels of one file would take too much memory.
    """
    numbers = recipe.sampling.frames * recipe.transform.crop**2 * 3
    view_bytes = numbers * (1 if recipe.transform.resize_dtype == "uint8" else 4)
    most = MAX_FILE_BYTES // view_bytes // views.crops
    if views.clips > most:
        raise UsageError(
            f"--views {views}: the pixels of one file would take {views.clips * views.crops * view_bytes / 1e9:.3g} GB",
            f"this network can be shown {most} clips of a file at most, as --views {most}x{views.crops}",
        )
    return replace(recipe, views=replace(views, over=recipe.views.over))


def _nearest_card(config: MViTConfig, preset: str | None, layout: str | None) -> Card | None:
    """Published weights of the preset: of the same layout, else with as many classes, else with as many frames."""
    return max(
        cards_for(preset) if preset else (),
        key=lambda card: (
            card.layout == layout,
            card.labels.classes == config.num_classes,
            card.sampling.frames == config.frames,
        ),
        default=None,
    )


def _borrowed(card: Card, config: MViTConfig) -> Recipe:
    recipe = recipe_of_card(card)
    resize = round(card.preprocess.resize * config.height / card.preprocess.crop)
    return replace(
        recipe,
        sampling=replace(card.sampling, frames=config.frames),
        transform=replace(card.preprocess, resize=resize, crop=config.height),
        labels=recipe.labels if card.labels.classes == config.num_classes else None,
    )


def _from_papers(config: MViTConfig, preset: str | None) -> Recipe:
    image = config.frames == 1
    mean, std = IMAGE_MEAN_STD if image else VIDEO_MEAN_STD
    resize = config.height if config.height <= SMALL_SIDE else round(config.height * 256 / 224)
    transform = Transform(mean, std, resize, config.height)
    stride = get_preset(preset).frame_stride if preset else 4
    sampling = Sampling("image", 1) if image else Sampling("clip", config.frames, stride, 30.0)
    return Recipe(sampling, transform, Views(1, 1) if image else Views(5, 1), None, preset not in NEEDS_MOTION)


def _described(sampling: Sampling) -> str:
    rate = f" at {sampling.fps:g} frames a second" if sampling.fps else ""
    steps = f" with stride {sampling.stride}{rate}" if sampling.steps else ""
    return f"sampling ({sampling.method}: {sampling.frames} frames{steps})"


def _statistics(transform: Transform) -> str:
    mean, std = (
        "/".join(dict.fromkeys(f"{value:g}" for value in values)) for values in (transform.mean, transform.std)
    )
    return f"normalisation (mean {mean}, std {std})"
