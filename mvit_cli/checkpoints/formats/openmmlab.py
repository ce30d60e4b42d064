"""The configuration that MMEngine writes beside weights: literals in Python's notation, which are never evaluated."""

import io
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mvit_cli.errors import CheckpointError

MAX_LETTERS, MAX_DEPTH = 1 << 17, 24


@dataclass(frozen=True)
class Pipeline:
    """What the test pipeline does with a file; None where no step tells.

    Attributes:
        sampler: `SampleFrames` or `UniformSample`; None: images.
        crops: 1 or 3.
    """

    sampler: Literal["SampleFrames", "UniformSample"] | None = None
    frames: Any = None
    interval: Any = None
    clips: Any = None
    resize: Any = None
    bicubic: bool = False
    crop: Any = None
    crops: int | None = None


@dataclass(frozen=True)
class Meta:
    """What `meta` says that matters for inference; mean and std of values from 0 to 255."""

    mean: Any = None
    std: Any = None
    to_rgb: Any = None
    activation: Literal["softmax", "sigmoid"] | None = None
    classes: tuple[str, ...] | None = None
    pipeline: Pipeline = field(default_factory=Pipeline)


def read_meta(meta: Mapping[Any, Any]) -> Meta:
    """What the `meta` of an MMEngine checkpoint says.

    Raises:
        CheckpointError: its configuration is larger than any.
    """
    text = meta.get("cfg")
    cfg = read_assignments(text) if isinstance(text, str) else {}
    model = _dict(cfg.get("model"))
    shown = _dict(model.get("data_preprocessor")) or _dict(cfg.get("data_preprocessor"))
    head = _dict(model.get("cls_head")) or _dict(model.get("head"))
    steps = _test_steps(cfg)
    shown = shown or next((step for step in steps if _type(step) == "Normalize"), {})  # before MMEngine
    dataset = _dict(meta.get("dataset_meta"))
    names = dataset.get("classes") or dataset.get("CLASSES") or meta.get("CLASSES")
    return Meta(
        mean=shown.get("mean"),
        std=shown.get("std"),
        to_rgb=shown.get("to_rgb"),
        activation=_activation(head),
        classes=tuple(names) if isinstance(names, list | tuple) and all(isinstance(n, str) for n in names) else None,
        pipeline=_pipeline(steps),
    )


def _test_steps(cfg: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The test pipeline by its name, or of the data that is tested on; else that of validation."""
    for part in ("test", "val"):
        dataset = _dict(_dict(cfg.get(f"{part}_dataloader")).get("dataset")) or _dict(_dict(cfg.get("data")).get(part))
        while isinstance(dataset.get("dataset"), dict):  # wrapped, as to be repeated
            dataset = dataset["dataset"]
        for steps in (dataset.get("pipeline"), cfg.get(f"{part}_pipeline")):
            if isinstance(steps, list) and steps:
                return [step for step in steps if isinstance(step, dict)]
    return []


def _type(step: Mapping[str, Any]) -> str:
    """The class of a step, without its modules."""
    return str(step.get("type", ""))[:80].rpartition(".")[2]


def refuse_other_backbones(meta: Mapping[Any, Any]) -> None:
    """Raises CheckpointError if a class token stands in the file that its backbone does without."""
    text = meta.get("cfg")
    backbone = _dict(_dict((read_assignments(text) if isinstance(text, str) else {}).get("model")).get("backbone"))
    for switch in ("with_cls_token", "output_cls_token"):
        if backbone.get(switch) is False and str(backbone.get("type", ""))[:80].rpartition(".")[2] == "MViT":
            raise CheckpointError(
                f"the file's meta says {switch}=False: the classifier sees another token than this network's",
                "mvit runs MMAction2's MViT with its class token",
            )


def _activation(head: Mapping[str, Any]) -> Literal["softmax", "sigmoid"] | None:
    if not head:
        return None
    loss = _dict(head.get("loss_cls") or head.get("loss"))
    sigmoid = (
        head.get("multi_class") is True or "BCE" in str(loss.get("type", ""))[:80] or loss.get("use_sigmoid") is True
    )
    return "sigmoid" if sigmoid else "softmax"


def _pipeline(steps: list[dict[str, Any]]) -> Pipeline:
    told: dict[str, Any] = {}
    for step in steps:
        match _type(step):
            case "SampleFrames" | "UniformSample" as sampler:
                clips = step.get("num_clips", 1)
                if step.get("twice_sample") is True and type(clips) is int:
                    clips *= 2
                told |= {"sampler": sampler, "frames": step.get("clip_len"), "clips": clips}
                told |= {"interval": step.get("frame_interval", 1)}
            case "Resize":
                told |= _short_side(step)
            case "ResizeEdge":
                told |= {"resize": step.get("scale"), "bicubic": step.get("interpolation") == "bicubic"}
            case "CenterCrop" | "ThreeCrop" | "TenCrop" as cut:
                crops = {"CenterCrop": 1, "ThreeCrop": 3}.get(cut)  # ten are five and their mirror images
                told |= {"crop": _side(step.get("crop_size")), "crops": crops}
    return Pipeline(**told)


def _short_side(step: Mapping[str, Any]) -> dict[str, Any]:
    """Of a step that keeps the proportions: `scale=(-1, 256)`, and before MMEngine `size=(256, -1)` for images."""
    scale, size = step.get("scale"), step.get("size")
    if isinstance(size, tuple | list) and len(size) == 2 and size[1] == -1:
        return {"resize": size[0], "bicubic": step.get("interpolation") == "bicubic"}
    pair = isinstance(scale, tuple | list) and len(scale) == 2 and scale[0] == -1
    return {"resize": scale[1] if pair and scale and step.get("keep_ratio", True) is not False else None}


def _side(size: Any) -> Any:
    """The side of a crop: a number, or two equal ones."""
    return size[0] if isinstance(size, tuple | list) and len(size) == 2 and size[0] == size[1] else size


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# --- Python's notation


def read_assignments(text: str) -> dict[str, Any]:
    """`name = literal` a line; `dict(a=1)` is a dictionary, and what is no literal is None.

    Raises:
        CheckpointError: the text is longer or deeper than any configuration.
    """
    if len(text) > MAX_LETTERS:
        raise CheckpointError(f"the file's configuration has {len(text):,} letters", "save the weights without it")
    try:
        return _Reader(text).assignments()
    except (tokenize.TokenError, SyntaxError, StopIteration, ValueError):
        return {}


class _Reader:
    """A descent through the tokens of a text."""

    def __init__(self, text: str) -> None:
        skipped = (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT)
        self.tokens: Iterator[tokenize.TokenInfo] = (
            token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in skipped
        )
        self.token = next(self.tokens)

    def advance(self) -> str:
        """The text of the token that is left behind."""
        text = self.token.string
        self.token = next(self.tokens)
        return text

    def assignments(self) -> dict[str, Any]:
        """All of a text."""
        found: dict[str, Any] = {}
        while self.token.type != tokenize.ENDMARKER:
            if self.token.type == tokenize.NEWLINE:
                self.advance()
                continue
            name = self.advance()
            if self.token.string == "=":
                self.advance()
                found[name] = self.value(0)
            while self.token.type not in (tokenize.NEWLINE, tokenize.ENDMARKER):
                self.advance()
        return found

    def value(self, depth: int) -> Any:
        """One literal."""
        if depth > MAX_DEPTH:
            raise CheckpointError("the file's configuration is nested too deep", "save the weights without it")
        text = self.advance()
        if text == "-":
            inner = self.value(depth + 1)
            return -inner if type(inner) in (int, float) else None
        if text in ("[", "("):
            items, commas = self.items({"[": "]", "(": ")"}[text], depth)
            return (
                items[0] if text == "(" and len(items) == 1 and not commas else items if text == "[" else tuple(items)
            )
        if text == "{":
            return self.pairs("}", ":", depth)
        if text == "dict" and self.token.string == "(":
            self.advance()
            return self.pairs(")", "=", depth)
        return self.plain(text, depth)

    def plain(self, text: str, depth: int) -> Any:
        """A word, a number or text; strings beside each other are one. A call of anything else is skipped."""
        if text[:1] in "'\"":
            parts = [text[1:-1]]
            while self.token.type == tokenize.STRING:
                parts.append(self.advance()[1:-1])
            return "".join(parts)
        if self.token.string == "(":
            self.skip_brackets()
            return None
        if text[:1].isdigit() or text[:1] == ".":
            return float(text) if any(c in text for c in ".eE") else int(text)
        return {"True": True, "False": False}.get(text)

    def skip_brackets(self) -> None:
        """Over the arguments of a call, whatever they are."""
        open_brackets = 0
        while True:
            open_brackets += {"(": 1, ")": -1}.get(self.advance(), 0)
            if not open_brackets:
                return

    def items(self, end: str, depth: int) -> tuple[list[Any], int]:
        """Values up to the closing bracket, and how many commas there were."""
        found, commas = [], 0
        while self.token.string != end:
            found.append(self.value(depth + 1))
            if self.token.string == ",":
                commas += 1
                self.advance()
            elif self.token.string != end:
                raise ValueError("no list")
        self.advance()
        return found, commas

    def pairs(self, end: str, between: str, depth: int) -> dict[Any, Any]:
        """Names and values up to the closing bracket."""
        found = {}
        while self.token.string != end:
            key = self.value(depth + 1) if between == ":" else self.advance()
            if self.advance() != between:
                raise ValueError("no dictionary")
            value = self.value(depth + 1)
            if isinstance(key, str | int | float):
                found[key] = value
            if self.token.string == ",":
                self.advance()
            elif self.token.string != end:
                raise ValueError("no dictionary")
        self.advance()
        return found
