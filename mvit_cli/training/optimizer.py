"""AdamW with a learning rate for each depth: what was learned from more data, near the pixels, is changed less."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from mvit_cli.model.mvit import MViT
    from mvit_cli.training.hyperparameters import Settings

UNDECAYED = ("pos_embed", "rel_pos", "cls_token")


def depth_of(name: str, depth: int) -> int:
    """Where a parameter stands: 0 the patches and positions, then the blocks from 1 on, `depth + 1` the classifier."""
    if name.startswith("blocks."):
        return int(name.split(".")[1]) + 1
    return depth + 1 if name.startswith(("norm.", "head.")) else 0


def parameter_groups(model: "MViT", layer_decay: float, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters by depth and by whether they are decayed; `scale` is what a group's rate is multiplied with."""
    depth = len(model.blocks)
    groups: dict[tuple[int, bool], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_decayed = parameter.ndim > 1 and not any(part in name for part in UNDECAYED)
            groups.setdefault((depth_of(name, depth), is_decayed), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": weight_decay if is_decayed else 0.0,
            "scale": layer_decay ** (depth + 1 - level),
        }
        for (level, is_decayed), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def adamw(model: "MViT", settings: "Settings") -> "torch.optim.AdamW":
    """The optimizer; `set_rate` gives it the rate of each step. Source: arXiv:1711.05101."""
    import torch

    groups = parameter_groups(model, settings.layer_decay, settings.weight_decay)
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas, eps=1e-8)


def set_rate(optimizer: "torch.optim.Optimizer", rate: float) -> None:
    """The rate of the classifier, from which that of each group follows."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
