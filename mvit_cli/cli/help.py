"""`--help`: options in groups, panels on a terminal and plain text elsewhere, no word cut at any width."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from typer.core import TyperCommand, TyperGroup

WIDEST, NARROWEST = 100, 40
NAMES, NAMES_WHERE_NARROW = 30, 22
"""Columns for the names of options, in which most have room."""
FEW = 8
"""Options that need no groups."""

# fmt: off
GROUPS = {
    "What": (
        "boxes", "box-margin", "box-crop", "null", "shard", "allow-empty", "truth", "split", "shuffle-frames", "inputs",
        "input", "files", "compare", "duplicates", "above", "group", "val-split", "raw", "realtime",
    ),
    "Network": (
        "preset", "weights", "weights-key", "labels", "stage", "set", "dtype", "no-fast", "compile", "method",
    ),
    "Sampling": ("views", "every", "window", "hop", "max-windows", "reader", "frames", "fps", "size", "mean", "std"),
    "Training": ("epochs", "lr", "mixup", "cutmix", "rand-augment", "least-area", "mirror"),
    "Running": (
        "device", "engine", "address", "actors", "gpus-per-actor", "cpus-per-actor", "batch-size", "workers", "timeout",
        "reconnect", "rows", "duration", "runs", "threads", "seed", "deterministic", "resume", "retry-errors",
        "fail-fast", "config", "quiet",
    ),
    "Output": (
        "format", "output", "output-parts", "columns", "csv-safe", "top", "threshold", "events", "min-score",
        "on-change", "smooth", "report", "heatmap", "heatmap-method", "save-video", "blocks", "explain", "plot",
        "trace", "log", "save-config", "no-stages", "force",
    ),
}
# fmt: on
"""Which options stand together, by their long names; all others come last."""


@dataclass(frozen=True)
class Section:
    """Names and what they mean, under a heading."""

    title: str
    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class Page:
    """What `--help` says of a command.

    Attributes:
        usage: how it is called.
        text: paragraphs of prose.
        examples: a command a line, its remark behind two or more spaces.
        ending: paragraphs below.
    """

    usage: str
    text: list[str]
    sections: list[Section]
    examples: list[str]
    ending: list[str]


class HelpedCommand(TyperCommand):
    """A command whose help is laid out here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes all of it."""
        formatter.write(laid_out(page_of(self, ctx)))


class HelpedGroup(TyperGroup):
    """The same of a command that has commands."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes all of it."""
        formatter.write(laid_out(page_of(self, ctx)))


def exit_codes(done: str, failed: str) -> str:
    """The last paragraph of every command that reads files."""
    return f"Exit code: 0 {done}, 1 {failed}, 2 wrong usage, 130 interrupted, 143 terminated."


def page_of(command: Any, context: Any) -> Page:
    """What there is to say of a command."""
    parameters = command.get_params(context)
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    usage = [context.command_path, "[OPTIONS]"]
    for argument in arguments:
        name = argument.make_metavar(context)
        usage.append(name if argument.required or name.startswith("[") else f"[{name}]")
    sections = []
    if hasattr(command, "commands"):
        usage.append("COMMAND ...")
        names = {name: command.get_command(context, name) for name in command.list_commands(context)}
        rows = [(name, one.get_short_help_str(1000)) for name, one in names.items() if not one.hidden]
        sections.append(Section("Commands", rows))
    paragraphs = re.split(r"\n\s*\n", (command.help or "").replace("\b\n", "").strip())
    examples, ending = _taken_apart(command.epilog or "")
    return Page(
        " ".join(usage),
        [" ".join(part.split()) for part in paragraphs if part],
        [*sections, *_grouped(context, parameters, arguments)],
        examples,
        ending,
    )


def _taken_apart(epilog: str) -> tuple[list[str], list[str]]:
    """Examples, and the paragraphs beside them."""
    lines = [line for line in epilog.replace("\b\n", "").replace("\b", "").splitlines() if line != "Examples:"]
    prose = "\n".join("" if line.startswith("  ") else line for line in lines)
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", prose)]
    return [line.strip() for line in lines if line.startswith("  ")], [part for part in paragraphs if part]


def _grouped(context: Any, parameters: list[Any], arguments: list[Any]) -> Iterator[Section]:
    """Sections of arguments and options."""
    told = [one for one in parameters if one not in arguments and not one.hidden]
    named = [(_of_argument(context, one)) for one in arguments]
    if len(told) <= FEW:
        groups = {"Arguments": named, "Options": [_of_option(context, one) for one in told]}
    else:
        places = {name: title for title, names in GROUPS.items() for name in names}
        order = {name: place for place, name in enumerate(places)}
        told.sort(key=lambda one: order.get(_long(one), len(order)))
        groups = {title: [] for title in (*GROUPS, "Other")}
        groups["What"] += named
        for option in told:
            groups[places.get(_long(option), "Other")].append(_of_option(context, option))
    return (Section(title, rows) for title, rows in groups.items() if rows)


def _long(option: Any) -> str:
    return max(option.opts, key=len).lstrip("-")  # type: ignore[no-any-return]


def _of_argument(context: Any, argument: Any) -> tuple[str, str]:
    name, text = argument.get_help_record(context)
    return name.strip("[]"), text.replace("  [required]", "")


def _of_option(context: Any, option: Any) -> tuple[str, str]:
    names, text = option.get_help_record(context)
    return re.sub(r"<([^<>]*)>$", r"\1", names), _readable(text)


def _readable(text: str) -> str:
    """What stands in brackets behind a help, in words."""
    text = re.sub(r"\[default: \(([^()]*)\)", r"[default: \1", text)
    text = re.sub(r"(\S+)<=x<=(\S+)\]$", r"\1 to \2]", text)
    return re.sub(r"x>=(-?[\d.]+)\]$", r"\1 or more]", text)


def laid_out(page: Page) -> str:
    """The page as text: with panels where standard output is a terminal."""
    columns = shutil.get_terminal_size((80, 24)).columns
    width = max(min(columns, WIDEST), NARROWEST)
    on_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    parts = [_filled(page.usage, width, "Usage: ", "    ")]
    parts += [_filled(text, width, "  ", "  ") for text in page.text]
    parts += [_panels(page.sections, width)] if on_terminal else [_plain(one, width) for one in page.sections]
    if page.examples:
        parts.append("\n".join(["Examples:", *_examples(page.examples, width)]))
    parts += [_filled(text, width) for text in page.ending]
    return "\n\n".join(parts)


def _filled(text: str, width: int, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _plain(section: Section, width: int) -> str:
    return "\n".join([f"{section.title}:", *(f"  {line}".rstrip() for line in _rows(section.rows, width - 2))])


def _panels(sections: list[Section], width: int) -> str:
    """A frame around each section."""
    from rich.box import ASCII, ROUNDED
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    from mvit_cli.report.tables import speaks_unicode

    box = ROUNDED if speaks_unicode(sys.stdout) else ASCII
    console = Console(width=width, force_terminal=True, highlight=False)
    drawn = []
    for section in sections:
        text = Text("\n").join(Text(line) for line in _rows(section.rows, width - 4))
        for name, _ in section.rows:
            text.highlight_regex(rf"(?m)^{re.escape(name)}(?=\s|$)", "bold")
        with console.capture() as captured:
            console.print(Panel(text, title=section.title, title_align="left", border_style="dim", box=box))
        drawn.append(captured.get().rstrip("\n"))
    return "\n".join(drawn)


def _rows(rows: list[tuple[str, str]], width: int) -> Iterator[str]:
    """Lines of two columns; a name without room in the first has a line of its own."""
    most = NAMES if width >= 70 else NAMES_WHERE_NARROW if width >= 50 else 4
    column = min(max(len(name) for name, _ in rows), most) + 2
    for name, text in rows:
        lines = textwrap.wrap(text, width - column, break_long_words=False, break_on_hyphens=False)
        beside = len(name) + 2 <= column
        yield f"{name:<{column}}{lines[0] if lines else ''}" if beside else name
        for line in lines[1:] if beside else lines:
            yield " " * column + line


def _examples(lines: list[str], width: int) -> Iterator[str]:
    """Commands with their remarks behind them, where there is room; else below. A command goes on after a backslash."""
    for line in lines:
        command, remark = [*re.split(r"\s{2,}", line, maxsplit=1), ""][:2]
        for beside in (line, f"{command}  {remark}".rstrip()):
            if len(beside) + 2 <= width:
                yield f"  {beside}"
                break
        else:
            yield from _below(command, remark, width)


def _below(command: str, remark: str, width: int) -> Iterator[str]:
    yield from _continued(command, width)
    if remark:
        yield _filled(remark, width, "      ", "      ")


def _continued(command: str, width: int) -> Iterator[str]:
    """A command in lines that a shell takes as one: broken between words, never in quotes."""
    line = " "
    for word in re.findall(r"(?:'[^']*'|\"[^\"]*\"|[^\s'\"])+", command):
        if len(line) + 1 + len(word) + 2 > width and line.strip():
            yield f"{line} \\"
            line = "     "
        line += f" {word}"
    yield line
