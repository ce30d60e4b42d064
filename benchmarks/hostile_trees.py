"""Values that no configuration holds, put into trees that are one: JSON and YAML for `fuzz_checkpoints.py`."""

import copy
import json
import random
from typing import Any

Tree = Any

_DEEP = "@deep{}@"
"""Stands for brackets in brackets until a tree has become text: encoders refuse what is nested so deep."""

_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3,
    7,
    16,
    100,
    255,
    4096,
    4097,
    20_000,
    10**6,
    10**9,
    2**31,
    2**63,
    -(2**63),
    10**40,
    0.0,
    0.5,
    -1.5,
    1e-300,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "0",
    "conv",
    "sigmoid",
    "bce",
    "ssv2",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x9b2J\x1b[2J",
    "\u202egnp.exe\u2066",
    "\ud800",
    "../../../../etc/passwd",
    "/dev/zero",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "a\nb\r\nc",
    [],
    {},
    [0],
    [[]],
    [1, 2, 2],
    [4, 4],
    [3, 3, 3],
    [[0, 1, 2, 2]],
    [[1, 10**9, 2, 2]],
    [[10**9, 1, 2, 2]],
    [[0.5, None, "x", []]],
    [[1, 2.0]],
    [0.45, 0.45, 0.45],
    [0, 0, 0],
    [10**400, 1, 1],
    {"ENABLE": True},
    {"a": {"b": {"c": [1, 2, {"d": None}]}}},
)


def nasty(rng: random.Random) -> Tree:
    """One value that is out of place."""
    match rng.randrange(12):
        case 0:
            return "x" * int(10 ** rng.uniform(0, 5.5))
        case 1:
            return [rng.choice(_VALUES)] * int(10 ** rng.uniform(0, 4.5))
        case 2:
            return _DEEP.format(int(10 ** rng.uniform(1, 5)))
        case 3:
            return {f"k{number}": rng.choice(_VALUES) for number in range(int(10 ** rng.uniform(0, 3.5)))}
        case 4:
            return rng.choice((rng.randint(-10, 400), rng.uniform(-10, 10), 2 ** rng.randint(0, 70)))
        case _:
            return copy.deepcopy(rng.choice(_VALUES))


def places(tree: Tree) -> list[tuple[Any, Any]]:
    """Every container of a tree with every key or index in it."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        entries = (
            list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
        )
        found += [(node, key) for key, _ in entries]
        waiting += [value for _, value in entries]
    return found


def mutated(tree: Tree, rng: random.Random, most: int = 3) -> Tree:
    """The tree with one to `most` of its values changed, taken out, moved or doubled."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.randint(1, most)):
        if rng.random() < 0.02:
            return nasty(rng)
        found = places(tree)
        if not found:
            return nasty(rng)
        node, key = rng.choice(found)
        match rng.randrange(10):
            case 0:
                del node[key]
            case 1:
                other, place = rng.choice(found)
                other[place] = copy.deepcopy(node[key])
            case 2 if isinstance(node, dict):
                node[rng.choice(("", "x" * 5000, "\x1b[2J", str(nasty(rng))[:200]))] = node.pop(key)
            case 3 if isinstance(node, list):
                node.insert(key, nasty(rng))
            case 4 if isinstance(node[key], int | float):
                node[key] = node[key] * rng.choice((-1, 0, 0.5, 2, 10, 1000, 10**6)) + rng.choice((0, 0, 1))
            case 5:
                node[key] = str(node[key])
            case 6:
                node[key] = rng.choice(([node[key]], {"x": node[key]}, [node[key], node[key]]))
            case _:
                node[key] = nasty(rng)
    return tree


MOST_TEXT = 20 << 20
"""Characters; attacks have at most 10 MB."""


def json_text(tree: Tree) -> str:
    """A tree as JSON; what could not be encoded is text."""
    try:
        text = json.dumps(tree, default=str)
    except (RecursionError, ValueError):
        text = "null"
    return _deepened(text)


def python_text(tree: Tree) -> str:
    """A tree as MMEngine writes its configuration: `name = literal` a line, dictionaries as calls here and there."""
    entries = tree.items() if isinstance(tree, dict) else [("model", tree)]
    return _deepened("\n".join(f"{str(name)[:200]} = {_literal(value)}" for name, value in entries).replace("'@", '"@'))


def _literal(value: Tree) -> str:
    if isinstance(value, dict) and value and all(str(key).isidentifier() for key in value):
        return f"dict({', '.join(f'{key}={_literal(inner)}' for key, inner in value.items())})"
    return repr(value)


def _deepened(text: str) -> str:
    """Marks become lists in lists; of a text that is larger than any attack may be by then, the rest stay marks."""
    parts, place, written = [], 0, 0
    while (start := text.find('"@deep', place)) >= 0 and written < MOST_TEXT:
        end = text.find("@", start + 2)
        if end < 0:  # of a longer text, cut off
            break
        digits = text[start + 6 : end]
        depth = int(digits) if digits.isdigit() and len(digits) < 7 else 3
        parts += [text[place:start], "[" * depth, "]" * depth]
        written += start - place + 2 * depth
        place = end + 2
    return "".join([*parts, text[place:]])


_YAML = (
    "A: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"B{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else '*a'] * 9)}]\n" for i in range(9)),
    "DATA: &d {NUM_FRAMES: 8}\nMVIT:\n  <<: *d\n",
    "MVIT: &m\n  SELF: *m\n",
    "MVIT: !!python/object/apply:os.system ['touch RAN']\n",
    "MVIT: !!python/name:os.system\n",
    "MVIT: !!binary AAAA\n",
    "MVIT: !!set {a, b}\n",
    "MVIT: !!omap [a: 1]\n",
    "MVIT: !!timestamp 9999-99-99\n",
    "MVIT: {POOL_Q_STRIDE: 1:2:3:4, DEPTH: 0o17, X: 0b11, Y: 1_000_000_000}\n",
    "? [a, [b]]\n: c\nMVIT: {}\n",
    "? {a: 1}\n: c\n",
    "%YAML 1.1\n---\nMVIT: {}\n...\n---\nMVIT: []\n",
    "MVIT: {DEPTH: " + "9" * 5000 + "}\n",
    "MVIT: {DEPTH: 1e999999, X: .inf, Y: -.INF, Z: .NaN}\n",
    "MVIT: |\n" + "  long line\n" * 5000,
    "MVIT: {" + ", ".join(f"k{i}: {i}" for i in range(9000)) + "}\n",
    "- " * 3000 + "x\n",
    "MVIT: {a: 2001-01-01 00:00:00.1234567890123456789012345, b: 0001-01-01T00:00:00-23:59}\n",
    "\ufeffMVIT: {}\n",
    "MVIT: {}\n\x00\n",
    "MVIT: 'unfinished\n",
    "&" + "a" * 5000 + " MVIT: {}\n",
    "!<tag:yaml.org,2002:map> {MVIT: !<tag:yaml.org,2002:int> x}\n",
)
"""Texts that are hard on a reader of YAML."""


def yaml_text(tree: Tree, rng: random.Random) -> str:
    """A configuration as YAML, which JSON is, or one of the hard ones before or after it."""
    text = json_text(tree)
    if rng.random() < 0.75:
        return text
    lines = "\n".join(f"{name}: {json_text(value)}" for name, value in tree.items()) if isinstance(tree, dict) else text
    hard = rng.choice(_YAML)
    return rng.choice((hard, f"{lines}\n{hard}", f"{hard}\n{lines}"))
