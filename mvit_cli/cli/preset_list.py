"""`mvit presets`: the networks there are, what each is for, and what it costs."""

from typing import Annotated, Any, Literal

import typer

Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How the result is written.")]


def presets_command(output: Format = "table") -> None:
    """List all presets: use, input, parameters, GMACs, weights. Needs no torch and no network."""
    from mvit_cli.report.tables import write_json

    entries = [_entry(name) for name in _names()]
    if output == "json":
        write_json(entries)
    else:
        _show(entries)


def _names() -> tuple[str, ...]:
    from mvit_cli.arch.presets import preset_names

    return preset_names()


def _entry(name: str) -> dict[str, Any]:
    from mvit_cli.arch.presets import get_preset
    from mvit_cli.arch.summary import summarize
    from mvit_cli.checkpoints.cards import cards_for

    preset, summary = get_preset(name), summarize(name)
    return {
        "preset": name,
        "aliases": list(preset.aliases),
        "use": "images" if preset.is_image else "video",
        "input": summary["input"],
        "frame_stride": preset.frame_stride,
        "params": summary["params"],
        "macs": summary["macs"],
        "weights": [card.name for card in cards_for(name)],
    }


def _show(entries: list[dict[str, Any]]) -> None:
    from mvit_cli.report.formats import shape_text
    from mvit_cli.report.tables import Column, Table, show

    columns = (
        Column("preset", numeric=False),
        Column("alias", numeric=False, rank=2),
        Column("for", numeric=False),
        Column("input T×H×W", rank=1),
        Column("params M"),
        Column("GMACs"),
        Column("weights"),
    )
    rows = tuple(
        (
            entry["preset"],
            ", ".join(entry["aliases"]),
            entry["use"],
            shape_text((entry["input"]["frames"], entry["input"]["height"], entry["input"]["width"])),
            f"{entry['params'] / 1e6:.2f}",
            f"{entry['macs'] / 1e9:.2f}",
            str(len(entry["weights"]) or "none"),
        )
        for entry in entries
    )
    notes = (
        "- `mvit summarize --preset NAME` explains one; `mvit weights list` names its weights.",
        "- 1 GMAC = 1e9 multiply-accumulates for one view; papers print this number as GFLOPs.",
    )
    show(Table(columns, rows), "", *notes)
