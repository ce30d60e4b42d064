"""Pickles that mean harm: calls, bombs and nonsense, each as opcodes that leave one object on the stack."""

import random
import struct

CANARY = "RAN"
"""A file of this name appears in the working folder if one of the calls was made."""

_CALLS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("os", "system", (f"touch {CANARY}",)),
    ("posix", "system", (f"touch {CANARY}",)),
    ("subprocess", "getoutput", (f"touch {CANARY}",)),
    ("subprocess", "Popen", (f"touch {CANARY}",)),
    ("builtins", "eval", (f"open('{CANARY}', 'w')",)),
    ("builtins", "exec", (f"open('{CANARY}', 'w')",)),
    ("__builtin__", "eval", (f"open('{CANARY}', 'w')",)),
    ("builtins", "open", (CANARY, "w")),
    ("io", "open", (CANARY, "w")),
    ("builtins", "__import__", ("antigravity",)),
    ("importlib", "import_module", ("antigravity",)),
    ("runpy", "run_path", (CANARY,)),
    ("pathlib", "Path.touch", (CANARY,)),
    ("shutil", "rmtree", ("..",)),
    ("os", "mkdir", (CANARY,)),
    ("ctypes", "CDLL", ("libc.so.6",)),
    ("socket", "create_connection", ("127.0.0.1", "9")),
    ("torch", "load", (CANARY,)),
    ("torch.hub", "load_state_dict_from_url", ("http://127.0.0.1:9/x",)),
    ("torch.storage", "_load_from_bytes", (CANARY,)),
    ("torch._utils", "_rebuild_tensor_v2", ("x", "y")),
    ("torch._utils", "_rebuild_sparse_tensor", ("x", "y")),
    ("torch._utils", "_rebuild_parameter", ()),
    ("torch._utils", "_rebuild_wrapper_subclass", ("x",)),
    ("torch._tensor", "_rebuild_from_type_v2", ("x", "y", "z", "w")),
    ("torch.jit._pickle", "build_intlist", ("x",)),
    ("torch", "Size", ("x",)),
    ("torch", "device", ("cuda:99",)),
    ("numpy.core.multiarray", "scalar", ("x",)),
    ("numpy.core.multiarray", "_reconstruct", ("x",)),
    ("collections", "OrderedDict", ("x",)),
    ("collections", "defaultdict", ("x", "y")),
    ("operator", "attrgetter", ("system",)),
    ("functools", "partial", ("x",)),
    ("evil", "\x1b]52;c;ZXZpbA==\x07", ()),
    ("argparse", "Namespace", ()),
    ("omegaconf.dictconfig", "DictConfig", ()),
    ("x" * 3000, "y", ()),
)


def text(value: str) -> bytes:
    """BINUNICODE."""
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def call(rng: random.Random) -> bytes:
    """A call of something dangerous, or of something that rebuilds tensors, in one of the ways that pickles know."""
    module, name, arguments = rng.choice(_CALLS)
    pushed = b"".join(text(argument) for argument in arguments)
    named = f"c{module}\n{name}\n".encode("utf-8", "surrogatepass")
    state = rng.choice((b"", b"}b", b"}" + text("__setstate__") + named + b"sb", b"N}\x86b"))
    match rng.randrange(7):
        case 0:
            return named + b"(" + pushed + b"tR" + state
        case 1:
            return b"(" + pushed + f"i{module}\n{name}\n".encode() + state
        case 2:
            return b"(" + named + pushed + b"o" + state
        case 3:
            return named + b"(" + pushed + b"t\x81" + state
        case 4:
            return named + b"(" + pushed + b"t}" + text("k") + text("v") + b"s\x92" + state
        case 5:
            return text(module[:200]) + text(name) + b"\x93(" + pushed + b"tR" + state
        case _:
            return named + state


def bomb(rng: random.Random) -> bytes:
    """Few bytes that ask for much: depth, doubling, lengths that are not there, or very many objects."""
    many = int(10 ** rng.uniform(2, 5.8))
    match rng.randrange(20):
        case 0:
            return b"]" * many + b"a" * (many - 1)
        case 1:
            return b")" + b"\x85" * many
        case 2:
            return b"(" * many + b"t" * many
        case 3:
            return b"]q\x00" + b"h\x00h\x00\x86q\x00" * (many // 4)
        case 4:
            return b"}q\x00" + text("self") + b"h\x00s"
        case 5:
            return b"]q\x00h\x00a"
        case 6:
            return text("x" * (many * 16))
        case 7:
            return b"X" + struct.pack("<I", rng.choice((2**31, 2**32 - 1, 10**9)))
        case 8:
            return rng.choice((b"\x8e", b"\x8d", b"\x96")) + struct.pack("<Q", rng.choice((2**63, 2**40, 10**10)))
        case 9:
            return b"\x8b" + struct.pack("<i", rng.choice((2**31 - 1, -1, 10**6, 65))) + b"\x01" * 65
        case 10:
            return b"I" + b"9" * rng.choice((100, 4000, 60_000)) + b"\n"
        case 11:
            return b"](" + b"K\x01" * many + b"e"
        case 12:
            return b"}(" + b"".join(b"J" + struct.pack("<i", number) + b"N" for number in range(many // 4)) + b"u"
        case 13:
            return b"r".join((b"N", struct.pack("<I", rng.choice((2**31, 2**32 - 1, 0)))))
        case 14:
            return b"\x95" + struct.pack("<Q", rng.choice((0, 2**63, many))) + b"N"
        case 15:
            return b"}(" + b")\x85N" * 3 + b"}N" + b"]N" + b"NN" + b"G" + struct.pack(">d", float("nan")) + b"Nu"
        case 16:
            return b"}" + (b"}" + text("k")) * min(many, 50_000) + b"N" + b"s" * min(many, 50_000)
        case 17:
            return b"ccollections\nOrderedDict\n](" + b"K\x01K\x02\x86" * (many // 4) + b"e\x85R"
        case 18:
            return b"P" + text("storage")[5:] + b"\n"
        case _:
            return b"ctorch\nSize\n](" + b"K\x01" * min(many, 10_000) + b"e\x85R"


def nonsense(rng: random.Random) -> bytes:
    """Opcodes in any order, with arguments of any kind."""
    parts = []
    for _ in range(rng.randint(1, 60)):
        opcode = rng.choice(
            b"()0124NRUTXCBcdegilmnopqrstuab]}.QPVSFGIJKLM\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8f\x90\x91\x92\x93\x94\x95\x97\x98"
        )
        parts.append(bytes([opcode]) + rng.randbytes(rng.choice((0, 0, 0, 1, 2, 4))))
    return b"".join(parts)


def storage(kind: str, key: str, count: int) -> bytes:
    """A reference to a storage, as torch writes it."""
    number = b"\x8a\x09" + count.to_bytes(9, "little", signed=True)
    return b"(" + text("storage") + f"ctorch\n{kind}Storage\n".encode() + text(key) + text("cpu") + number + b"tQ"


def tensor(rng: random.Random, key: str, count: int) -> bytes:
    """A tensor over a storage: right, or of a kind, shape, strides or offset that the numbers do not bear out."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"\x8a\x09" + (v % 2**70).to_bytes(9, "little", signed=True) for v in values) + b"t"

    kind = rng.choice(("Float", "Float", "Float", "Half", "Double", "Long", "Bool", "ComplexFloat", "QInt8", "Quux"))
    shapes = ((count,), (count, 1), (1, count), (0,), (), (2**40,), (2**31, 2**31), (count,) * 3, (1,) * 9, (1,) * 70)
    strides = ((1,), (0,), (2**40,), (0, 0), (1, 0), (), (1,) * 9)
    shape, stride = rng.choice(shapes), rng.choice(strides)
    offset = rng.choice((0, 0, 0, 1, 2**40, 2**62))
    told = rng.choice((count, count, count, 0, 1, 2**40, 2**62))
    built = storage(kind, key, told) + numbers((offset,)[:1])[1:-1] + numbers(shape) + numbers(stride)
    function = rng.choice(("_rebuild_tensor_v2", "_rebuild_tensor_v2", "_rebuild_tensor", "_rebuild_tensor_v3"))
    rest = b"\x89ccollections\nOrderedDict\n)R" + (b"ctorch\nfloat8_e4m3fn\n" if function.endswith("3") else b"")
    return f"ctorch._utils\n{function}\n(".encode() + built + (rest if function != "_rebuild_tensor" else b"") + b"tR"


def payload(rng: random.Random) -> bytes:
    """Any of these."""
    return rng.choice((call, call, bomb, bomb, nonsense))(rng)
