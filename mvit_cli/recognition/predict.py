"""The main job from Python: name a preset or weights and some files, get rows."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.cost import RGB
from mvit_cli.arch.presets import get_preset
from mvit_cli.arch.summary import preset_of, summarize_config
from mvit_cli.checkpoints.labels import LabelList, read_label_list
from mvit_cli.errors import CheckpointError, UsageError
from mvit_cli.media.request import TIMEOUT_S, ReaderChoice, Windows
from mvit_cli.recognition.choice import Choice, choose
from mvit_cli.recognition.device import INT8, check_device_name, pick_device, pick_dtype
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
from mvit_cli.recognition.recogniser import Auto, Inputs, Recogniser
from mvit_cli.recognition.rows import Row
from mvit_cli.recognition.scoring import Scorer, auto_batch_size, free_memory, memory_of_view
from mvit_cli.records import Summary

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mvit_cli.model import MViT

RANDOM_WEIGHTS = "random weights: the predictions mean nothing"


def predict(
    inputs: Inputs,
    *,
    preset: str | None = None,
    weights: str | Path | None = None,
    labels: str | Path | None = None,
    top: int = 5,
    views: str | None = None,
    window_s: float | None = None,
    hop_s: float | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | Auto = "auto",
    workers: int | Auto = "auto",
    reader: ReaderChoice = "auto",
    timeout_s: float = TIMEOUT_S,
    fast: bool = True,
    compiled: bool = False,
) -> Iterator[Row]:
    """Recognises videos and images. The network is loaded at once; files are read as rows are asked for.

    Args:
        inputs: files, folders, globs or `@list.txt`.
        preset: architecture; default: that of the weights, or B.
        weights: name of published weights, file or address; `none` for random ones; default: the preset's.
        labels: file of class names, one a line or JSON; default: those of the weights.
        top: classes a row.
        views: clips x crops, as `5x1`; default: the test protocol of the weights; with windows one clip of each.
        window_s: seconds of a window: a video gives a row for each; default: one row for the whole video.
        hop_s: seconds from the start of a window to that of the next; default: as long as a window.
        device: auto, cpu, cuda, cuda:N or mps.
        dtype: auto, float32, bfloat16, float16 or int8; auto is float32 except on a GPU. int8 is for a CPU and the fast
            path: linear layers in 8 bits; a warning of the first row tells how far the logits drift.
        batch_size: views that go through the network together.
        workers: processes that decode.
        reader: library that fetches frames.
        timeout_s: seconds that one file, or one window, may take to decode.
        fast: run the network's fast path, which gives the same logits; False: the plain network.
        compiled: run it through torch's compiler, which takes minutes the first time.

    Returns:
        One row for each input or window, in input order.

    Raises:
        UsageError: an unknown preset, weights, device or other value.
        CheckpointError: weights or labels that cannot be read or do not fit.
        DownloadError: weights that cannot be fetched.
        MViTError: a device that is not there.
    """
    recogniser = load_recogniser(
        preset,
        weights,
        labels=labels,
        top=top,
        views=views,
        windows=parse_windows(window_s, hop_s, reader),
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        fast=fast,
        compiled=compiled,
    )
    return recogniser.rows(inputs, workers=workers, reader=reader, timeout_s=timeout_s)


def load_recogniser(
    preset: str | None = None,
    weights: str | Path | None = None,
    *,
    labels: str | Path | None = None,
    top: int = 5,
    views: str | None = None,
    windows: Windows | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_size: int | Auto = "auto",
    fast: bool = True,
    compiled: bool = False,
    progress: bool = False,
) -> Recogniser:
    """The network with its weights, ready for files; arguments as in `predict`.

    `windows` is what `parse_windows` made of `window_s` and `hop_s`; `progress` shows a download.

    What needs neither network nor torch is checked first, then the weights are fetched, then torch is loaded.
    """
    choice = choose(preset, weights)
    asked_views = parse_views(views) if views else None
    listed = read_label_list(labels) if labels else LabelList(())
    _check_counts(top, batch_size)
    check_device_name(device)
    if dtype == INT8 and not fast:
        raise UsageError("--dtype int8 is part of the fast path", "leave --no-fast out")
    model, place, number_format, path = _network(choice, device, dtype, progress)
    recipe = _with_labels(_recipe(choice, model.config, path), model.config, listed.names, labels)
    if windows:
        recipe = in_windows(recipe, windows)
    recipe = with_views(recipe, asked_views or recipe.views)
    summary = _summary(choice, model.config)
    if batch_size == "auto":
        batch_size = _auto_batch_size(model.config, summary["macs"], place, number_format, fast and not compiled)
    runs, reference = _way_to_run(model, dtype, fast)
    if compiled:
        runs = _compiled(runs, model.config, batch_size, place, number_format)
    return Recogniser(
        Scorer(runs, recipe.transform, place, number_format, batch_size, reference, compiled, recipe.activation),
        recipe,
        top,
        {
            "preset": summary["preset"],
            "weights": choice.name,
            "views": str(recipe.views),
            "device": str(place),
            "dtype": INT8 if dtype == INT8 else str(number_format).removeprefix("torch."),
            **({"activation": "sigmoid"} if recipe.activation == "sigmoid" else {}),
        },
        tuple(filter(None, (recipe.assumed if choice.weights else RANDOM_WEIGHTS, listed.note))),
        summary,
        choice.card,
    )


def known_run(
    preset: str | None = None,
    weights: str | Path | None = None,
    views: str | None = None,
    windows: Windows | None = None,
) -> Row:
    """`preset`, `weights` and `views` of the rows that a run would write, as far as they are known without its network.

    Of weights in a file of one's own, what the file alone tells is None. Arguments and errors as of `load_recogniser`.
    """
    choice = choose(preset, weights)
    known = str(parse_views(views)) if views else None
    if known is None and (choice.card or not choice.weights):
        assert choice.preset is not None
        recipe = _recipe(choice, get_preset(choice.preset).config)
        known = str((in_windows(recipe, windows) if windows else recipe).views)
    return {"preset": choice.preset, "weights": choice.name, "views": known}


def _check_counts(top: int, batch_size: int | Auto) -> None:
    for name, value in (("--top", top), ("--batch-size", batch_size)):
        if value != "auto" and value < 1:
            raise UsageError(f"{name} {value} is less than 1", "give a whole number from 1 on")


def _network(
    choice: Choice, device: str, dtype: str, progress: bool
) -> "tuple[MViT, torch.device, torch.dtype, Path | None]":
    """Fetches the weights, then loads torch: a refused download must not wait for it."""
    from mvit_cli.checkpoints.find import obtain
    from mvit_cli.checkpoints.load import build_model, load_file

    if device not in ("auto", "cpu"):
        pick_device(device)  # a GPU that is not there is told before anything is downloaded
    found = obtain(choice.found, progress=progress) if choice.found else None
    place = pick_device(device)
    number_format = pick_dtype(dtype, place)
    if found:
        model = load_file(found.path, choice.preset, overrides=found.overrides, device=place, dtype=number_format)
    else:
        assert choice.preset is not None
        model = build_model(get_preset(choice.preset).config).to(place, number_format)
    return model, place, number_format, found.path if found else None


def _way_to_run(model: "MViT", dtype: str, fast: bool) -> "tuple[nn.Module, nn.Module | None]":
    """What shows clips to the network, and what tells how exact that is."""
    from mvit_cli.model.fast.network import FastMViT

    if dtype != INT8:
        return (FastMViT(model) if fast else model), None
    if model.config.pool_first:
        raise UsageError("--dtype int8: this network pools before it projects", "use --dtype float32")
    return FastMViT(model).to_int8(), FastMViT(model)


def _auto_batch_size(
    config: MViTConfig, macs: int, place: "torch.device", dtype: "torch.dtype", side_by_side: bool
) -> int:
    import torch

    threads = torch.get_num_threads() if side_by_side and place.type == "cpu" else 1
    view_bytes = memory_of_view(config, dtype.itemsize)
    return auto_batch_size(macs, place.type, view_bytes, free_memory(place), threads)


def _compiled(
    network: "nn.Module", config: MViTConfig, batch_size: int, device: "torch.device", dtype: "torch.dtype"
) -> "nn.Module":
    """The network compiled for whole batches."""
    import torch

    from mvit_cli.recognition.compiling import compiled

    clips = torch.zeros(batch_size, RGB, *config.input_thw, device=device, dtype=dtype)
    runs: nn.Module = compiled(network, clips)
    return runs


def _recipe(choice: Choice, config: MViTConfig, path: Path | None = None) -> Recipe:
    if choice.card:
        recipe = recipe_of_card(choice.card)
    else:
        preset = get_preset(choice.preset) if choice.preset else preset_of(config)
        name = preset.name if preset else None
        recipe = recipe_of_file(path, config, name) if path else assumed_recipe(config, name)
    return recipe


def _with_labels(recipe: Recipe, config: MViTConfig, names: tuple[str, ...], labels: str | Path | None) -> Recipe:
    """The recipe with the class names of the file `labels`; as it is where none was given."""
    if not names:
        return recipe
    if len(names) != config.num_classes:
        raise CheckpointError(
            f"--labels {labels} names {len(names)} classes, but the network tells {config.num_classes} apart",
            "give the list that belongs to these weights",
        )
    return replace(recipe, labels=names)


def _summary(choice: Choice, config: MViTConfig) -> Summary:
    """The object of `mvit summarize` for the network that runs."""
    return summarize_config(config, get_preset(choice.preset) if choice.preset else preset_of(config))
