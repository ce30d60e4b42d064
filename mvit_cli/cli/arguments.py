"""A command whose options are the fields of one record."""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar, get_type_hints

from mvit_cli.cli.help import HelpedCommand
from mvit_cli.cli.settings_file import save

Record = TypeVar("Record")

LEFT_OUT = ""
"""The value of an option that may have none, and has none."""


class MayLeaveOut(HelpedCommand):
    """A command with options whose value may be left out, where they stand last or before another option.

    Typer has no such options: it is given an empty value.
    """

    optional: tuple[str, ...] = ("--heatmap",)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Takes the command line apart."""
        own = args.index("--") if "--" in args else len(args)
        followed = [*args[1:own], "-"]  # what begins with a minus is no value
        given = [
            f"{one}={LEFT_OUT}" if one in self.optional and after.startswith("-") else one
            for one, after in zip(args[:own], followed, strict=False)
        ]
        parsed: list[str] = super().parse_args(ctx, given + args[own:])
        return parsed


def taking(record: type[Record], command: Callable[[Record], None]) -> Callable[..., None]:
    """The command as typer wants it: a function with a parameter for each field of the record.

    Args:
        record: a dataclass; the type of a field is `Annotated` with its `typer.Option` or `typer.Argument`.
        command: what is done with the record.
    """
    hints = get_type_hints(record, include_extras=True)

    def called(**values: Any) -> None:
        asked = record(**values)
        save(asked)
        command(asked)

    called.__doc__ = command.__doc__
    called.__name__ = command.__name__
    called.__annotations__ = hints
    called.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                part.name, inspect.Parameter.KEYWORD_ONLY, default=_default(part), annotation=hints[part.name]
            )
            for part in fields(record)  # type: ignore[arg-type]
        ]
    )
    return called


def _default(part: "Field[Any]") -> Any:
    if part.default_factory is not MISSING:
        return part.default_factory()
    return inspect.Parameter.empty if part.default is MISSING else part.default
