"""Values in Python's notation, as MMEngine writes its configurations: read token by token, and never evaluated."""

import io
import re
import tokenize
from collections.abc import Iterator
from typing import Any

from mvit_cli.errors import CheckpointError

MAX_LETTERS, MAX_DEPTH = 1 << 17, 24

_ENDS = (",", ")", "]", "}", ":", "")
"""What a value ends with; of anything else it is part of an expression."""

_NUMBERS = re.compile(r"[\s\d.,eE+()\[\]-]{1,400}")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_assignments(text: str) -> dict[str, Any]:
    """`name = literal` a line; `dict(a=1)` is a dictionary, a name what was assigned to it; expressions are None.

    Raises:
        CheckpointError: the text is longer or deeper than any configuration.
    """
    if len(text) > MAX_LETTERS:
        raise CheckpointError(f"the file's configuration has {len(text):,} letters", "save the weights without it")
    try:
        return _Reader(text).assignments()
    except (tokenize.TokenError, SyntaxError, StopIteration, ValueError):
        return {}


def read_number(text: str) -> Any:
    """The number, or the list of numbers, that a text writes; any other text as it is."""
    if text in _WORDS:
        return _WORDS[text]
    if not _NUMBERS.fullmatch(text):
        return text
    found = read_assignments(f"value = {text.strip()}").get("value")
    return text if found is None else found


_WORDS = {"True": True, "False": False, "None": None}


class _Reader:
    """A descent through the tokens of a text."""

    def __init__(self, text: str) -> None:
        skipped = (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT)
        self.tokens: Iterator[tokenize.TokenInfo] = (
            token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in skipped
        )
        self.token = next(self.tokens)
        self.names: dict[str, Any] = {}

    def advance(self) -> str:
        """The text of the token that is left behind."""
        text = self.token.string
        self.token = next(self.tokens)
        return text

    def assignments(self) -> dict[str, Any]:
        """All of a text."""
        while self.token.type != tokenize.ENDMARKER:
            if self.token.type == tokenize.NEWLINE:
                self.advance()
                continue
            name = self.advance()
            if self.token.string == "=":
                self.advance()
                self.names[name] = self.value(0)
            while self.token.type not in (tokenize.NEWLINE, tokenize.ENDMARKER):
                self.advance()
        return self.names

    def value(self, depth: int) -> Any:
        """What stands up to the next comma or closing bracket; None if that is an expression."""
        if depth > MAX_DEPTH:
            raise CheckpointError("the file's configuration is nested too deep", "save the weights without it")
        found = self.operand(depth)
        if self.token.string.strip() in _ENDS:
            return found
        self.skip_expression()
        return None

    def operand(self, depth: int) -> Any:
        """One literal or name."""
        text = self.advance()
        if text in ("-", "+"):
            inner = self.operand(depth)
            number = type(inner) in (int, float)
            return (-inner if text == "-" else inner) if number else None
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
        return self.plain(text)

    def plain(self, text: str) -> Any:
        """A word, a number or text; strings beside each other are one. A call of anything else is skipped."""
        if text[:1] in "'\"":
            parts = [_unquoted(text)]
            while self.token.type == tokenize.STRING:
                parts.append(_unquoted(self.advance()))
            return "".join(parts)
        if self.token.string == "(":
            self.skip_brackets()
            return None
        if text[:1].isdigit() or text[:1] == ".":
            try:
                return int(text)
            except ValueError:
                return float(text) if text[-1:] not in "jJ" and text[:2].lower() != "0x" else None
        return _WORDS[text] if text in _WORDS else self.names.get(text)

    def skip_brackets(self) -> None:
        """Over the arguments of a call, whatever they are."""
        open_brackets = 0
        while True:
            open_brackets += {"(": 1, ")": -1}.get(self.advance(), 0)
            if not open_brackets:
                return

    def skip_expression(self) -> None:
        """Over what is left of an expression."""
        open_brackets = 0
        while open_brackets or self.token.string.strip() not in _ENDS:
            open_brackets += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(self.advance(), 0)

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
        """Names and values up to the closing bracket; `**name` stands for those of another dictionary."""
        found = {}
        while self.token.string != end:
            if self.token.string == "**":
                self.advance()
                others = self.value(depth + 1)
                found.update(others if isinstance(others, dict) else {})
            else:
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


def _unquoted(text: str) -> str:
    """A string without its quotes."""
    marks = 3 if text[:3] in ('"""', "'''") else 1
    return _ESCAPED.sub(lambda escape: {"n": "\n", "t": "\t"}.get(escape[1], escape[1]), text[marks:-marks])
