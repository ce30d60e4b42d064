"""Keeps README.md current: fills the table of presets, and below each `<!-- output: COMMAND -->` what COMMAND prints.

    python benchmarks/update_readme.py            # rewrites README.md
    python benchmarks/update_readme.py --check    # exit code 1 if it would change
    python benchmarks/update_readme.py --only profile    # outputs of commands that contain this word

Commands run in the checkout, 100 columns wide, without colour. Times differ from run to run: `--check` leaves out
outputs of commands that measure or recognise (`profile`, `predict`).
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from mvit_cli.arch import get_preset, preset_names, summarize

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
OUTPUT = re.compile(r"(<!-- output: (?P<command>.+?) -->\n```text\n)(?P<text>.*?)(```\n)", re.DOTALL)
TABLE = re.compile(r"(<!-- presets -->\n)(?P<text>.*?)(\n<!-- end -->)", re.DOTALL)
VARYING = ("profile", "predict")


def preset_table() -> str:
    """The Markdown table of all presets, from the architecture itself."""
    rows = ["| preset | alias | input T x H x W | params M | GMACs |", "|---|---|---|--:|--:|"]
    for name in preset_names():
        preset, summary = get_preset(name), summarize(name)
        thw = " x ".join(str(n) for n in preset.config.input_thw)
        alias = ", ".join(f"`{alias}`" for alias in preset.aliases)
        rows.append(f"| `{name}` | {alias} | {thw} | {summary['params'] / 1e6:.2f} | {summary['macs'] / 1e9:.2f} |")
    return "\n".join(rows)


def output_of(command: str) -> str:
    """What a command prints on standard output."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    words = [sys.executable, "-m", "mvit_cli", *shlex.split(command)[1:]]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines()) + "\n"


def updated(text: str, *, only_steady: bool, word: str = "") -> str:
    """README.md with every output, or those of commands with a word in them, and the table of presets as they are."""

    def fill(match: re.Match[str]) -> str:
        if (only_steady and match["command"].split()[1] in VARYING) or word not in match["command"]:
            return match[0]
        return match[1] + output_of(match["command"]) + match[4]

    text = TABLE.sub(lambda match: match[1] + preset_table() + match[3], text)
    return OUTPUT.sub(fill, text)


def main() -> int:
    """Rewrites or checks README.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", metavar="WORD", default="")
    arguments = parser.parse_args()
    before = README.read_text(encoding="utf-8")
    after = updated(before, only_steady=arguments.check, word=arguments.only)
    if not arguments.check:
        README.write_text(after, encoding="utf-8")
    elif before != after:
        print("README.md is not current: python benchmarks/update_readme.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
