"""The page of results: a benchmark replaces its own section alone."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from results_page import PAGE, with_section

TEXT = "# Results\n\nAll of them.\n\n## First\n\nold\n\n### Part\n\nolder\n\n## Second\n\nstays\n"


def test_only_the_section_of_that_name_is_another() -> None:
    assert (
        with_section(TEXT, "First", "new\n") == "# Results\n\nAll of them.\n\n## First\n\nnew\n\n## Second\n\nstays\n"
    )
    assert with_section(TEXT, "Second", "new") == TEXT.replace("stays", "new")


def test_a_new_section_comes_last() -> None:
    assert with_section(TEXT, "Third", "new") == TEXT + "\n## Third\n\nnew\n"


def test_what_the_page_has_is_written_as_it_was() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for title in [line[3:] for line in page.splitlines() if line.startswith("## ")]:
        text = page.split(f"## {title}\n")[1].split("\n## ")[0]
        assert with_section(page, title, text) == page
