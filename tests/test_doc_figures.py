"""What the pages say in figures comes from somewhere: a file of results, a script, a test, or the code itself."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mvit_cli.arch import summarize
from mvit_cli.checkpoints.cards import load_card
from mvit_cli.media.content import MAX_COPY_BYTES
from mvit_cli.media.remote.patience import READ_S
from mvit_cli.report.formats import size_text
from mvit_cli.report.predict.page.entries import FOUND_FROM
from mvit_cli.report.predict.progress import EVERY_S
from mvit_cli.training.stills import MOST_BYTES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FIGURE = re.compile(
    r"(?<![\w.,-])\d[\d.,]*(?:e-?\d+)? ?(?:%|ms|s|MB|GB|MiB|GiB|kB|times|hours|minutes|GMACs?)(?![\w/])"
)
SOURCE = re.compile(r"\b(?:benchmarks|training|tests|scripts)/[\w./-]*\w|\btest_\w+\.py")
MADE = re.compile(r"<!-- (presets|cards|commands|python|schemas|peers) -->.*?<!-- end -->", re.DOTALL)


def download(card: str) -> str:
    """What its file weighs."""
    size = load_card(card).source.approximate_bytes
    assert size
    return size_text(size)


def of_training() -> str:
    """What the run of `mvit train` in `docs/train.md` prints of its validation."""
    told = re.search(r"^val +12 +([\d.]+) +[\d.]+ - [\d.]+", (ROOT / "docs" / "train.md").read_text(), re.MULTILINE)
    assert told
    return f"{told[1]} %"


def plain_products() -> str:
    """The share of linear layers, 12 L C C, beside attention, 2 L L_K C, in blocks 4 to 12 of MViT-B."""
    blocks = summarize("mvit_b_16x4")["blocks"][4:13]
    widths = {(block["dim_out"], block["kv_sequence_length"]) for block in blocks}
    ((width, keys),) = widths
    return f"{100 * 12 * width / (12 * width + 2 * keys):.0f} %"


COMPUTED: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"147 MB": lambda: download("mvit_b_16x4.tv_k400"), "100.0 %": of_training, "95 %": lambda: "95 %"},
    "evaluate.md": {"95 %": lambda: "95 %"},
    "faq.md": {"2.13 s": lambda: f"{16 * 4 / 30:.2f} s"},
    "how-mvit-works.md": {"4 times": lambda: f"{(1569 - 1) / (393 - 1):g} times", "85 %": plain_products},
    "predict.md": {"50 %": lambda: f"{FOUND_FROM:.0%}".replace("%", " %"), "0.1 s": lambda: "0.1 s"},
    "recipes.md": {"30 s": lambda: f"{EVERY_S:g} s"},
    "remote.md": {"20 s": lambda: f"{READ_S:g} s", "2.1 GB": lambda: size_text(MAX_COPY_BYTES)},
    "train.md": {
        "95 %": lambda: "95 %",
        "1 GiB": lambda: f"{MOST_BYTES / 2**30:g} GiB",
        "0.009 GMACs": lambda: f"{summarize('mvitv2_pico_28')['macs'] / 1e9:.3f} GMACs",
        "2.92 GMACs": lambda: f"{summarize('mvit_tiny_16x4')['macs'] / 1e9:.2f} GMACs",
    },
    "tutorial.md": {"138 MB": lambda: download("mvitv2_s_16x4.tv_k400")},
}
"""Figures of what the tool is, not of what was measured: each as the code or arithmetic says it."""


def paragraphs(page: Path) -> list[str]:
    """Prose and tables, without what commands print and what is made from the code."""
    text = MADE.sub("", page.read_text(encoding="utf-8"))
    text = re.sub(
        r"<picture>.*?</picture>|<img [^>]*>", "", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    )
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_figure_names_what_gave_it_or_is_computed_here(page: Path) -> None:
    """Its paragraph, or the one before it, names the file of results, the script or the test."""
    computed, before, unknown = COMPUTED.get(page.name, {}), "", []
    for paragraph in paragraphs(page):
        if not SOURCE.search(before + paragraph):
            unknown += [figure for figure in FIGURE.findall(paragraph) if figure not in computed]
        before = paragraph
    assert not unknown


@pytest.mark.parametrize(
    ("page", "figure"), [(page, figure) for page, figures in COMPUTED.items() for figure in figures]
)
def test_a_figure_is_what_the_code_says(page: str, figure: str) -> None:
    path = next(path for path in PAGES if path.name == page)
    assert figure in "".join(paragraphs(path))
    assert COMPUTED[page][figure]() == figure


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_gave_a_figure_is_there(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    named = [name if "/" in name else f"tests/{name}" for name in SOURCE.findall(text)]
    assert not [name for name in named if not (ROOT / name).exists()]
