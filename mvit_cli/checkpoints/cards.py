"""Cards: what is known of each published checkpoint, one TOML file each in `weights/`.

A card is named `preset.tag` (`mvit_b_16x4.tv_k400`); its file is the name plus `.toml`, its label list a file of
`weights/labels/`, one class a line. Reading is strict: an unknown or missing key, a wrong type, a preset, label list or
field nobody knows is an error that names the file and the key. "?" marks what may be left out:

    name = "mvit_b_16x4.tv_k400"
    preset = "mvit_b_16x4"
    default = true                       # ? the weights taken when only the preset is named; one card a preset
    layout = "torchvision"               # key layout of the file, one of layouts.LAYOUTS; "pyslowfast" is our own
    licence = "..."
    notes = ["..."]                      # ? what surprises in this checkpoint, a sentence each

    [source]                             # one of the three forms
    hub = "org/repo"                     # 1. a file of a Hugging Face Hub repository ...
    file = "model.safetensors"
    revision = "main"
    url = "https://..."                  # 2. a file behind a URL
    embedded = "camera_motion.safetensors"   # 3. a file shipped inside `weights/`
    sha256 = "64 hex digits"             # ? or
    sha256_prefix = "8 or more digits"   # ? where only the start is published
    size_bytes = 146553176               # ? exact, or
    size_mb = 146.553                    # ? as published, in 1e6 bytes

    [labels]
    dataset = "kinetics400"
    classes = 400
    list = "kinetics400"                 # ? weights/labels/kinetics400.txt; without it predictions show the index
    order = "published"                  # or "assumed": no source states this file's class order
    definitions = { pan_left = "..." }   # ? class name -> what it means

    [preprocess]                         # handed on to `media` as it is; RGB, values 0 to 1
    mean = [0.45, 0.45, 0.45]
    std = [0.225, 0.225, 0.225]
    resize = 256                         # short side, px
    crop = 224                           # px
    interpolation = "bilinear"           # or "bicubic"
    antialias = false
    resize_dtype = "uint8"               # or "float": what the resize computes on
    rule = "torchvision"                 # ? or "mmaction2": how sizes are rounded and crops are placed
    channels = "rgb"                     # ? or "bgr": the order the network is shown; mean and std are of red first

    [sampling]
    method = "resampled"                 # as of `protocol.Sampling`
    frames = 16
    stride = 1                           # frames of the `fps` (or native) time line from one sampled frame to the next
    fps = 7.5                            # ? the rate the file is read at, of "clip", "leading" and "resampled"
    past_end = "hold"                    # ? "loop", "hold" or "repeat", where it is not what the method usually does

    [views]                              # test protocol: clips x crops
    clips = 5
    crops = 1
    over = "mean"                        # ? or "max": of the scores of the views

    [reported]                           # ? figures of the publisher; may lack any but `dataset` and `source`
    dataset = "kinetics400"
    top1 = 78.477
    top5 = 93.582
    gmacs = 70.599                       # one view
    params_m = 36.610672
    views = "5x1"
    source = "where the figures stand"

    [overrides]                          # ? MViTConfig fields that differ from the preset and that the file cannot tell
    [evaluation]                         # ? our own measurements: name -> number, text or table of the same
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import mvit_cli.weights
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.presets import plain_name, preset_names
from mvit_cli.checkpoints.fetch.place import Source
from mvit_cli.checkpoints.formats.layouts import LAYOUTS
from mvit_cli.checkpoints.labels import read_labels
from mvit_cli.errors import CheckpointError, UsageError
from mvit_cli.protocol import Sampling, Transform, Views

T = TypeVar("T")

STATED = frozenset({"stride", "interpolation", "antialias", "resize_dtype"})
"""Keys that a card has even where the protocol knows what is usual."""


@dataclass(frozen=True)
class Labels:
    """The classes a checkpoint tells apart."""

    dataset: str
    classes: int
    order: Literal["published", "assumed"]
    list: str | None = None
    definitions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reported:
    """Figures the publisher gives, per cent and for one view; all of them from `source`."""

    source: str
    dataset: str
    top1: float | None = None
    top5: float | None = None
    gmacs: float | None = None
    params_m: float | None = None
    views: str | None = None


@dataclass(frozen=True)
class Card:
    """One published checkpoint. See the module's docstring for each part."""

    name: str
    preset: str
    layout: str
    licence: str
    source: Source
    labels: Labels
    preprocess: Transform
    sampling: Sampling
    views: Views
    default: bool = False
    notes: tuple[str, ...] = ()
    reported: Reported | None = None
    overrides: Mapping[str, object] = field(default_factory=dict)
    evaluation: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name != plain_name(self.name) or not self.name.startswith(self.preset + "."):
            raise ValueError(f"key 'name': {self.name!r} is not the preset, a dot and a tag in small letters")
        if self.layout not in LAYOUTS:
            raise ValueError(f"key 'layout': {self.layout!r} is none of {', '.join(LAYOUTS)}")


def weights_dir() -> Path:
    """The folder of cards, label lists and the embedded checkpoint."""
    return Path(mvit_cli.weights.__path__[0])


def card_names() -> list[str]:
    """Names of all cards, sorted; reads the folder only."""
    return sorted(path.stem for path in weights_dir().glob("*.toml"))


def load_card(name: str) -> Card:
    """The card of that name, or the usual one of a preset of that name; case does not matter and `-` is `_`.

    Raises:
        UsageError: no card has that name.
        CheckpointError: the card's file is not what the schema says.
    """
    wanted = plain_name(name)
    names = card_names()
    if wanted not in names and (meant := _of_preset(name)):
        return meant
    if wanted not in names:
        near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
        raise UsageError(
            f"no weights are named {name!r}",
            (f"nearest: {', '.join(near)}; " if near else "") + "`mvit weights list` shows all",
        )
    return read_card(weights_dir() / f"{wanted}.toml")


def _of_preset(name: str) -> Card | None:
    """The card that is meant where a preset is named: `B`, `camera`."""
    from mvit_cli.arch.presets import get_preset

    try:
        return default_card(get_preset(name).name)
    except UsageError:
        return None


def cards_for(preset: str) -> list[Card]:
    """All cards of a preset (its full name), the default first."""
    prefix = plain_name(preset) + "."
    cards = [load_card(name) for name in card_names() if name.startswith(prefix)]
    return sorted(cards, key=lambda card: not card.default)


def default_card(preset: str) -> Card | None:
    """The weights meant when only the preset is named; None where nothing was published for it."""
    return next((card for card in cards_for(preset) if card.default), None)


def read_card(path: Path) -> Card:
    """Reads and checks one card file.

    Raises:
        CheckpointError: names the file and the key that is wrong.
    """
    try:
        with path.open("rb") as stream:
            card = _from_table(Card, tomllib.load(stream), "")
        _check_names(card, path)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path.name}: {error}", "the schema of cards stands in mvit_cli/checkpoints/cards.py"
        ) from error
    return card


def labels_of(card: Card) -> tuple[str, ...] | None:
    """Class names in the order of the checkpoint's outputs; None where the card has no list.

    Raises:
        CheckpointError: the list is unreadable or has another number of classes than the card.
    """
    if card.labels.list is None:
        return None
    names = read_labels(_label_file(card.labels.list))
    if len(names) != card.labels.classes:
        raise CheckpointError(f"{card.name}: {card.labels.classes} classes but {len(names)} labels")
    return names


def _label_file(name: str) -> Path:
    return weights_dir() / "labels" / f"{name}.txt"


def _check_names(card: Card, path: Path) -> None:
    """Checks what a card names elsewhere: its file, preset, overridden fields, label list, embedded checkpoint."""
    if path.stem != card.name:
        raise ValueError(f"key 'name': {card.name!r} is not the file's name")
    if card.source.url is not None and not card.source.url.startswith("https://"):
        raise ValueError(f"key 'source.url': {card.source.url!r} is not an https address")
    if card.preset not in preset_names():
        raise ValueError(f"key 'preset': no preset is named {card.preset!r}")
    for key in card.overrides.keys() - {part.name for part in fields(MViTConfig)}:
        raise ValueError(f"unknown key 'overrides.{key}': MViTConfig has no such field")
    if card.labels.list is not None and not _label_file(card.labels.list).is_file():
        raise ValueError(f"key 'labels.list': no file {card.labels.list}.txt among the label lists")
    if card.source.embedded is not None and not (path.parent / card.source.embedded).is_file():
        raise ValueError(f"key 'source.embedded': no file {card.source.embedded} beside the card")


def _from_table(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """A TOML table as the dataclass `kind`, whose fields are the table's only keys."""
    hints = get_type_hints(kind)
    wanted = {part.name: part for part in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in wanted:
            raise ValueError(f"unknown key '{where}{key}'")
    for key, part in wanted.items():
        optional = part.default is not MISSING or part.default_factory is not MISSING
        if key not in table and (key in STATED or not optional):
            raise ValueError(f"missing key '{where}{key}'")
    values = {key: _typed(hints[key], value, f"{where}{key}") for key, value in table.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"[{where[:-1]}] {error}" if where else str(error)) from None


def _typed(hint: Any, value: Any, key: str) -> Any:
    """`value` if TOML gave what the field's type says, made immutable; lists become tuples."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):  # `X | None`: TOML has no null, so the key's absence means None
        return _typed(next(arg for arg in args if arg is not NoneType), value, key)
    if hasattr(hint, "__dataclass_fields__") and isinstance(value, dict):
        return _from_table(hint, value, key + ".")
    if origin is Literal and value in args:
        return value
    if origin is tuple and isinstance(value, list) and (args[-1] is ... or len(args) == len(value)):
        return tuple(_typed(args[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {name: _typed(args[1], item, f"{key}.{name}") for name, item in value.items()}
    if hint is object:
        return _frozen(value)
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    wanted = " or ".join(map(repr, args)) if origin is Literal else getattr(hint, "__name__", str(hint))
    raise ValueError(f"key '{key}': {value!r} is not {wanted}")


def _frozen(value: Any) -> Any:
    """Lists of a free-form table as tuples, at any depth."""
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return {key: _frozen(item) for key, item in value.items()} if isinstance(value, dict) else value
