"""Networks with weights: from a preset, a file or a published checkpoint to a model in eval mode."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.parameters import parameter_shapes
from mvit_cli.arch.presets import get_preset
from mvit_cli.arch.summary import resized
from mvit_cli.checkpoints.cards import default_card
from mvit_cli.checkpoints.formats.cfg import MAX_COUNT
from mvit_cli.checkpoints.formats.clip_size import Geometry, Size
from mvit_cli.checkpoints.formats.facts import Facts, read_facts
from mvit_cli.checkpoints.formats.infer import Inferred, check_preset, infer_config
from mvit_cli.checkpoints.formats.layouts import Layout, recognise, to_canonical, without_wrapper
from mvit_cli.checkpoints.formats.openmmlab import backbone_of, refuse_other_outputs
from mvit_cli.checkpoints.formats.reading import Checkpoint, answered, read_checkpoint
from mvit_cli.checkpoints.formats.settings import read_json
from mvit_cli.checkpoints.formats.shards import is_part
from mvit_cli.errors import CheckpointError

if TYPE_CHECKING:
    import logging

    import torch
    from torch import Tensor

    from mvit_cli.model import MViT

CONFIG_KEY = "mvit_config"
"""Where our own safetensors files keep their configuration (JSON) in the metadata."""


@dataclass(frozen=True)
class Described:
    """A checkpoint in canonical form, and the network it belongs to.

    Attributes:
        origin: layout of the file that it was converted from; else its own.
    """

    tensors: "dict[str, Tensor]"
    layout: Layout
    inferred: Inferred
    origin: str

    @property
    def config(self) -> MViTConfig:
        """Configuration of the network."""
        return self.inferred.config

    def config_for(self, frames: int | None = None, size: Size | None = None) -> MViTConfig:
        """Configuration for other clips than it was trained for.

        Raises:
            ValueError: the network cannot take such clips.
        """
        from mvit_cli.checkpoints.resize import config_for_clips

        return config_for_clips(self.config, resized(self.config, frames, size), self.origin)


def build_model(config: MViTConfig, *, device: "str | torch.device" = "cpu") -> "MViT":
    """The network of a configuration with random weights, in eval mode."""
    import torch

    from mvit_cli.model import MViT

    with torch.device(device):
        return MViT(config).eval()


def load_model(
    preset: str | MViTConfig | None = "B",
    weights: str | Path | None = None,
    *,
    frames: int | None = None,
    size: Size | None = None,
    device: "str | torch.device" = "cpu",
    dtype: "str | torch.dtype | None" = None,
    weights_key: str | None = None,
) -> "MViT":
    """A network in eval mode.

    Args:
        preset: a preset's name, a configuration, or None: the file tells its architecture.
        weights: a file, a card's name (`mvit_b_16x4.tv_k400`), `hf://org/repo[@rev]/file` or `https://...`.
            None: those in the package, where the preset has such, else random ones, with a warning in the log
            `mvit_cli`. `none`: random ones.
        frames, size: another clip geometry than the weights were trained for: position tables are interpolated as the
            code does that they come from. Or the one they were trained for, where the tables do not tell it: positions
            of frames that are not square, or one table for time and space.
        device: where the network is put: `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: of the parameters, `float32` unless given.
        weights_key: the dictionary to take, where a file holds several networks (raw and averaged weights).

    Raises:
        CheckpointError: if the file cannot be read, recognised or fitted.
        DownloadError: if published weights cannot be fetched.
        ValueError: if neither a preset nor weights are given.
    """
    from mvit_cli.checkpoints.find import RANDOM, resolve_weights

    if weights is None and isinstance(preset, str):
        weights = _in_the_package(preset)
    if weights is None or str(weights).lower() == RANDOM:
        if preset is None:
            raise ValueError("load_model needs a preset, weights, or both")
        if weights is None:
            _log().warning("load_model(%r): random weights; weights= names published ones or a file", preset)
        config = get_preset(preset).config if isinstance(preset, str) else preset
        return _placed(build_model(resized(config, frames, size), device=device), device, dtype)

    found = resolve_weights(weights)
    if preset is None and found.card:
        preset = found.card.preset
    return load_file(
        found.path,
        preset,
        overrides=found.overrides,
        frames=frames,
        size=size,
        device=device,
        dtype=dtype,
        weights_key=weights_key,
    )


def _in_the_package(preset: str) -> str | None:
    """The weights that a preset has in the package."""
    card = default_card(get_preset(preset).name)
    return card.name if card and card.source.embedded else None


def _log() -> "logging.Logger":
    import logging

    log = logging.getLogger(__name__.partition(".")[0])
    if not log.handlers:
        log.addHandler(logging.NullHandler())  # whoever wants to read it adds a handler
    return log


def load_file(
    path: str | Path,
    preset: str | MViTConfig | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    frames: int | None = None,
    size: Size | None = None,
    device: "str | torch.device" = "cpu",
    dtype: "str | torch.dtype | None" = None,
    weights_key: str | None = None,
) -> "MViT":
    """The network of one checkpoint file; arguments as in `load_model`, `overrides` are fields of the configuration."""
    described = describe(read_checkpoint(path, weights_key), preset, overrides, (frames, size))
    config = described.config_for(frames, size)
    with answered(path):
        tensors = described.tensors
        if config.tables_thw != described.config.tables_thw:
            from mvit_cli.checkpoints.resize import resize_positions

            _check_fit(parameter_shapes(described.config), described.config, tensors, described.layout, str(path))
            tensors = resize_positions(tensors, described.config, config)
        model = build_model(config, device="meta")
        _load_canonical(model, tensors, described.layout, source=str(path))
    return _placed(model, device, dtype)


def describe(
    checkpoint: Checkpoint,
    preset: str | MViTConfig | None = None,
    overrides: Mapping[str, Any] | None = None,
    asked: Geometry = (None, None),
) -> Described:
    """Recognises a checkpoint: its layout, canonical tensors and configuration.

    Args:
        asked: the clips that the network is wanted for: what tells those it was trained for, where the file does not.

    Raises:
        CheckpointError: naming the file, if any of these cannot be told.
    """
    with answered(checkpoint.path):
        return _described(checkpoint, preset, overrides, asked)


def _described(
    checkpoint: Checkpoint, preset: str | MViTConfig | None, overrides: Mapping[str, Any] | None, asked: Geometry
) -> Described:
    where = str(checkpoint.path)
    try:
        layout = recognise({key: tuple(tensor.shape) for key, tensor in checkpoint.tensors.items()})
        where += f": layout {layout}"
        tensors = to_canonical(checkpoint.tensors, layout)
        inferred = _configuration(checkpoint, tensors, layout, preset, asked)
    except CheckpointError as error:
        hint = (
            "it is a part of a checkpoint: name the .index.json beside it"
            if is_part(checkpoint.path.name)
            else error.hint
        )
        raise CheckpointError(f"{where}: {error.message}", hint) from error
    if overrides:
        inferred = replace(inferred, config=replace(inferred.config, **overrides))
    inferred = replace(inferred, notes=(*checkpoint.notes, *inferred.notes))
    return Described(tensors, layout, inferred, origin_of(checkpoint, layout))


def origin_of(checkpoint: Checkpoint, layout: Layout) -> str:
    """The layout that a file converted by us had before: `NAME (LAYOUT)` in its metadata."""
    before = re.search(r"\(([\w-]+)\)$", checkpoint.metadata.get("converted_from", ""))
    return before[1] if before else layout


def _configuration(
    checkpoint: Checkpoint,
    tensors: "Mapping[str, Tensor]",
    layout: Layout,
    preset: str | MViTConfig | None,
    asked: Geometry,
) -> Inferred:
    if isinstance(preset, MViTConfig):
        return Inferred(preset, "the given configuration")
    facts = read_facts({key: tuple(tensor.shape) for key, tensor in tensors.items()})
    backbone = backbone_of(checkpoint.beside.get("meta")) if layout == "mmaction2" else {}
    if "cls_token" in tensors:
        refuse_other_outputs(backbone)
    stored = checkpoint.metadata.get(CONFIG_KEY)
    if stored is None:
        return infer_config(facts, layout, checkpoint.cfg, preset, asked, backbone)
    config = config_from_json(stored)
    _check_stored_config(config, facts)
    if preset:
        check_preset(config, facts, get_preset(preset))
    return Inferred(config, "the file's metadata")


def config_to_json(config: MViTConfig) -> str:
    """A configuration as the metadata of our safetensors files keeps it."""
    return json.dumps(asdict(config))


def config_from_json(text: str) -> MViTConfig:
    """The inverse of `config_to_json`.

    Raises:
        CheckpointError: if it is not one.
    """
    given = read_json(text, "the configuration in the file's metadata")
    try:
        if unknown := set(given) - {field.name for field in fields(MViTConfig)}:
            raise ValueError(f"no field of it is called {min(unknown)[:80]!r}")
        return MViTConfig(**{name: _tuples(value) for name, value in given.items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"the configuration in the file's metadata is not usable ({error})", "") from error


def _tuples(value: Any) -> Any:
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value


def _check_stored_config(config: MViTConfig, facts: Facts) -> None:
    """That a configuration in the metadata is that of the tensors, before anything is built by it."""
    pairs = [
        ("blocks", sum(config.stage_depths), len(facts.blocks)),
        ("classes", config.num_classes, facts.num_classes),
    ]
    for name, said, seen in pairs:
        if said != seen:
            raise CheckpointError(
                f"the configuration in the file's metadata has {said!r:.40} {name}, its tensors have {seen}",
                "the file was changed by hand; convert the original again",
            )
    if not all(type(value) is int and 1 <= value <= MAX_COUNT for value in config.input_thw):
        raise CheckpointError(
            f"the configuration in the file's metadata is for clips of {'x'.join(map(str, config.input_thw))[:80]}",
            f"frames and pixels go up to {MAX_COUNT}",
        )


def load_state_dict(model: "MViT", state_dict: "Mapping[str, Tensor]") -> None:
    """Loads tensors of any known key layout into a network; strict.

    Raises:
        CheckpointError: naming the layout and the first missing, unexpected and mis-shaped keys.
    """
    tensors = without_wrapper(state_dict)
    layout = recognise({key: tuple(tensor.shape) for key, tensor in tensors.items()})
    reference = next(model.parameters())
    # Placed last: torch joins tensors of the device `meta` by way of its compiler, which takes seconds to import, runs
    # generated code and makes a folder.
    canonical = to_canonical(tensors, layout)
    placed = {key: tensor.to(reference.device, reference.dtype) for key, tensor in canonical.items()}
    _load_canonical(model, placed, layout, source="state dict")


def fitted_names(described: Described, source: str) -> list[str]:
    """Names of the network's parameters, all of which a checkpoint has, and nothing else.

    Raises:
        CheckpointError: naming the first missing, unexpected and mis-shaped keys.
    """
    expected = parameter_shapes(described.config)
    _check_fit(expected, described.config, described.tensors, described.layout, source)
    return list(expected)


def _load_canonical(model: "MViT", tensors: "dict[str, Tensor]", layout: Layout, source: str) -> None:
    """Strict loading without a copy."""
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    found = _check_fit(expected, model.config, tensors, layout, source)
    model.load_state_dict({key: tensors[key] for key in found}, strict=True, assign=True)


def _check_fit(
    expected: Mapping[str, tuple[int, ...]],
    config: MViTConfig,
    tensors: "Mapping[str, Tensor]",
    layout: Layout,
    source: str,
) -> Iterable[str]:
    """Names of the tensors that the network takes.

    Raises:
        CheckpointError: they are not exactly those that it has.
    """
    found = found_shapes(config, tensors, layout)
    problems = mismatches(expected, found)
    if problems:
        is_more = all(found.get(key) == shape for key, shape in expected.items())
        raise CheckpointError(
            f"{source}: recognised as layout {layout}, but it does not fit the network: {'; '.join(problems)}",
            "it holds more than an MViT: what does not change the scores can be taken out, all else belongs to them"
            if is_more
            else "without --preset the architecture is read from the file itself; where it was, the file is incomplete"
            " or of another network",
        )
    return found


def found_shapes(config: MViTConfig, tensors: "Mapping[str, Tensor]", layout: Layout) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that have to fit; MMAction2 keeps a class token even where it is not used."""
    unused = {"cls_token"} if layout == "mmaction2" and not config.cls_token else set()
    return {key: tuple(tensor.shape) for key, tensor in tensors.items() if key not in unused}


def mismatches(expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The first missing, unexpected and mis-shaped keys, a sentence each; empty if all fits."""
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    misshaped = [
        f"{key} {found[key]} instead of {shape}" for key, shape in expected.items() if found.get(key, shape) != shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshaped}
    return [
        f"{len(keys)} {kind} ({', '.join(keys[:3])}{', ...' * (len(keys) > 3)})" for kind, keys in kinds.items() if keys
    ]


def _placed(model: "MViT", device: "str | torch.device", dtype: "str | torch.dtype | None") -> "MViT":
    import torch

    if isinstance(dtype, str):
        named = getattr(torch, dtype, None)
        if not isinstance(named, torch.dtype):
            raise ValueError(f"there is no dtype {dtype!r}: float32, bfloat16 or float16")
        dtype = named
    return model.to(device=device, dtype=dtype or torch.float32)
