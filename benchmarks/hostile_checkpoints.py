"""Checkpoints that mean harm: every kind of attack by name, each file made from a seed and a number."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from hostile_archives import archive, bytes_changed, header, legacy, pickled, tables, unpacking
from hostile_corpus import SMALL, TIMM, Files, any_source, canonical, contents, saved, source, valid
from hostile_trees import json_text, mutated, nasty
from safetensors.torch import save

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.parameters import parameter_shapes
from mvit_cli.checkpoints.load import CONFIG_KEY, config_to_json

MAX_BYTES = 10_000_000


@dataclass(frozen=True)
class Case:
    """One attack: files for one folder, of which the first is named to the commands.

    Attributes:
        labels: whether the first file is a list of labels instead of a checkpoint.
    """

    kind: str
    files: Files
    valid: bool = False
    labels: bool = False


def beside(rng: random.Random) -> Files:
    """Configurations of PySlowFast and MMAction2, and other things beside the weights."""
    return {"w.pyth": saved(contents(any_source(rng), rng, harm=True), zipped=rng.random() < 0.9)}


def metadata(rng: random.Random) -> Files:
    """The metadata of our own safetensors files."""
    tensors, config = canonical(rng)
    own = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    told = {CONFIG_KEY: config_to_json(config), "format": "pt", "converted_from": "mvit_b_16x4.tv_k400 (torchvision)"}
    told[CONFIG_KEY] = json_text(mutated(json.loads(told[CONFIG_KEY]), rng))
    if rng.random() < 0.3:
        told[rng.choice((*told, "training_cfg"))] = str(nasty(rng))
    return {"w.safetensors": save(own, {key: value.encode("utf-8", "replace").decode() for key, value in told.items()})}


def geometry(rng: random.Random) -> Files:
    """Tensors and configuration that agree, of a clip or a structure that nobody would train."""
    for _ in range(50):
        stages = rng.choice((1, 1, 2, 3, 4))
        fields: dict[str, Any] = {
            "frames": rng.choice((1, 2, 4, 8, 16, 64, 300, 4096, 20_000)),
            "height": (side := rng.choice((8, 32, 64, 224, 512, 1024, 4096, 20_000))),
            "width": rng.choice((side, side, side, 32)),
            "num_classes": rng.choice((1, 2, 10, 20_000)),
            "stage_depths": tuple(rng.choice((1, 1, 2, 40)) for _ in range(stages)),
            "stage_channels": tuple(rng.choice((2, 8, 16)) << i for i in range(stages)),
            "stage_heads": (1,) * stages,
            "mlp_ratio": rng.choice((0.1, 1.0, 4.0, 100.0)),
            "patch_kernel": rng.choice(((1, 1, 1), (3, 7, 7), (1, 7, 7), (2, 16, 16))),
            "patch_stride": rng.choice(((1, 1, 1), (2, 4, 4), (1, 4, 4), (8, 32, 32), (1024, 1024, 1024))),
            "patch_padding": rng.choice(((0, 0, 0), (1, 3, 3), (64, 64, 64))),
            "stride_q": ((1, 1, 1), *[rng.choice(((1, 1, 1), (1, 2, 2)))] * (stages - 1)),
            "stride_kv": (rng.choice(((1, 1, 1), (1, 4, 4), (1, 8, 8), (8, 8, 8), (1, 512, 512))),) * stages,
            "pos_embed": rng.choice(("none", "none", "separate", "joint")),
            "rel_pos_space": rng.random() < 0.3,
            "rel_pos_time": rng.random() < 0.3,
            "pool_mode": rng.choice(("conv", "conv", "max", "avg")),
            "expand_in": rng.choice(("attn", "mlp")),
        }
        try:
            config = MViTConfig(**fields)
            shapes = parameter_shapes(config)
        except (ValueError, MemoryError):
            continue
        if sum(map(prod, shapes.values())) * 2 < MAX_BYTES:
            own = {name: torch.full(shape, 0.01, dtype=torch.float16) for name, shape in shapes.items()}
            return {"w.safetensors": save(own, {CONFIG_KEY: config_to_json(config), "format": "pt"})}
    return valid(rng)


def timm(rng: random.Random) -> Files:
    """`config.json` beside the weights."""
    origin = source(rng.choice([name for name in SMALL if name.startswith("small_timm")]))
    tree = json_text(mutated(TIMM, rng)).encode("utf-8", "surrogatepass")
    return {"w.pth": saved(dict(origin.tensors)), "config.json": tree}


def tensors(rng: random.Random) -> Files:
    """Other names, shapes and kinds of number; tensors that are none in memory; too few, too many."""
    origin = any_source(rng)
    state: dict[Any, Any] = dict(origin.tensors)
    for _ in range(rng.randint(1, 4)):
        name = rng.choice(list(state))
        held = state[name]
        match rng.randrange(9):
            case 0:
                del state[name]
            case 1:
                state[_odd_name(name, rng)] = state.pop(name)
            case 2 if isinstance(held, torch.Tensor):
                state[name] = _odd_kind(held, rng)
            case 3 | 4:
                state[name] = _odd_shape(rng)
            case 5:
                state[name] = nasty(rng)
            case 6:
                state = {
                    rng.choice(("module.", "model.", "x" * 300, "\x1b[2J.")) + str(key): each
                    for key, each in state.items()
                }
            case 7:
                state |= {f"{name}{number}": torch.zeros(1) for number in range(int(10 ** rng.uniform(0, 3)))}
            case _:
                state[name] = (
                    torch.nn.Parameter(held) if isinstance(held, torch.Tensor) and held.is_floating_point() else 0
                )
    content = {**contents(origin, rng), origin.key: state}
    if rng.random() < 0.2:
        content["ema_state_dict"] = state if rng.random() < 0.5 else dict(origin.tensors)
    return {"w.pth": saved(content, zipped=rng.random() < 0.8)}


def _odd_name(name: str, rng: random.Random) -> Any:
    name = str(name)
    parts = name.split(".")
    parts[rng.randrange(len(parts))] = rng.choice(
        ("", "0", "-1", "999999999", "9" * 400, "\x1b]0;evil\x07", "\u202e", "x" * 10**5, "blocks", "weight", "..", "²")
    )
    return rng.choice((".".join(parts), ".".join(parts), name + "\n", name.encode(), 7, None, (name,), 0.5))


def _odd_kind(held: torch.Tensor, rng: random.Random) -> Any:
    plain = held.detach()
    makers: tuple[Callable[[], Any], ...] = (
        plain.half,
        plain.double,
        plain.bfloat16,
        plain.int,
        plain.bool,
        lambda: plain.to(torch.complex64),
        lambda: plain.to(torch.float8_e4m3fn),
        lambda: plain.to_sparse(),
        lambda: plain.to("meta"),
        lambda: torch.quantize_per_tensor(plain.float(), 0.1, 0, torch.qint8),
        lambda: torch.full_like(plain, float("nan")),
        lambda: torch.full_like(plain, float("inf")),
        lambda: plain.reshape(-1)[:1].expand(plain.numel()).reshape(plain.shape),
        lambda: plain.numpy(),
    )
    try:
        return rng.choice(makers)()
    except (RuntimeError, TypeError):
        return None


def _odd_shape(rng: random.Random) -> torch.Tensor:
    shape = tuple(rng.choice((0, 1, 2, 3, 7, 24, 96)) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 5, 9, 20))))
    return (
        torch.zeros(shape if prod(max(n, 1) for n in shape) < 10**5 else shape[:1])
        if rng.random() < 0.8
        else torch.zeros(1).expand(10**9)
    )


def sharded(rng: random.Random) -> Files:
    """An index that names parts: missing, elsewhere, itself, or of other tensors than they hold."""
    state = {key: each.contiguous().clone() for key, each in any_source(rng).tensors.items()}
    names = list(state)
    parts = {f"p-{number}.safetensors": names[number::2] for number in range(2)}
    tree: dict[str, Any] = {
        "metadata": {"total_size": 1},
        "weight_map": {n: part for part, held in parts.items() for n in held},
    }
    if rng.random() < 0.6:
        victim = rng.choice(names)
        tree["weight_map"][victim] = rng.choice(
            (
                "../../etc/passwd",
                "/etc/passwd",
                "/dev/zero",
                "p-9.safetensors",
                "w.safetensors.index.json",
                "",
                ".",
                "a\0b",
                "x" * 5000,
            )
        )
    if rng.random() < 0.6:
        tree = mutated(tree, rng)
    written = {part: save({name: state[name] for name in held}) for part, held in parts.items()}
    return {"w.safetensors.index.json": json_text(tree).encode("utf-8", "surrogatepass"), **written}


def labels(rng: random.Random) -> Files:
    """Lists of class names."""
    names = [f"class {number}" for number in range(10)]
    trees: tuple[Any, ...] = (
        names,
        dict(enumerate(names)),
        {name: str(number) for number, name in enumerate(names)},
        {"id2label": {str(number): name for number, name in enumerate(names)}},
        [{"id": number, "name": name} for number, name in enumerate(names)],
        {str(number): [f"n{number:08}", name] for number, name in enumerate(names)},
    )
    match rng.randrange(5):
        case 0:
            lines = [
                rng.choice(("{1}", "{0},{1}", "{0} {1}", "{0}: {1}", '{0},"{1}')).format(n, name)
                for n, name in enumerate(names)
            ]
            lines[rng.randrange(10)] = str(nasty(rng))
            data = rng.choice(("\n", "\r\n", "\r", "\0")).join(lines).encode("utf-8", "surrogatepass")
        case 1:
            data = "\n".join(["id,name", *(f"{n},{name}" for n, name in enumerate([*names, nasty(rng)]))]).encode(
                "utf-8", "replace"
            )
        case 2:
            data = rng.choice(
                (b"[" * 10**5, b'{"a":' * 10**5, b"\xff\xfe[", b"\xff" * 100, b'"' * 10**6, b"," * 10**6, b"\n" * 10**6)
            )
        case _:
            data = json_text(mutated(rng.choice(trees), rng)).encode("utf-8", "surrogatepass")
    return {rng.choice(("labels.json", "labels.csv", "labels.txt")): data}


KINDS: dict[str, tuple[int, Callable[[random.Random], Files]]] = {
    "valid": (2, valid),
    "beside the weights": (18, beside),
    "metadata": (10, metadata),
    "geometry": (7, geometry),
    "config.json": (6, timm),
    "tensors": (14, tensors),
    "pickle": (12, pickled),
    "tensor tables": (5, tables),
    "zip": (8, archive),
    "unpacking": (1, unpacking),
    "before 1.6": (5, legacy),
    "safetensors header": (8, header),
    "index of parts": (3, sharded),
    "labels": (6, labels),
    "bytes": (10, bytes_changed),
}
"""Name -> how often, and what makes it."""


def make_case(seed: int, number: int) -> Case:
    """The attack of this number."""
    rng = random.Random(f"{seed} {number}")
    kind = rng.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    files = KINDS[kind][1](rng)
    first, *rest = files.items()
    return Case(kind, dict([(first[0], first[1][:MAX_BYTES]), *rest]), kind == "valid", kind == "labels")
