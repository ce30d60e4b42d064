"""The page of results: a benchmark replaces its own section, and leaves the others as they are."""

from pathlib import Path

PAGE = Path(__file__).parent / "RESULTS.md"


def with_section(page: str, title: str, text: str) -> str:
    """A page with another text below one of its headings of the second order; a new heading comes last."""
    head, marked, rest = page.partition(f"## {title}\n")
    _, following, others = rest.partition("\n## ")
    if not marked:
        head = page.rstrip() + "\n\n"
    return f"{head}## {title}\n\n{text.strip()}\n" + (f"\n## {others}" if following else "")


def written_section(title: str, text: str) -> None:
    """Puts a text below a heading of `RESULTS.md`."""
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), title, text), encoding="utf-8")
