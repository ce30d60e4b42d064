"""`--set FIELD=VALUE`: a preset with fields of its configuration changed."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.grid import THW
from mvit_cli.errors import UsageError

_ON, _OFF = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def changed(config: MViTConfig, settings: Sequence[str]) -> MViTConfig:
    """The configuration with `field=value` settings applied at once; one value for all stages where one is given.

    Raises:
        UsageError: no such field, a value that it cannot have, or values that do not go together.
    """
    hints = {name: hint for name, hint in get_type_hints(MViTConfig).items() if name in _names()}
    values: dict[str, str] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or name not in hints:
            wrong = "is no field=value" if not equals else f"names no field of a network: {name!r}"
            raise UsageError(f"--set {setting!r} {wrong}", _near(name, list(hints)))
        values[name] = text.strip()
    stages = len(_value("stage_depths", values, hints) or ()) or len(config.stage_depths)
    read = {name: _value(name, values, hints) for name in values}
    for name, value in read.items():
        if name.startswith(("stage_", "stride_")) and len(value) == 1:
            read[name] = value * stages
    try:
        return replace(config, **read)
    except ValueError as error:
        raise UsageError(
            f"--set {' '.join(settings)}: {error}", "change the fields together that depend on it"
        ) from None


def _names() -> list[str]:
    return [part.name for part in fields(MViTConfig)]


def _near(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"nearest: {', '.join(near)}" if near else f"fields are {', '.join(names)}"


def _value(name: str, values: dict[str, str], hints: dict[str, Any]) -> Any:
    """The field's value as its type has it; None where it is not set.

    Raises:
        UsageError: says what is allowed.
    """
    if name not in values:
        return None
    try:
        return _typed(hints[name], values[name])
    except ValueError as error:
        raise UsageError(f"--set {name}={values[name]}: it takes {error}", "see `mvit summarize --help`") from None


def _typed(hint: Any, text: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if hint == THW:
        numbers = re.fullmatch(r"(\d{1,5})[x×](\d{1,5})[x×](\d{1,5})", text, re.ASCII)
        if not numbers:
            raise ValueError("time x height x width, as 1x4x4")
        return tuple(map(int, numbers.groups()))
    if origin is tuple:
        return tuple(_typed(args[0], part.strip()) for part in text.split(",") if part.strip())
    if origin is Literal:
        if text not in args:
            raise ValueError(" or ".join(args))
        return text
    if type(None) in args:
        return None if text.lower() == "none" else _typed(next(arg for arg in args if arg is not type(None)), text)
    if hint is bool:
        if text.lower() not in _ON + _OFF:
            raise ValueError("true or false")
        return text.lower() in _ON
    if hint is int:
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
            raise ValueError("whole numbers")
        return int(text)
    try:
        return float(text)
    except ValueError:
        raise ValueError("a number") from None
