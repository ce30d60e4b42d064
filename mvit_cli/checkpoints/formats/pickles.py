"""The objects in a pickle, without running anything: a reader of our own that imports no module and calls no function.

Dictionaries, lists, text and numbers come out as they are, tensors as `StoredTensor`s that say where their numbers
stand. Every other class or function is an `Inert` of that name, whatever the pickle asks to be done with it.
Source of the opcodes: CPython's `Lib/pickletools.py`.
"""

import struct
from collections.abc import Callable
from typing import IO, Any

from mvit_cli.checkpoints.formats.stand_ins import MAKERS, SCALARS, Inert, OtherTensor, PickleError, Storage, whole

MAX_BYTES = 32 << 20
"""Of a pickle without its tensors' numbers; that of the largest published checkpoint has a quarter of a megabyte."""

MAX_STEPS = 1_500_000
"""Opcodes; a training file of MViTv2-L with its optimizer has 60,000."""


class _Mark:
    """Where a run of items on the stack begins."""


_MARK = _Mark()


def read_pickle(file: IO[bytes], note: Callable[[Storage], None] | None = None) -> Any:
    """The object in a pickle; the file is left behind its end.

    Args:
        note: is told each storage that the pickle names.

    Raises:
        PickleError: it is damaged, asks for more than `MAX_BYTES` or `MAX_STEPS`, or is of no known protocol.
    """
    return _Machine(file, note).run()


class _Machine:
    """A stack, a memo, and for each opcode what it does to them."""

    def __init__(self, file: IO[bytes], note: Callable[[Storage], None] | None) -> None:
        self.file, self.left, self.steps = file, MAX_BYTES, MAX_STEPS
        self.note = note or (lambda _: None)
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The object on the stack at the STOP opcode."""
        while (opcode := self.read(1)) != b".":
            step = _STEPS.get(opcode)
            if step is None:
                raise PickleError(f"byte {opcode!r} is no opcode of a pickle")
            self.charge(1)
            step(self)
        return self.pop()

    def charge(self, steps: int) -> None:
        """Counts work that grows with what the pickle asks for."""
        self.steps -= steps
        if self.steps < 0:
            raise PickleError(f"more than {MAX_STEPS:,} steps")

    # --- bytes

    def read(self, count: int) -> bytes:
        """So many bytes, never more than are there or allowed."""
        if count > self.left:
            raise PickleError(f"more than {MAX_BYTES >> 20} MB, or a length that is longer than the file")
        data = self.file.read(count)
        if len(data) < count:
            raise PickleError("the pickle ends in the middle")
        self.left -= count
        return data

    def number(self, form: str) -> Any:
        """A number of `struct`'s form."""
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]

    def sized(self, form: str) -> bytes:
        """Bytes after their length."""
        length: int = self.number(form)
        if length < 0:
            raise PickleError(f"a length of {length}")
        return self.read(length)

    def line(self) -> str:
        """Text up to the end of the line."""
        data = self.file.readline(1 << 16)
        self.left -= len(data)
        if not data.endswith(b"\n"):
            raise PickleError("a line without an end")
        return data[:-1].decode("utf-8", "surrogateescape")

    # --- stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise PickleError("an opcode that finds nothing to work on")
        return self.stack.pop()

    def items(self) -> list[Any]:
        """What was pushed since the last mark."""
        for start in range(len(self.stack) - 1, -1, -1):
            if self.stack[start] is _MARK:
                found = self.stack[start + 1 :]
                del self.stack[start:]
                return found
        raise PickleError("the end of a run that never began")

    def top(self) -> Any:
        if not self.stack:
            raise PickleError("an opcode that finds nothing to work on")
        return self.stack[-1]

    # --- what opcodes do

    def name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise PickleError("a class whose name is no text")
        self.push(Inert(f"{module}.{name}"))

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise PickleError(f"object {index} is used before it is made")
        self.push(self.memo[index])

    def put(self, pairs: list[Any]) -> None:
        """Entries of the dictionary on top. A key that is no plain value cannot be one of a state dict."""
        target = self.top()
        if isinstance(target, dict):
            for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                if isinstance(key, SCALARS):
                    target[key] = value

    def append(self, values: list[Any]) -> None:
        target = self.top()
        if isinstance(target, list):
            target.extend(values)

    def build(self) -> None:
        """State given to an object, which nobody here has a use for."""
        self.pop()
        self.top()

    def call(self, function: Any, arguments: Any) -> None:
        """What a call would give, told without making it."""
        made: Any = Inert(function.name) if isinstance(function, Inert) else Inert("an object that is no function")
        if isinstance(function, Inert) and isinstance(arguments, tuple):
            make = MAKERS.get(function.name)
            if make:
                self.charge(len(arguments[0]) if arguments and isinstance(arguments[0], list) else 0)
                made = make(*arguments)
            elif function.name.startswith("torch._utils._rebuild"):
                made = OtherTensor(function.name.rsplit(".", 1)[1].removeprefix("_rebuild_"))
        self.push(made)

    def make(self) -> None:
        """NEWOBJ: a class and the arguments of its constructor."""
        arguments, kind = self.pop(), self.pop()
        self.call(kind, arguments)

    def storage(self, told: Any) -> None:
        """The storage that a persistent identity names: `("storage", kind, key, place, count)`.

        Files older than torch 1.6 name the classes of modules so too, with their source.
        """
        if isinstance(told, tuple) and len(told) > 1 and told[0] == "module" and isinstance(told[1], Inert):
            self.push(told[1])
            return
        if not isinstance(told, tuple) or len(told) < 5 or told[0] != "storage" or not isinstance(told[1], Inert):
            raise PickleError("a reference to something outside that is no storage")
        if len(told) > 5 and told[5] is not None:
            raise PickleError("a storage that is a view of another, as torch wrote before 0.4")
        kind = told[1].name.rsplit(".", 1)[1].removesuffix("Storage")
        if not isinstance(told[2], str):
            raise PickleError("a storage whose key is no text")
        found = Storage(kind, told[2], whole(told[4]))
        self.note(found)
        self.push(found)


def _protocol(machine: _Machine) -> None:
    if machine.number("<B") > 5:
        raise PickleError("a protocol of pickle that is not known")


def _text(form: str) -> Callable[[_Machine], None]:
    return lambda m: m.push(m.sized(form).decode("utf-8", "surrogatepass"))


def _bytes(form: str) -> Callable[[_Machine], None]:
    return lambda m: m.push(m.sized(form))


def _old_text(form: str) -> Callable[[_Machine], None]:
    """Of Python 2, where names and keys were bytes."""
    return lambda m: m.push(m.sized(form).decode("latin-1"))


def _long(form: str) -> Callable[[_Machine], None]:
    def step(machine: _Machine) -> None:
        data = machine.sized(form)
        if len(data) > 64:
            raise PickleError(f"a number of {len(data)} bytes")
        machine.push(int.from_bytes(data, "little", signed=True))

    return step


def _decimal(machine: _Machine) -> None:
    text = machine.line().removesuffix("L")
    if len(text) > 160:
        raise PickleError(f"a number of {len(text)} digits")
    machine.push({"00": False, "01": True}[text] if text in ("00", "01") else int(text))


def _tuple_of(count: int) -> Callable[[_Machine], None]:
    return lambda m: m.push(tuple([m.pop() for _ in range(count)][::-1]))


def _pair(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.put([key, value])


def _one(machine: _Machine) -> None:
    machine.append([machine.pop()])


def _dict_of_items(machine: _Machine) -> None:
    pairs = machine.items()
    machine.push({})
    machine.put(pairs)


def _reduce(machine: _Machine) -> None:
    arguments, function = machine.pop(), machine.pop()
    machine.call(function, arguments)


def _new_with_keywords(machine: _Machine) -> None:
    machine.pop()
    machine.make()


def _instance(machine: _Machine) -> None:
    """INST: a class by name, with the items of a run as arguments."""
    arguments = tuple(machine.items())
    machine.name(machine.line(), machine.line())
    machine.call(machine.pop(), arguments)


def _object(machine: _Machine) -> None:
    """OBJ: a run whose first item is the class."""
    found = machine.items()
    machine.call(found[0] if found else None, tuple(found[1:]))


def _named(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.name(module, name)


def _memoize(machine: _Machine) -> None:
    machine.remember(len(machine.memo))


_STEPS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _protocol,
    b"\x95": lambda m: m.push(m.number("<Q")) or m.stack.pop(),  # type: ignore[func-returns-value]
    b"(": lambda m: m.push(_MARK),
    b"0": lambda m: m.stack.pop() if m.top() is _MARK else m.pop(),
    b"1": lambda m: m.items().clear(),
    b"2": lambda m: m.push(m.top()),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": _decimal,
    b"L": _decimal,
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": _long("<B"),
    b"\x8b": _long("<i"),
    b"F": lambda m: m.push(float(m.line())),
    b"G": lambda m: m.push(m.number(">d")),
    b"S": lambda m: m.push(m.line().strip("'\"")),
    b"V": lambda m: m.push(m.line()),
    b"T": _old_text("<i"),
    b"U": _old_text("<B"),
    b"X": _text("<I"),
    b"\x8c": _text("<B"),
    b"\x8d": _text("<Q"),
    b"B": _bytes("<I"),
    b"C": _bytes("<B"),
    b"\x8e": _bytes("<Q"),
    b"\x96": _bytes("<Q"),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.items())),
    b"\x85": _tuple_of(1),
    b"\x86": _tuple_of(2),
    b"\x87": _tuple_of(3),
    b"]": lambda m: m.push([]),
    b"l": lambda m: m.push(m.items()),
    b"a": _one,
    b"e": lambda m: m.append(m.items()),
    b"}": lambda m: m.push({}),
    b"d": _dict_of_items,
    b"s": _pair,
    b"u": lambda m: m.put(m.items()),
    b"\x8f": lambda m: m.push([]),  # a set; only what is in it could matter
    b"\x90": lambda m: m.append(m.items()),
    b"\x91": lambda m: m.push(m.items()),
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": _named,
    b"i": _instance,
    b"o": _object,
    b"R": _reduce,
    b"\x81": _Machine.make,
    b"\x92": _new_with_keywords,
    b"b": _Machine.build,
    b"P": lambda m: m.storage(None),
    b"Q": lambda m: m.storage(m.pop()),
    b"p": lambda m: m.remember(int(m.line())),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"g": lambda m: m.recall(int(m.line())),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"\x94": _memoize,
}
