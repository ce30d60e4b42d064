"""The page of a training: what was made, how good it is, and the pictures."""

import base64
from pathlib import Path

from mvit_cli.errors import MViTError
from mvit_cli.report.page.document import beginning
from mvit_cli.report.page.templates import rendered
from mvit_cli.report.predict.writers import encoded
from mvit_cli.report.train.result import lines_of, notes_of, trained_table
from mvit_cli.trained import Trained

MOST_NAMED = 6
PICTURES = (("curves.png", "loss and accuracy"), ("confusion.png", "what was taken for what"))


def write_page(result: Trained, folder: Path) -> None:
    """Writes `report.html` into the folder of the log, with the pictures that lie there.

    Raises:
        MViTError: the file could not be written.
    """
    classes = result["classes"]
    more = f" and {len(classes) - MOST_NAMED} more" if len(classes) > MOST_NAMED else ""
    title = f"{len(classes)} classes: {', '.join(classes[:MOST_NAMED])}{more}"
    pictures = [(_base64(folder / name), told) for name, told in PICTURES if (folder / name).is_file()]
    page = beginning(title, "mvit train", lines_of(result)) + rendered(
        "train/result.html",
        table=trained_table(result),
        notes=[*result["notes"], *notes_of(result)],
        pictures=pictures,
    )
    try:
        (folder / "report.html").write_bytes(encoded(page))
    except OSError as error:
        raise MViTError(f"{folder / 'report.html'}: {error.strerror}", "make room, or name another --output") from error


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
