"""The public key layouts of MViT checkpoints, and the way from each to the canonical one.

Canonical are PySlowFast's names of today with one joint `qkv`, pooling kernels and patch kernels always with a time
axis. Every other layout is a table of renames plus a few exact transformations. No tensor library is needed here:
tensors are only reshaped and concatenated.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal, get_args

from mvit_cli.checkpoints.formats.classifier import ONE_LAYER, with_classifier
from mvit_cli.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

Layout = Literal[
    "pyslowfast",
    "pyslowfast-separate-qkv",
    "pyslowfast-reversible",
    "mvit-image",
    "torchvision",
    "pytorchvideo",
    "mmaction2",
    "timm",
]
LAYOUTS: tuple[str, ...] = get_args(Layout)

_TORCHVISION = (
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^pos_encoding\.class_token$", "cls_token"),
    (r"^pos_encoding\.spatial_pos$", "pos_embed_spatial"),
    (r"^pos_encoding\.temporal_pos$", "pos_embed_temporal"),
    (r"^pos_encoding\.class_pos$", "pos_embed_class"),
    (r"\.attn\.project\.0\.", ".attn.proj."),
    (r"\.attn\.pool_([qkv])\.pool\.", r".attn.pool_\1."),
    (r"\.attn\.pool_([qkv])\.norm_act\.0\.", r".attn.norm_\1."),
    (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.3\.", ".mlp.fc2."),
    (r"^(blocks\.\d+)\.project\.", r"\1.proj."),
    (r"^head\.1\.", "head.projection."),
)
_PYTORCHVIDEO = (
    (r"^patch_embed\.patch_model\.", "patch_embed.proj."),
    (r"^cls_positional_encoding\.", ""),
    (r"^norm_embed\.", "norm."),
    (r"^head\.proj\.", "head.projection."),
)
_MMACTION2 = (
    (r"^backbone\.patch_embed\.projection\.", "patch_embed.proj."),
    (r"^backbone\.norm\d+\.", "norm."),
    (r"^backbone\.", ""),
    (r"^cls_head\.fc_cls\.", "head.projection."),
    (r"^head\.fc\.", "head.projection."),  # mmpretrain, whose backbone has the same names
)
_TIMM = (
    (r"\.shortcut_proj_(attn|mlp)\.", ".proj."),
    (r"^head\.fc\.", "head.projection."),
)
_REVERSIBLE = (  # F is norm and attention, G is norm and MLP
    (r"^rev_backbone\.layers\.(\d+)\.", r"blocks.\1."),
    (r"^(blocks\.\d+)\.F\.norm\.", r"\1.norm1."),
    (r"^(blocks\.\d+)\.G\.norm\.", r"\1.norm2."),
    (r"^(blocks\.\d+)\.[FG]\.", r"\1."),
    (r"^(blocks\.\d+)\.res_proj\.", r"\1.proj."),
    (r"^(blocks\.\d+)\.pre_q_fuse\.fuse_fn\.(fc[12])\.", r"\1.fuse.\2."),
)
_OTHER_NETWORKS = (
    ("fuse.fuse_fn.", "a reversible MViT with an MLP before its classifier (MVIT.REV.RESPATH_FUSE)"),
    ("mask_token", "pre-training by masks, without a classifier"),
    ("pred_head.", "pre-training by masks, without a classifier"),
    ("decoder_embed.", "pre-training by masks, without a classifier"),
)

_PLAIN_HEAD = (r"^head\.(weight|bias)$", r"head.projection.\1")
"""Where people replaced the classifier by one linear layer, in any layout."""

_RENAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "pyslowfast-reversible": _REVERSIBLE,
    "torchvision": _TORCHVISION,
    "pytorchvideo": _PYTORCHVIDEO,
    "mmaction2": _MMACTION2,
    "timm": _TIMM,
}


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """The layout of a state dict, from its keys and ranks.

    Raises:
        CheckpointError: if it is none of the known ones.
    """
    has = _prefix_test(shapes)
    for prefix, what in _OTHER_NETWORKS:
        if has(prefix):
            raise CheckpointError(f"the tensors {prefix}* are those of {what}", "mvit runs MViT with one classifier")
    if has("rev_backbone.layers."):
        if any(re.search(r"\.pre_q_fuse\.fuse_fn\.\d", key) for key in shapes):
            raise CheckpointError(
                "the file is of a reversible MViT that normalises its streams before they are joined"
                " (MVIT.REV.PRE_Q_FUSION ln+concat_linear)",
                "known are avg and concat_linear_2",
            )
        return "pyslowfast-reversible"
    if has("conv_proj."):
        return "torchvision"
    if has("backbone.patch_embed.", "backbone.blocks."):
        norms = sorted({key.split(".")[1] for key in shapes if re.match(r"backbone\.norm\d+\.", key)})
        if len(norms) > 1:
            raise CheckpointError(
                f"the file has {', '.join(norms)}: a backbone with several outputs (out_scales), not a classifier",
                "mvit runs MViT with one classifier",
            )
        return "mmaction2"
    if has("stages.0.blocks.0."):
        return "timm"
    if has("patch_embed.patch_model."):
        return "pytorchvideo"
    if has("patch_embed.proj.") and has("blocks.0.attn.q."):
        return "pyslowfast-separate-qkv"
    if has("patch_embed.proj.") and has("blocks.0.attn.qkv."):
        ranks = {len(shape) for key, shape in shapes.items() if re.search(r"\.attn\.pool_[qkv]\.weight$", key)}
        return "mvit-image" if ranks == {4} else "pyslowfast"
    found = ", ".join(list(shapes)[:5]) or "no tensors at all"
    raise CheckpointError(
        f"the keys are of no known MViT layout ({found}, ...)", f"known layouts: {', '.join(LAYOUTS)}"
    )


def _prefix_test(keys: Iterable[str]) -> Callable[..., bool]:
    names = tuple(keys)
    return lambda *prefixes: any(name.startswith(prefixes) for name in names)


def without_wrapper(state_dict: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Without the `module.` or `_orig_mod.` that data-parallel training and compilation put in front."""
    return {re.sub(r"^((module|_orig_mod)\.)+", "", key): tensor for key, tensor in state_dict.items()}


def to_canonical(state_dict: "Mapping[str, Tensor]", layout: Layout) -> "dict[str, Tensor]":
    """The same tensors under canonical names, in canonical shapes. Exact: nothing is rounded.

    Raises:
        CheckpointError: if one of q, k, v is missing where the layout has them apart, two tensors are the same part of
            the network, or the classifier is not one layer.
    """
    tensors = dict(state_dict)
    if layout == "timm":
        tensors = _number_blocks(tensors)
    if layout == "pytorchvideo":  # second names of tensors that are there already
        tensors = {key: tensor for key, tensor in tensors.items() if "._attention_pool_" not in key}
    names = {key: _rename(key, layout) for key in tensors}
    if len(set(names.values())) < len(names):
        twice = [key for key, name in names.items() if list(names.values()).count(name) > 1]
        raise CheckpointError(f"{' and '.join(twice[:2])} are the same part of the network", ONE_LAYER)
    tensors = with_classifier({names[key]: tensor for key, tensor in tensors.items()})
    return {key: _canonical_shape(key, tensor) for key, tensor in _join_qkv(tensors).items()}


def _rename(key: str, layout: Layout) -> str:
    for pattern, replacement in (*_RENAMES.get(layout, ()), _PLAIN_HEAD):
        key = re.sub(pattern, replacement, key)
    return key


def _number_blocks(tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """`stages.S.blocks.B.` -> `blocks.N.`, numbered on through the stages."""
    pattern = re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\.")
    found = sorted({(int(m[1]), int(m[2])) for m in map(pattern.match, tensors) if m})
    numbers = {place: number for number, place in enumerate(found)}
    return {
        pattern.sub(lambda m: f"blocks.{numbers[int(m[1]), int(m[2])]}.", key): tensor
        for key, tensor in tensors.items()
    }


def _join_qkv(tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """Rows of q, then k, then v, as one `qkv`."""
    joined: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        match = re.fullmatch(r"(blocks\.\d+\.attn\.)([qkv])(\.(?:weight|bias))", key)
        if not match:
            joined[key] = tensor
        elif match[2] == "q":
            parts = [tensors[name] for part in "qkv" if (name := f"{match[1]}{part}{match[3]}") in tensors]
            if len(parts) < 3:
                raise CheckpointError(f"{key} is there, but k or v beside it is missing", "the file is incomplete")
            joined[f"{match[1]}qkv{match[3]}"] = _concatenate(parts)
    return joined


def _concatenate(parts: "list[Tensor]") -> "Tensor":
    first, *others = parts
    if hasattr(first, "concatenated"):  # a shape that stands for a tensor
        joined: Tensor = first.concatenated(others)
        return joined
    import torch

    return torch.cat(parts)


def _canonical_shape(key: str, tensor: "Tensor") -> "Tensor":
    if key in ("cls_token", "pos_embed_class", "pos_embed_spatial", "pos_embed_temporal"):
        while tensor.ndim < 3:
            tensor = tensor[None]
    is_kernel = key == "patch_embed.proj.weight" or re.search(r"\.attn\.pool_[qkv]\.weight$", key)
    return tensor.unsqueeze(2) if is_kernel and tensor.ndim == 4 else tensor
