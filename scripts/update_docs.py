"""Keeps README.md and docs/ current: what commands print, and the tables and references that come from the code.

    python scripts/update_docs.py            # rewrites them
    python scripts/update_docs.py --check    # exit code 1 if it would change one
    python scripts/update_docs.py --only profile    # outputs of commands that contain this word, and all references

Below `<!-- output: COMMAND -->` stands what COMMAND prints; between `<!-- presets -->` and `<!-- end -->`, and so for
the other names of `MAKERS`, what is made of the package itself. Commands run in the checkout, without colour, 100
columns wide. Times differ from run to run: `--check` leaves out outputs of commands that measure or recognise.
"""

import argparse
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, is_typeddict

import mvit_cli
from mvit_cli.arch import get_preset, preset_names, summarize
from mvit_cli.checkpoints.cards import card_names, load_card
from mvit_cli.report.schema.generate import schemas
from mvit_cli.report.tables import in_markdown

ROOT = Path(__file__).parent.parent
OUTPUT = re.compile(r"(<!-- output: (?P<command>.+?) -->\n```text\n)(?P<text>.*?)(```\n)", re.DOTALL)
VARYING = ("profile", "predict", "train", "eval", "watch")


def documents() -> list[Path]:
    """Every page that a reader is shown."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def preset_table() -> str:
    """The Markdown table of all presets, from the architecture itself."""
    rows = ["| preset | alias | input T x H x W | params M | GMACs |", "|---|---|---|--:|--:|"]
    for name in preset_names():
        preset, summary = get_preset(name), summarize(name)
        thw = " x ".join(str(n) for n in preset.config.input_thw)
        alias = ", ".join(f"`{alias}`" for alias in preset.aliases)
        rows.append(f"| `{name}` | {alias} | {thw} | {summary['params'] / 1e6:.2f} | {summary['macs'] / 1e9:.2f} |")
    return "\n".join(rows)


def card_table() -> str:
    """The Markdown table of all published weights, from their cards."""
    rows = ["| weights | classes of | top-1 | views | layout | licence |", "|---|---|--:|---|---|---|"]
    for card in map(load_card, card_names()):
        top1 = card.reported.top1 if card.reported else None
        cells = (
            f"`{card.name}`",
            card.labels.dataset,
            f"{top1:.1f}" if top1 else "",
            str(card.views),
            card.layout,
            card.licence.partition(" (")[0].partition(";")[0],
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def command_reference() -> str:
    """Every command with its arguments and options in their groups, from what `--help` is made of."""
    from typer.main import get_command

    from mvit_cli.cli.main import app

    parts: list[str] = []

    def tell(command: Any, context: Any) -> None:
        parts.append(_told_of(command, context))
        for name, inner in getattr(command, "commands", {}).items():
            tell(inner, type(context)(inner, info_name=name, parent=context))

    root = get_command(app)
    tell(root, root.make_context("mvit", [], resilient_parsing=True))
    return "\n\n".join(parts)


def _told_of(command: Any, context: Any) -> str:
    """A command's help as Markdown."""
    from mvit_cli.cli.help import page_of

    def cell(text: str) -> str:
        return in_markdown(text).replace("|", "\\|")

    page = page_of(command, context)
    parts = [f"## {context.command_path}", f"```text\n{page.usage}\n```", *map(in_markdown, page.text)]
    for section in page.sections:
        rows = "\n".join(f"| `{name.replace('|', chr(92) + '|')}` | {cell(text)} |" for name, text in section.rows)
        parts.append(f"| {section.title} | |\n|---|---|\n{rows}")
    if page.examples:
        parts.append("```text\n" + "\n".join(page.examples) + "\n```")
    return "\n\n".join([*parts, *map(in_markdown, page.ending)])


def python_reference() -> str:
    """Every public name with its signature and docstring; of a class its methods too. Rows have a page of their own."""
    parts = []
    for name in sorted(mvit_cli.__all__, key=str.lower):
        found = getattr(mvit_cli, name)
        if callable(found) and inspect.getdoc(found) and not is_typeddict(found):
            parts.append(f"## {name}\n\n```text\n{_signature(name, found)}\n\n{inspect.getdoc(found)}\n```")
            if inspect.isclass(found) and not issubclass(found, Exception) and not is_dataclass(found):
                parts += [
                    f"### {name}.{key}\n\n```text\n{_signature(key, method)}\n\n{inspect.getdoc(method)}\n```"
                    for key, method in vars(found).items()
                    if inspect.isfunction(method) and not key.startswith("_")
                ]
    return "\n\n".join(parts)


def _signature(name: str, found: Callable[..., Any]) -> str:
    """One parameter a line where they do not fit in one."""
    signature = inspect.signature(found)
    arguments = [
        "**options" if parameter.kind is parameter.VAR_KEYWORD else str(parameter)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    line = f"{name}({', '.join(arguments)})"
    return line if len(line) <= 100 else "\n    ".join((f"{name}(", *(f"{one}," for one in arguments))) + "\n)"


def schema_reference() -> str:
    """Every key of what the commands write, by record, from the schemas."""
    parts = []
    for command, schema in schemas().items():
        parts.append(f"## mvit {command}\n")
        for name, record in schema["$defs"].items():
            rows = list(_keys(record))
            if rows:
                parts.append(f"### {command}: {name.replace('_', ' ')}\n\n{record.get('description', '')}\n")
                parts.append("| key | type | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts).strip()


def _keys(record: dict[str, Any]) -> Iterator[str]:
    """A row of a table for each key of a record."""
    for key, rule in record.get("properties", {}).items():
        optional = "" if key in record.get("required", ()) else " (not always there)"
        meaning = rule.get("description", "").replace("|", "\\|")
        yield f"| `{key}` | {_type(rule)}{optional} | {meaning} |"


def _type(rule: dict[str, Any]) -> str:
    """A schema's type in a few words."""
    if "$ref" in rule:
        return str(rule["$ref"]).rpartition("/")[2].replace("_", " ")
    if "enum" in rule:
        return ", ".join(f"`{json.dumps(value)}`" for value in rule["enum"])
    if "const" in rule:
        return f"`{json.dumps(rule['const'])}`"
    if "anyOf" in rule:
        return " or ".join(_type(one) for one in rule["anyOf"])
    if rule.get("type") == "array":
        return f"list of {_type(rule['items'])}" if isinstance(rule.get("items"), dict) else "list"
    kinds = rule.get("type", "any")
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def peer_table() -> str:
    """The table of speed, from the page that `benchmarks/peers.py` writes."""
    sys.path.append(str(ROOT / "benchmarks"))
    from peer_page import PAGE, readme_table

    return readme_table(PAGE.read_text(encoding="utf-8"))


MAKERS: dict[str, Callable[[], str]] = {
    "peers": peer_table,
    "presets": preset_table,
    "cards": card_table,
    "commands": command_reference,
    "python": python_reference,
    "schemas": schema_reference,
}


def _run(words: list[str]) -> str:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{shlex.join(words[1:])}: {done.stderr.strip()}")
    return done.stdout


def output_of(command: str) -> str:
    """What a command prints on standard output."""
    printed = _run([sys.executable, "-m", "mvit_cli", *shlex.split(command)[1:]])
    return "\n".join(line.rstrip() for line in printed.rstrip().splitlines()) + "\n"


def updated(text: str, *, only_steady: bool, word: str = "") -> str:
    """A page with every output, or those of commands with a word in them, and all that is made as they are now."""

    def fill(match: re.Match[str]) -> str:
        if (only_steady and match["command"].split()[1] in VARYING) or word not in match["command"]:
            return match[0]
        return match[1] + output_of(match["command"]) + match[4]

    for name, make in MAKERS.items():
        made = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        if made.search(text):
            text = made.sub(lambda match, make=make: match[1] + make() + match[2], text)  # type: ignore[misc]
    return OUTPUT.sub(fill, text)


def main() -> int:
    """Rewrites or checks every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", metavar="WORD", default="")
    arguments = parser.parse_args()
    behind = []
    for path in documents():
        before = path.read_text(encoding="utf-8")
        after = updated(before, only_steady=arguments.check, word=arguments.only)
        if before != after:
            behind.append(path.relative_to(ROOT).as_posix())
            if not arguments.check:
                path.write_text(after, encoding="utf-8")
    if arguments.check and behind:
        print(f"not current: {', '.join(behind)}; run python scripts/update_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
