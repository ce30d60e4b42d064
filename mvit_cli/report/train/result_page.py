"""The page of a training: what was made, how good it is, and the pictures; one file without script or network."""

import base64
import html
from pathlib import Path

from mvit_cli.errors import MViTError
from mvit_cli.report.tables import Table
from mvit_cli.report.train.result import lines_of, notes_of, trained_table
from mvit_cli.trained import Trained

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
body { color: #111; background: #fff }
table { border-collapse: collapse } th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ccc }
th:first-child, td:first-child { text-align: left } img { max-width: 100%; background: #fff }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } th, td { border-color: #444 } }
""".strip()


def write_page(result: Trained, folder: Path) -> None:
    """Writes `report.html` into the folder of the log, with the pictures that lie there.

    Raises:
        MViTError: the file could not be written.
    """
    paragraphs = [f"<p>{html.escape(line)}</p>" for line in lines_of(result)]
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in (*result["notes"], *notes_of(result)))
    pictures = [_picture(folder / name) for name in ("curves.png", "confusion.png") if (folder / name).is_file()]
    body = "\n".join((*paragraphs, _table(trained_table(result)), f"<ul>{notes}</ul>" if notes else "", *pictures))
    title = html.escape(Path(result["weights"]).name)
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="mvit">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'unsafe-inline'\"><title>{title}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )
    try:
        (folder / "report.html").write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise MViTError(f"{folder / 'report.html'}: {error.strerror}", "make room, or name another --output") from error


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(column.title)}</th>" for column in table.columns)
    rows = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in table.rows]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<p><img alt="{html.escape(path.stem)}" src="data:image/png;base64,{data}"></p>'
