"""Pictures of a training: its curves, and what was taken for what."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mvit_cli.report.figures import colours_of_shares, line, picture
from mvit_cli.report.palette import ink_on
from mvit_cli.report.predict.terminal import shortened
from mvit_cli.report.tables import printable

MOST_NAMES = 40
MOST_LETTERS = 30


def draw_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Loss and accuracy: by epoch, or by strength of regularisation for each kind of input.

    Args:
        history: the lines of `log.csv`.

    Raises:
        MViTError: the file could not be written.
    """
    if not history:
        return
    by_epoch = "epoch" in history[0]
    key = "epoch" if by_epoch else "strength"
    kinds = dict.fromkeys(entry.get("inputs", "training") for entry in history)
    with picture(path, "training: loss and accuracy on validation", width=7, height=3) as figure:
        left, right = figure.subplots(1, 2)
        for number, kind in enumerate(kinds):
            entries = [entry for entry in history if entry.get("inputs", "training") == kind]
            x = [entry[key] for entry in entries]
            style = line(number) | {"label": kind}
            losses = [entry["train_loss" if by_epoch else "val_loss"] for entry in entries]
            left.plot(x, [float("nan") if loss is None else loss for loss in losses], **style)
            right.plot(x, [100 * entry["val"] for entry in entries], **style)
        left.set_title("loss, training" if by_epoch else "log loss, validation")
        right.set_title("top-1 or mean average precision, validation, %")
        for axes in (left, right):
            axes.set_xlabel(key)
            axes.grid(visible=True)
            if not by_epoch:
                axes.set_xscale("log")
            if len(kinds) > 1:
                axes.legend()


def draw_confusion(counts: Sequence[Sequence[int]], labels: Sequence[str], path: Path) -> None:
    """The clips of each class, a row, by the class they were taken for.

    Raises:
        MViTError: the file could not be written.
    """
    from matplotlib.colors import to_hex

    side = min(10.0, 2.5 + 0.3 * len(labels))
    shares = [[count / max(sum(row), 1) for count in row] for row in counts]
    with picture(path, "validation: truth down, prediction across", width=side, height=side) as figure:
        axes = figure.subplots()
        colours = colours_of_shares()
        axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
        if len(labels) <= MOST_NAMES:
            names = [shortened(printable(label), MOST_LETTERS) for label in labels]
            axes.set_xticks(range(len(names)), names, rotation=90)
            axes.set_yticks(range(len(names)), names)
        if len(labels) <= 15:
            for y, row in enumerate(counts):
                for x, count in enumerate(row):
                    if count:
                        read = ink_on(to_hex(colours(shares[y][x])))
                        axes.text(x, y, str(count), ha="center", va="center", color=read)
