"""Where cards, label lists and the embedded checkpoint lie in a checkout: its top-level folder `weights/`.

A wheel has that folder itself at this place (`package-dir` in pyproject.toml) and not this file; `__path__` is the
folder either way.
"""

from pathlib import Path

__path__ = [str(Path(__file__).resolve().parent.parent.parent / "weights")]
