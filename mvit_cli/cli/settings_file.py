"""`--config FILE` and `--save-config FILE`: options in a TOML file, by their names; what the command line says wins."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from mvit_cli.errors import MViTError, UsageError

MAX_BYTES = 1 << 20


def _taken_over(context: typer.Context, path: Path | None) -> Path | None:
    """Makes the options of a file those that hold where the command line says nothing.

    Raises:
        UsageError: a key that is no option, or a value that it cannot have; names the file and the key.
        MViTError: it cannot be read.
    """
    if path is None or context.resilient_parsing:
        return path
    known = {_name(one): one for one in context.command.params if one.name not in ("config", "save_config", "help")}
    values: dict[str, Any] = {}
    for key, value in _read(path).items():
        option = known.get(key.replace("_", "-"))
        if option is None:
            raise UsageError(f"--config {path}: {context.info_name} has no option {key!r}", _near(key, list(known)))
        values[str(option.name)] = _checked(option, value, context, f"--config {path}: {key}")
    context.default_map = {**(context.default_map or {}), **values}
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=_taken_over,
        help="Options by name in a TOML file, as `top = 3`; the command line wins.",
    ),
]
SaveConfig = Annotated[
    Path | None,
    typer.Option("--save-config", metavar="FILE", help="Write the options of this run as such a file, then go on."),
]


def save(record: Any) -> None:
    """Writes the options of a record that are not as usual into the file that it names, if it names one.

    Raises:
        UsageError: the file is there already, and --force was not said.
        MViTError: it cannot be written.
    """
    path: Path | None = getattr(record, "save_config", None)
    if path is None:
        return
    if path.exists() and not (path.is_file() and getattr(record, "force", False)):
        raise UsageError(f"--save-config {path} is there already", "name another file; --force replaces it")
    names = _long_names(type(record))
    told = {
        names[part.name]: getattr(record, part.name)
        for part in fields(record)
        if part.name not in ("config", "save_config", "force") and getattr(record, part.name) != part.default
    }
    lines = [f"{name} = {_toml(value)}\n" for name, value in told.items()]
    try:
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise MViTError(f"--save-config {path}: {error.strerror}", "choose another place") from error


def _read(path: Path) -> Mapping[str, Any]:
    import tomllib

    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"--config {path} is too large for options", "name a TOML file")
        with path.open("rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is no TOML: {error}", "a line is as `top = 3` or `preset = 'B'`") from error
    except OSError as error:
        raise MViTError(f"--config {path}: {error.strerror}", "check the path") from error


def _checked(option: Any, value: Any, context: typer.Context, where: str) -> Any:
    """A value as the option takes it from the command line."""
    several = getattr(option, "multiple", False) or option.nargs == -1
    switch = getattr(option, "is_flag", False)
    if switch != isinstance(value, bool):
        raise UsageError(f"{where} is {_toml(value)}", "it takes true or false" if switch else "it is no switch")
    if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, list | dict) for one in value)):
        raise UsageError(f"{where} is a table", "write a plain value")
    if isinstance(value, list) and not several:
        value = ",".join(map(str, value))
    elif several and not isinstance(value, list):
        value = [value]
    try:
        option.type_cast_value(context, value)
    except MViTError as error:
        raise UsageError(f"{where}: {error.message}", error.hint) from error
    except typer.BadParameter.__base__ as error:  # type: ignore[misc]  # Typer exports no other of its errors
        raise UsageError(f"{where}: {error.message}", f"`{context.command_path} --help` says what it takes") from error
    return value


def _near(key: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(key.replace("_", "-"), known, n=3)
    return f"nearest: {', '.join(near)}" if near else f"there are {', '.join(known)}"


def _name(parameter: Any) -> str:
    """The long name of an option, the name of an argument."""
    longest = max(parameter.opts, key=len)
    return str(longest).lstrip("-").replace("_", "-")


def _long_names(record: type) -> dict[str, str]:
    """The name of the option behind each field."""
    names = {}
    for field, hint in get_type_hints(record, include_extras=True).items():
        declared = [one for said in hint.__metadata__ for one in (said.default, *(said.param_decls or ()))]
        forms = (one.partition("/")[0] for one in declared if isinstance(one, str) and one.startswith("--"))
        names[field] = max(forms, key=len, default=field).lstrip("-")
    return names


def _toml(value: Any) -> str:
    import json

    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else json.dumps(str(value), ensure_ascii=False)
