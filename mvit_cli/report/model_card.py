"""`mvit weights show`: one card to be read: what it is for, how to run it, how good it is, what it is shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from mvit_cli.report.card_tables import in_words, short_dataset, size_of
from mvit_cli.report.tables import Column, Table, show

Record = Mapping[str, Any]

LABELS_SHOWN = 6
COLUMNS = (Column("", numeric=False, style="bold"), Column("", numeric=False, wraps=True))


def show_card(record: Record, labels: Sequence[str] | None) -> None:
    """Prints a card.

    Args:
        record: as of `mvit weights show --format json`.
        labels: class names; None: nobody names them.
    """
    parts: list[Table | str] = [Table(COLUMNS, tuple(_rows(record, labels)), title=record["name"])]
    if definitions := record["labels"]["definitions"]:
        meant = tuple((name.replace("_", " "), text) for name, text in definitions.items())
        parts += ["", Table(COLUMNS, meant, title="What the classes mean")]
    if measured := in_words(record["evaluation"]):
        parts += ["", Table(COLUMNS, tuple(measured), title="Measured by us")]
    if record["notes"]:
        parts += ["", *(f"- {note}" for note in record["notes"])]
    show(*parts)


def _rows(record: Record, labels: Sequence[str] | None) -> list[tuple[str, str]]:
    name = record["name"]
    rows = [
        ("for", _use(record)),
        ("run it", f"mvit predict {'clip.mp4' if record['use'] == 'video' else 'photo.jpg'} --weights {name}"),
    ]
    if record["default"]:
        rows.append(("", f"or --preset {record['preset']}: these are its usual weights"))
    rows += [("on this machine", _here(record)), ("accuracy", _accuracy(record["reported"]))]
    rows += [
        ("classes", _classes(record["labels"], labels)),
        ("frames", _frames(record["sampling"])),
        ("pixels", _pixels(record["preprocess"])),
        ("views", f"{record['views']['clips']} clips x {record['views']['crops']} crops of each, averaged"),
        ("licence", record["licence"]),
        ("source", record["address"]),
        ("sha256", record["source"]["sha256"] or _beginning(record["source"]["sha256_prefix"])),
        ("layout", record["layout"]),
        ("overrides", ", ".join(f"{key} {value}" for key, value in record["overrides"].items())),
    ]
    return [(title, text) for title, text in rows if text]


def _use(record: Record) -> str:
    labels = record["labels"]
    return (
        f"{labels['classes']:,} classes of {labels['dataset']} in {record['use']}: preset {record['preset']}, "
        f"{record['params'] / 1e6:.2f}M parameters, {record['macs'] / 1e9:.2f} GMACs per view"
    )


def _here(record: Record) -> str:
    if record["path"]:
        return f"yes ({record['state']}): {record['path']}"
    return f"no: `mvit weights pull {record['name']}` fetches {size_of(record)}"


def _accuracy(reported: Record | None) -> str:
    if not reported:
        return ""
    figures = [
        f"{title} {reported[key]:.1f} %" for title, key in (("top-1", "top1"), ("top-5", "top5")) if reported[key]
    ]
    if not figures:
        return ""
    views = f" with {reported['views']} views" if reported["views"] else ""
    return f"{', '.join(figures)} on {short_dataset(reported['dataset'])}{views} ({reported['source']})"


def _classes(said: Record, labels: Sequence[str] | None) -> str:
    if labels is None:
        return "nobody names them: they go by their index"
    more = len(labels) - LABELS_SHOWN
    listed = ", ".join(labels[:LABELS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
    return listed + ("; their order is assumed, no source states it" if said["order"] == "assumed" else "")


def _frames(sampling: Record) -> str:
    if sampling["method"] == "image":
        return "one: a picture"
    every = "all" if sampling["stride"] == 1 else f"one in {sampling['stride']}"
    rate = f", {every} of {sampling['fps']:g} per second" if sampling["fps"] else ""
    if sampling["method"] == "native":
        rate = f", {every} of the file's own"
    return f"{sampling['frames']} of a clip{rate} (method {sampling['method']})"


def _pixels(said: Record) -> str:
    mean, std = ("/".join(dict.fromkeys(f"{value:g}" for value in said[key])) for key in ("mean", "std"))
    return (
        f"short side {said['resize']}, cut to {said['crop']} x {said['crop']}, {said['interpolation']}; "
        f"mean {mean}, std {std}, {said['channels']}"
    )


def _beginning(prefix: str | None) -> str:
    return f"begins with {prefix}" if prefix else ""
