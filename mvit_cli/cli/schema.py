"""`mvit schema`: what scripts may rely on in the JSON of a command, as a JSON Schema."""

from typing import Annotated

import typer

from mvit_cli.errors import UsageError


def schema_command(
    command: Annotated[
        str,
        typer.Argument(
            metavar="COMMAND", help="A command that writes JSON, as predict; or events.", show_default=False
        ),
    ],
) -> None:
    """Print the JSON Schema of what a command writes."""
    from mvit_cli.report.schema import schema_names, schema_of
    from mvit_cli.report.tables import write_json

    if command not in schema_names():
        from difflib import get_close_matches

        near = get_close_matches(command, schema_names(), n=1)
        told = f"nearest: {near[0]}" if near else f"there are {', '.join(schema_names())}"
        raise UsageError(f"there is no schema of {command!r}", told)
    write_json(schema_of(command))
