"""Video and image recognition with Multiscale Vision Transformers.

Public names are resolved on first use: importing this package imports neither torch nor anything else heavy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mvit_cli.arch.config import MViTConfig
    from mvit_cli.arch.summary import summarize
    from mvit_cli.checkpoints.load import build_model, load_model, load_state_dict
    from mvit_cli.embedding.embed import embed
    from mvit_cli.errors import MViTError
    from mvit_cli.evaluation.evaluate import evaluate
    from mvit_cli.recognition.predict import predict
    from mvit_cli.recognition.recogniser import Recogniser, preprocess
    from mvit_cli.recognition.tracked import read_boxes
    from mvit_cli.records import ErrorRow, OkRow, Row
    from mvit_cli.trained import Trained
    from mvit_cli.training.train import train

__version__ = "0.1.0"

__all__ = [
    "ErrorRow",
    "MViTConfig",
    "MViTError",
    "OkRow",
    "Recogniser",
    "Row",
    "Trained",
    "__version__",
    "build_model",
    "embed",
    "evaluate",
    "load_model",
    "load_state_dict",
    "predict",
    "preprocess",
    "read_boxes",
    "summarize",
    "train",
]

_HOMES = {
    "ErrorRow": "mvit_cli.records",
    "MViTConfig": "mvit_cli.arch.config",
    "MViTError": "mvit_cli.errors",
    "OkRow": "mvit_cli.records",
    "Recogniser": "mvit_cli.recognition.recogniser",
    "Row": "mvit_cli.records",
    "Trained": "mvit_cli.trained",
    "build_model": "mvit_cli.checkpoints.load",
    "embed": "mvit_cli.embedding.embed",
    "evaluate": "mvit_cli.evaluation.evaluate",
    "load_model": "mvit_cli.checkpoints.load",
    "load_state_dict": "mvit_cli.checkpoints.load",
    "predict": "mvit_cli.recognition.predict",
    "preprocess": "mvit_cli.recognition.recogniser",
    "read_boxes": "mvit_cli.recognition.tracked",
    "summarize": "mvit_cli.arch.summary",
    "train": "mvit_cli.training.train",
}


if not TYPE_CHECKING:  # a type checker refuses names that are not there

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'mvit_cli' has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
