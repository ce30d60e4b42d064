"""From what was asked to a network that is ready for files, in two steps.

`plan` does what needs neither torch nor the network: it finds the weights, checks all that can be checked, and knows
what the rows will say of themselves. A plan is plain values: another process can be handed it. `Plan.open` fetches the
weights and puts the network on its device.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.presets import Preset, get_preset
from mvit_cli.arch.summary import preset_of, resized, summarize_config
from mvit_cli.checkpoints.labels import LabelList, read_label_list
from mvit_cli.checkpoints.resize import config_for_clips
from mvit_cli.errors import CheckpointError, MViTError, UsageError
from mvit_cli.media.request import Windows
from mvit_cli.protocol import Views
from mvit_cli.recognition.choice import Choice, choose
from mvit_cli.recognition.device import INT8, check_device_name, pick_device, pick_dtype, slower_than_another
from mvit_cli.recognition.local_engine import LocalEngine, request_for
from mvit_cli.recognition.options import Auto, PredictOptions
from mvit_cli.recognition.proportion import refuse_out_of_proportion, refuse_without_memory
from mvit_cli.recognition.recipe import (
    Recipe,
    assumed_recipe,
    in_windows,
    parse_views,
    parse_windows,
    recipe_of_card,
    recipe_of_file,
    with_views,
)
from mvit_cli.recognition.running import compiled_for, kept_in, way_to_run
from mvit_cli.recognition.scoring import Scorer, auto_batch_size, free_memory, memory_of_view
from mvit_cli.recognition.shown import Otherwise
from mvit_cli.records import DtypeName, Summary

if TYPE_CHECKING:
    import torch

    from mvit_cli.media.request import DecodeRequest
    from mvit_cli.media.sources import Source
    from mvit_cli.model import MViT

RANDOM_WEIGHTS = "random weights: the predictions mean nothing"


class Identity(TypedDict):
    """What is the same for all rows of a file, and must be for those that a later run adds; None: not known yet."""

    preset: str | None
    weights: str
    views: str | None


@dataclass(frozen=True)
class Plan:
    """One run, as far as it is known before anything heavy is done.

    Attributes:
        options: what was asked.
        choice: the network and its weights.
        preset: the architecture; None: the checkpoint file tells it.
        labels: class names that were asked for; none: those of the weights.
        views: views that were asked for; None: those of the protocol.
        windows: how videos are cut; None: they are taken whole.
    """

    options: PredictOptions
    choice: Choice
    preset: Preset | None
    labels: LabelList
    views: Views | None
    windows: Windows | None

    @property
    def otherwise(self) -> Otherwise:
        """What was asked otherwise than the weights want it."""
        asked = self.options
        return Otherwise(asked.mean, asked.std, asked.frames, asked.fps, asked.size)

    @property
    def identity(self) -> Identity:
        """What the rows will say of themselves; of a file of one's own, what the file alone tells is None."""
        views = self.views
        if views is None and self.preset and (self.choice.card or not self.choice.weights):
            views = self.recipe().views
        return {
            "preset": self.preset.name if self.preset else None,
            "weights": self.choice.name,
            "views": str(views) if views else None,
        }

    def open(self, *, progress: bool = False) -> LocalEngine:
        """The network with its weights on its device: the weights are fetched first, then torch is loaded.

        Args:
            progress: show a download on stderr.

        Raises:
            CheckpointError: weights that cannot be read or do not fit.
            DownloadError: weights that cannot be fetched.
            MViTError: a device that is not there.
        """
        return self.around(*self.network(progress))

    def around(
        self, model: "MViT", device: "torch.device", dtype: "torch.dtype", path: Path | None = None
    ) -> LocalEngine:
        """What stands around a network that is on its device already; `path` is the file of its weights."""
        import torch

        options = self.options
        wanted = self._wanted(model.config, path)
        recipe = self.asked_of(wanted, model.config.num_classes)
        _show_clips_of(model, recipe, asked=bool(self.otherwise.said))
        summary = summarize_config(model.config, self.preset or preset_of(model.config))
        batch_size = options.batch_size
        if batch_size == "auto":
            side_by_side = options.fast and not options.compiled
            batch_size = _auto_batch_size(
                model.config, summary["macs"], device, dtype, side_by_side, options.deterministic
            )
        if path and not self.choice.card:
            batch_bytes = min(batch_size, recipe.views.clips * recipe.views.crops) * memory_of_view(model.config, 4)
            if self.views is None:
                file_bytes = path.stat().st_size
                refuse_out_of_proportion(model.config, recipe.views, summary["macs"], batch_bytes, file_bytes)
            held_here = batch_bytes if device.type == "cpu" else 0
            there = free_memory(torch.device("cpu"), all_of_it=True)
            refuse_without_memory(model.config, recipe.views, held_here, there)
        way = way_to_run(model, options, dtype, path)
        runs = compiled_for(way.runs, model.config, batch_size, device, dtype) if options.compiled else way.runs
        assumed = recipe.assumed if self.choice.weights else RANDOM_WEIGHTS
        slow = slower_than_another(options.dtype, device)
        scorer = Scorer(
            runs,
            recipe.transform,
            device,
            dtype,
            batch_size,
            way.reference,
            options.compiled,
            recipe.activation,
            options.deterministic,
            recipe.views.over,
        )
        notes = (assumed, self.otherwise.note(wanted), self.labels.note, slow, way.note)
        return replace(self.engine_of(scorer, recipe, summary, notes), plain=way.plain)

    def engine_of(
        self, scorer: Scorer, recipe: Recipe, summary: Summary, notes: "tuple[str | None, ...]"
    ) -> LocalEngine:
        """The engine around a network that is ready to score, and what its rows say of themselves."""
        options = self.options
        return LocalEngine(
            options=options,
            recipe=recipe,
            run={
                "preset": summary["preset"],
                "weights": self.choice.name,
                "views": str(recipe.views),
                "activation": recipe.activation,
                "device": str(scorer.device),
                "dtype": cast("DtypeName", INT8 if options.dtype == INT8 else str(scorer.dtype).removeprefix("torch.")),
            },
            notes=tuple(filter(None, notes)),
            summary=summary,
            batch_size=scorer.batch_size,
            card=self.choice.card,
            scorer=scorer,
        )

    def recipe(self) -> Recipe:
        """How files are shown to the network, without it: of a file of one's own its shapes and words are read.

        Raises:
            CheckpointError: weights that cannot be read or do not fit.
            DownloadError: a file that cannot be fetched.
        """
        meant = self.choice.found
        if self.preset and (self.choice.card or not meant):
            return self._recipe(self.preset.config)
        assert meant is not None
        from mvit_cli.checkpoints.find import obtain
        from mvit_cli.checkpoints.formats.reading import read_shapes
        from mvit_cli.checkpoints.load import describe

        path = obtain(meant).path
        shapes = read_shapes(path, self.options.weights_key)
        return self._recipe(describe(shapes, self.preset.name if self.preset else None).config, path)

    def first_request(self, first: "Source | None") -> "DecodeRequest | None":
        """How the first file will be decoded, where a card tells it before the network is there; else None."""
        if first is None or first.error or not (self.preset and self.choice.card):
            return None
        try:
            return request_for(self.recipe(), first, self.options.reader)
        except MViTError:  # which is told when its turn comes: weights that cannot be had are told before
            return None

    def network(self, progress: bool = False) -> "tuple[MViT, torch.device, torch.dtype, Path | None]":
        """The network on its device, and the file of its weights; the file is fetched before torch is loaded.

        On a CPU its numbers are float32 whatever it is to run in, for the first view shows how far that drifts.
        """
        from mvit_cli.checkpoints.find import obtain
        from mvit_cli.checkpoints.load import build_model, load_file

        options, meant = self.options, self.choice.found
        if options.device not in ("auto", "cpu"):
            pick_device(options.device)  # a GPU that is not there is told before anything is downloaded
        found = obtain(meant, progress=progress) if meant else None
        device = pick_device(options.device)
        dtype = pick_dtype(options.dtype, device)
        kept = kept_in(dtype, device)
        if found:
            name, key = self.preset.name if self.preset else None, options.weights_key
            model = load_file(found.path, name, overrides=found.overrides, device=device, dtype=kept, weights_key=key)
        else:
            assert self.preset is not None
            model = build_model(self.preset.config).to(device, kept)
        if options.deterministic:
            _align(model)
        return model, device, dtype, found.path if found else None

    def _recipe(self, config: MViTConfig, path: Path | None = None) -> Recipe:
        """How files are shown to the network: the weights' protocol, and what was asked otherwise."""
        return self.asked_of(self._wanted(config, path), config.num_classes)

    def _wanted(self, config: MViTConfig, path: Path | None) -> Recipe:
        """How the weights want files to be shown."""
        if self.choice.card:
            return recipe_of_card(self.choice.card)
        preset = self.preset or preset_of(config)
        name = preset.name if preset else None
        if path is None:
            return assumed_recipe(config, name)
        return recipe_of_file(path, config, name, self.options.weights_key)

    def asked_of(self, recipe: Recipe, num_classes: int) -> Recipe:
        """A recipe with what was asked otherwise: class names, windows, views, frames, pixels.

        Raises:
            CheckpointError: another number of class names than of classes.
        """
        if names := self.labels.names:
            if len(names) != num_classes:
                raise CheckpointError(
                    f"--labels {self.options.labels} names {len(names)} classes, "
                    f"but the network tells {num_classes} apart",
                    "give the list that belongs to these weights",
                )
            recipe = replace(recipe, labels=names).without_assuming("labels")
        recipe = self.otherwise.applied(recipe)
        if self.windows:
            recipe = in_windows(recipe, self.windows)
        return with_views(recipe.without_assuming(*["views"] * bool(self.views)), self.views or recipe.views)


def plan(options: PredictOptions) -> Plan:
    """Finds and checks what was asked. Needs neither torch nor the network.

    Raises:
        UsageError: an unknown preset, weights, device or other value.
        CheckpointError: weights or labels that are not there or cannot be read.
    """
    if not options.timeout_s > 0:
        raise UsageError(f"--timeout {options.timeout_s:g} is no time", "give seconds, as --timeout 60")
    windows = parse_windows(options.window_s, options.hop_s, options.reader, options.max_windows)
    choice = replace(choose(options.preset, options.weights), weights_key=options.weights_key)
    views = parse_views(options.views) if options.views else None
    labels = read_label_list(options.labels) if options.labels else LabelList(())
    _check_threshold(options.threshold)
    if options.weights_key is not None and not choice.weights:
        raise UsageError("--weights-key names a network in a file, and there is none", "add --weights FILE")
    _check_counts(options.top, options.batch_size)
    check_device_name(options.device)
    if options.dtype == INT8 and not options.fast:
        raise UsageError("--dtype int8 is part of the fast path", "leave --no-fast out")
    made = Plan(options, choice, get_preset(choice.preset) if choice.preset else None, labels, views, windows)
    if made.otherwise.said and choice.card:
        made.otherwise.applied(recipe_of_card(choice.card))  # refused before anything is fetched
    return made


def _check_threshold(threshold: float | None) -> None:
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"--threshold {threshold:g} is no score", "give one from 0 to 1, as --threshold 0.5")


def _check_counts(top: int, batch_size: int | Auto) -> None:
    for name, value in (("--top", top), ("--batch-size", batch_size)):
        if value != "auto" and value < 1:
            raise UsageError(f"{name} {value} is less than 1", "give a whole number from 1 on")


def _show_clips_of(model: "MViT", recipe: Recipe, *, asked: bool = False) -> None:
    """Gives the network the size of the clips that it is going to be shown; its tables stay those it was trained with.

    Raises:
        CheckpointError: its file wants clips that it cannot take.
        UsageError: such clips were asked for.
    """
    frames, side = recipe.sampling.frames, recipe.transform.crop
    try:
        model.config = config_for_clips(model.config, resized(model.config, frames, side))
    except ValueError as error:
        if asked:
            raise UsageError(
                f"the network cannot take {frames} frames of {side}x{side}: {error}", "try other --frames or --size"
            ) from error
        raise CheckpointError(
            f"the file wants {frames} frames of {side}x{side}: {error}", "see the test pipeline in its configuration"
        ) from error


ALIGNED_BYTES = 64
"""Where torch puts its own tensors; those of a file may lie anywhere, and kernels add up in another order there."""


def _align(model: "MViT") -> None:
    """Moves the weights to places of the same kind in every run."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.data_ptr() % ALIGNED_BYTES:
            tensor.data = tensor.data.clone()


def _auto_batch_size(
    config: MViTConfig,
    macs: int,
    device: "torch.device",
    dtype: "torch.dtype",
    side_by_side: bool,
    deterministic: bool,
) -> int:
    """Views a batch; a deterministic run asks for nothing that changes from run to run."""
    import torch

    threads = torch.get_num_threads() if side_by_side and device.type == "cpu" else 1
    view_bytes = memory_of_view(config, dtype.itemsize)
    return auto_batch_size(macs, device.type, view_bytes, free_memory(device, all_of_it=deterministic), threads)
