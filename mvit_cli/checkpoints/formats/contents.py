"""Which of the dictionaries in a file is the network: found by the structure of the keys, whatever it is called."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mvit_cli.errors import CheckpointError

MAX_TENSORS, MAX_NAME, MAX_AXES = 20_000, 400, 8
"""Of one network; MViTv2-H has 1,800 tensors, whose names have 40 letters."""

MAX_LISTED = 64
"""Entries of a list that networks are looked for in."""

_ANCHOR = re.compile(
    r"^(?P<prefix>(?:.*\.)?)(?:backbone\.patch_embed\.projection|patch_embed\.proj|patch_embed\.patch_model|conv_proj)\.weight$"
)
"""The patch convolution, which every MViT has once, in all layouts; what stands before it stands before all keys."""

_WRAPPERS = re.compile(
    r"(?:(?<=^)|(?<=\.))(?:(?:module|_orig_mod|_forward_module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+"
)
"""What parallel training, compilation and sharding put in front of a name, also inside it."""

_TRAINING = re.compile(
    r"^steps$|(^|\.)(n_averaged|total_ops|total_params|num_batches_tracked)$"
    r"|^(\w+_)?(criterion|loss|losses|loss_fn|loss_cls|loss_module|metrics?|accuracy|acc|auroc|f1)(_\w+)?\."
    r"|^(train|val|valid|validation|test)_\w*(metrics?|accuracy|acc|auroc|f1|confmat)\w*\."
)
"""Tensors that training keeps beside the network's: averages' counts, losses, metrics, profilers' counts."""

_NAMED = ("model_state", "state_dict", "model_state_dict", "model", "net", "module")
"""Where published files keep the state dict, most usual first."""

_AVERAGED = re.compile(r"(^|[._])(ema|averaged|swa)([._]|$)|ema$", re.IGNORECASE)


@dataclass(frozen=True)
class Network:
    """One state dict in a file.

    Attributes:
        name: keys of the dictionaries it lies in, and the prefix of its names, joined by dots; "" for the file itself.
        tensors: by their names without the prefix.
        notes: what was left out, a sentence each.
    """

    name: str
    tensors: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def choose_network(content: Any, tensor_types: tuple[type, ...], weights_key: str | None = None) -> Network:
    """The one network in a file, or the one that is meant.

    Args:
        content: what the file holds.
        tensor_types: of the values that stand for tensors.
        weights_key: the name of the dictionary to take, where there are several.

    Raises:
        CheckpointError: there is none, or there are several and nothing tells which is meant.
    """
    if isinstance(content, list | tuple) and len(content) <= MAX_LISTED:
        content = dict(enumerate(content))
    found = {network.name: network for network in _networks(content, tensor_types)}
    if weights_key is not None:
        return _called(weights_key, found)
    if not found:
        return _without_training("", _any_tensors(content, tensor_types))
    if len(found) == 1:
        return next(iter(found.values()))
    chosen, why = _preferred(found, content)
    others = ", ".join(name for name in found if name != chosen.name)
    return Network(chosen.name, chosen.tensors, (*chosen.notes, f"{why}; the file also holds {others} (--weights-key)"))


def _called(name: str, found: Mapping[str, Network]) -> Network:
    matching = [network for key, network in found.items() if name in (key, key.split(".")[0], key.rpartition(".")[2])]
    if len(matching) != 1:
        raise CheckpointError(
            f"--weights-key {name!r} is {'the name of several' if matching else 'no'} network in the file",
            f"the file holds {', '.join(key or 'one network without a name' for key in found) or 'none'}",
        )
    return matching[0]


def _preferred(found: Mapping[str, Network], content: Any) -> tuple[Network, str]:
    """Averaged weights, as timm takes them; MMEngine saves those as `state_dict`, and the raw ones as averaged."""
    swapped = isinstance(content, dict) and isinstance(content.get("meta"), dict)
    if swapped and "mmengine_version" in content["meta"] and "state_dict" in found and "ema_state_dict" in found:
        return found["state_dict"], "MMEngine keeps the averaged weights under state_dict, which were taken"
    averaged = [network for name, network in found.items() if _AVERAGED.search(name)]
    if len(averaged) == 1:
        return averaged[0], f"the averaged weights {averaged[0].name} were taken"
    if not averaged:
        for name in _NAMED:
            inside = [network for key, network in found.items() if key == name]
            if inside:
                return inside[0], f"the weights {name} were taken"
    raise CheckpointError(
        f"the file holds {len(found)} networks: {', '.join(found)}", "choose one with --weights-key NAME"
    )


def _networks(content: Any, tensor_types: tuple[type, ...]) -> Iterator[Network]:
    """Every state dict of an MViT, however deep; the same dictionary counts once."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    while waiting and len(seen) < 1000:
        name, value, depth = waiting.pop(0)
        if not isinstance(value, dict) or id(value) in seen:
            continue
        seen.add(id(value))
        tensors = {str(key): each for key, each in value.items() if isinstance(each, tensor_types)}
        yield from _networks_of(name, tensors)
        if depth < 4:
            inner = ((f"{name}.{key}" if name else str(key), each) for key, each in _with_listed(value))
            waiting += [(key, each, depth + 1) for key, each in inner if isinstance(each, dict) and len(key) < 200]


def _with_listed(value: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """Keys and values of a dictionary, and of the short lists in it: `nets.0`."""
    for key, each in value.items():
        yield key, each
        if isinstance(each, list | tuple) and len(each) <= MAX_LISTED:
            yield from ((f"{key}.{place}", entry) for place, entry in enumerate(each))


def _networks_of(name: str, tensors: Mapping[str, Any]) -> Iterator[Network]:
    """The networks of one dictionary of tensors, told apart by what their names begin with."""
    if any(len(key) > MAX_NAME for key in tensors):
        raise CheckpointError(f"a tensor's name has more than {MAX_NAME} letters", "is it an MViT checkpoint?")
    tensors = _unwrapped(tensors)
    prefixes = list(dict.fromkeys(match["prefix"] for match in map(_ANCHOR.match, tensors) if match))
    for prefix in prefixes:
        others = [other for other in prefixes if other != prefix and other.startswith(prefix)]
        mine = {
            key.removeprefix(prefix): tensor
            for key, tensor in tensors.items()
            if key.startswith(prefix) and not (others and key.startswith(tuple(others)))
        }
        if len(prefixes) == 1:  # what stands beside the only network has to be accounted for
            outside = {key: tensor for key, tensor in tensors.items() if not key.startswith(prefix)}
            beside = {_under(prefix, key): tensor for key, tensor in outside.items()}
            beside = outside if len(beside) < len(outside) else beside
            _refuse_namesakes(mine, beside, prefix)
            mine |= beside
        called = name if len(prefixes) == 1 else ".".join(part for part in (name, prefix.rstrip(".")) if part)
        yield _without_training(called, mine)


def _under(prefix: str, key: str) -> str:
    """The name of a tensor beside a network without what both begin with: `model.head.` beside `model.backbone.`."""
    shared = 0
    for part, other in zip(prefix.split(".")[:-2], key.split("."), strict=False):
        if part != other:
            break
        shared += len(part) + 1
    return key[shared:]


def _refuse_namesakes(mine: Mapping[str, Any], beside: Mapping[str, Any], prefix: str) -> None:
    both = sorted(mine.keys() & beside.keys())
    if both:
        raise CheckpointError(
            f"{both[0]} stands beside {prefix}{both[0]}: the network's own and another", "leave out what is not its own"
        )


def _unwrapped(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Without the names of wrappers, unless two tensors would then have one name."""
    plain = {_WRAPPERS.sub("", key): tensor for key, tensor in tensors.items()}
    return plain if len(plain) == len(tensors) else dict(tensors)


def _without_training(name: str, tensors: Mapping[str, Any]) -> Network:
    left = [key for key in tensors if _TRAINING.search(key)]
    kept = {key: tensor for key, tensor in tensors.items() if key not in set(left)}
    if len(kept) > MAX_TENSORS:
        raise CheckpointError(f"{len(kept):,} tensors are more than any MViT has", "is it an MViT checkpoint?")
    for key, tensor in kept.items():
        if len(getattr(tensor, "shape", ())) > MAX_AXES:
            raise CheckpointError(f"{key} has {len(tensor.shape)} axes", "is it an MViT checkpoint?")
    told = f"left out, as it belongs to training: {', '.join(left[:3])}{', ...' * (len(left) > 3)}"
    return Network(name, kept, (told,) if left else ())


def _any_tensors(content: Any, tensor_types: tuple[type, ...]) -> dict[str, Any]:
    """Tensors of no known layout, for `layouts` to say what they are.

    Raises:
        CheckpointError: there are none; an object of a class in their place is named.
    """
    way_out = "if you trust it, save its state dict as .safetensors in the environment it comes from"
    if isinstance(content, tensor_types):
        raise CheckpointError("it holds a single tensor, not a state dict", way_out)
    if not isinstance(content, dict):
        raise CheckpointError(f"refused: it holds an object of {_class(content)}, not a state dict", way_out)
    places = [content[key] for key in (*_NAMED, "model_ema", "ema") if content.get(key) is not None]
    for place in (*places, content):
        entries = place.items() if isinstance(place, dict) else ()
        tensors = {str(key): each for key, each in entries if isinstance(each, tensor_types)}
        if tensors:
            return _unwrapped(tensors)
    if any("numpy" in str(getattr(value, "name", "")) for value in content.values()):
        raise CheckpointError("holds numpy arrays, not tensors", "save them with safetensors.numpy.save_file")
    objects = [place for place in places if not isinstance(place, dict)]
    if objects:
        raise CheckpointError(f"refused: it holds an object of {_class(objects[0])}, not a state dict", way_out)
    raise CheckpointError("holds no tensors", "expected a state dict, plain or under 'model_state'")


def _class(value: Any) -> str:
    named = getattr(value, "name", None)
    return f"the class {named[:120]}" if isinstance(named, str) else f"the type {type(value).__name__}"
