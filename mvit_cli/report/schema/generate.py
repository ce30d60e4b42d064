"""The JSON Schemas (2020-12) of what the commands write, made from the types in `records.py`.

`python -m mvit_cli.report.schema.generate` writes them into the files beside this one; a test says that they are these.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from mvit_cli import findings, records, trained
from mvit_cli.report.schema.meanings import meaning_of
from mvit_cli.rules import Rule

PREFIX = "urn:mvit:schema:"

_ROOTS: dict[str, tuple[str, dict[str, Any]]] = {
    # The first ones own the types that later ones share. Titles, and the names that roots have among the definitions.
    "summarize": ("mvit summarize --format json", {"summary": records.Summary, "comparison": records.Comparison}),
    "predict": (
        "mvit predict --format jsonl (a row) and json (the document)",
        {"ok": records.OkRow, "error": records.ErrorRow, "document": records.PredictDocument},
    ),
    "events": (
        "mvit predict --window S --events --format jsonl (a row) and json (the document)",
        {"event": findings.EventRow, "error": records.ErrorRow, "event_document": findings.EventDocument},
    ),
    "profile": ("mvit profile --format json", {"profile": records.Profile}),
    "train": ("mvit train --format json", {"trained": trained.Trained}),
    "embed": (
        "mvit embed -o FILE.jsonl (a row)",
        {"embedded": findings.EmbeddedRow, "unembedded": findings.UnembeddedRow},
    ),
    "similar": (
        "mvit similar --format jsonl (an answer, or a group)",
        {"answer": findings.Answer, "group": findings.DuplicateGroup},
    ),
    "eval": ("mvit eval --format json", {"evaluation": findings.Evaluation}),
    "export": ("mvit export, in a pipe", {"exported": findings.Exported}),
    "calibrate": ("mvit calibrate --format json", {"calibrated": findings.Calibrated}),
    "watch": ("mvit watch --format jsonl (a row)", {"watched": findings.LiveRow}),
    "log": (
        "mvit predict --log FILE (a line); embed and eval write the same",
        {
            "started": findings.LogStarted,
            "warning": findings.LogWarning,
            "failed": findings.LogError,
            "written": findings.LogWritten,
            "finished": findings.LogFinished,
            "stopped": findings.LogStopped,
        },
    ),
}
_NAMES = {kind: name for _, roots in _ROOTS.values() for name, kind in roots.items()} | {
    records.DescribedWeights: "weights"
}
"""Of the definitions of records; all others go by their class: `RowTiming` is `row_timing`."""

_SCALARS = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}
_KEYWORDS = {
    "description": "description",
    "minimum": "minimum",
    "exclusive_minimum": "exclusiveMinimum",
    "maximum": "maximum",
    "pattern": "pattern",
    "min_length": "minLength",
    "min_items": "minItems",
    "max_items": "maxItems",
    "required": "required",
}


def records_in_schemas() -> list[Any]:
    """The types of all records in them."""
    owners: dict[Any, str] = {}
    _made(owners)
    return list(owners)


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each command, by its name; they refer to each other by `$id`."""
    return _made({})


def _made(owners: dict[Any, str]) -> dict[str, dict[str, Any]]:
    made = {}
    for command, (title, roots) in _ROOTS.items():
        maker = _Maker(command, owners)
        references = [maker.schema_of(kind) for kind in roots.values()]
        made[command] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": PREFIX + command,
            "title": title,
            **(references[0] if len(references) == 1 else {"oneOf": references}),
            "$defs": dict(sorted(maker.definitions.items())),
        }
    return made


def text_of(schema: dict[str, Any]) -> str:
    """A schema as the text of its file."""
    return json.dumps(schema, indent=2) + "\n"


@dataclass
class _Maker:
    """Makes one schema.

    Attributes:
        command: whose it is.
        owners: the command whose schema defines a record.
        definitions: schemas of the records so far, by name.
    """

    command: str
    owners: dict[Any, str]
    definitions: dict[str, Any] = field(default_factory=dict)

    def schema_of(self, kind: Any) -> dict[str, Any]:
        """The schema of a value of this type."""
        origin, args = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self._ruled(args[0], args[1:])
        if origin is NotRequired:
            return self.schema_of(args[0])
        if origin in (Union, UnionType):
            return {"anyOf": [self.schema_of(one) for one in args]}
        if origin is Literal:
            return {"const": args[0]} if len(args) == 1 else {"enum": list(args)}
        if origin is list:
            return {"type": "array", "items": self.schema_of(args[0])}
        if origin is dict:
            keys = {} if args[0] is str else {"propertyNames": self.schema_of(args[0])}
            return {"type": "object", **keys, "additionalProperties": self.schema_of(args[1])}
        if is_typeddict(kind):
            return self._reference(kind)
        return {"type": _SCALARS[kind]}

    def _ruled(self, kind: Any, rules: tuple[Rule, ...]) -> dict[str, Any]:
        schema = self.schema_of(kind)
        for rule in rules:
            values = {keyword: getattr(rule, name) for name, keyword in _KEYWORDS.items()}
            told = {keyword: value for keyword, value in values.items() if value not in ("", None, ())}
            if schema.get("type") == "object" and "pattern" in told:
                told["propertyNames"] = {"pattern": told.pop("pattern")}
            schema = schema | {name: list(value) if name == "required" else value for name, value in told.items()}
        return schema

    def _reference(self, record: Any) -> dict[str, Any]:
        owner = self.owners.setdefault(record, self.command)
        name = _NAMES.get(record) or re.sub(r"(?<!^)(?=[A-Z])", "_", record.__name__).lower()
        if owner != self.command:
            return {"$ref": f"{PREFIX}{owner}#/$defs/{name}"}
        if name not in self.definitions:
            self.definitions[name] = {}  # a record may hold itself
            self.definitions[name] = self._object(record)
        return {"$ref": f"#/$defs/{name}"}

    def _object(self, record: Any) -> dict[str, Any]:
        hints = get_type_hints(record, include_extras=True)
        return {
            **({"description": record.__doc__.strip()} if record.__doc__ else {}),
            "type": "object",
            "required": [key for key in hints if key in record.__required_keys__],
            "additionalProperties": False,
            "properties": {key: self._described(record, key, kind) for key, kind in hints.items()},
        }

    def _described(self, record: Any, key: str, kind: Any) -> dict[str, Any]:
        """The schema of a key, with what it means: its own rule, the list of meanings, or its record."""
        schema = self.schema_of(kind)
        told = schema.get("description") or meaning_of(record.__name__, key) or _of_record(kind)
        return {**schema, "description": told} if told else schema


def _of_record(kind: Any) -> str:
    """What is said of the record that a key holds, alone or in a list; empty where there is none."""
    while get_origin(kind) is not None:
        kind = next(one for one in get_args(kind) if one is not NoneType)
    return (kind.__doc__ or "").strip() if is_typeddict(kind) else ""


def main() -> None:
    """Writes the schemas into their files."""
    for name, schema in schemas().items():
        Path(__file__).with_name(f"{name}.json").write_text(text_of(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
