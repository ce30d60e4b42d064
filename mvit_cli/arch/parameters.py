"""Names and shapes of all parameters of a network, from its blocks: what a checkpoint is compared with."""

from mvit_cli.arch.blocks import BlockSpec, block_specs, head_width
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.cost import RGB
from mvit_cli.arch.grid import THW
from mvit_cli.arch.positions import absolute_rows

Shapes = dict[str, tuple[int, ...]]


def parameter_shapes(config: MViTConfig) -> Shapes:
    """Shape of each parameter by its canonical name (PySlowFast's, with one joint `qkv`)."""
    first, last = config.stage_channels[0], config.stage_channels[-1]
    shapes: Shapes = {name: (1, rows, first) for name, rows in absolute_rows(config).items()}
    shapes |= {"patch_embed.proj.weight": (first, RGB, *config.patch_kernel), "patch_embed.proj.bias": (first,)}
    if config.norm_stem:
        shapes |= _norm("norm_stem", first)
    for block in block_specs(config):
        shapes |= {f"blocks.{block.index}.{name}": shape for name, shape in _block(config, block).items()}
    return (
        shapes
        | _norm("norm", config.streams * last)
        | _linear("head.projection", head_width(config), config.num_classes)
    )


def _block(config: MViTConfig, block: BlockSpec) -> Shapes:
    shapes = {
        **_norm("norm1", block.dim_in),
        **_linear("attn.qkv", block.dim_in, 3 * block.dim_attn),
        **_linear("attn.proj", block.dim_attn, block.dim_attn),
        **_norm("norm2", block.dim_attn),
        **_linear("mlp.fc1", block.dim_attn, block.mlp_hidden),
        **_linear("mlp.fc2", block.mlp_hidden, block.dim_out),
    }
    if not config.qkv_bias:
        del shapes["attn.qkv.bias"]
    if block.fuse_hidden:
        shapes |= _linear("fuse.fc1", block.dim_in, block.fuse_hidden)
        shapes |= _linear("fuse.fc2", block.fuse_hidden, block.dim_in)
    if block.dim_in != block.dim_out:
        shapes |= _linear("proj", block.dim_in, block.dim_out)
    for axis, rows in zip("thw", block.rel_pos_thw, strict=True):
        if rows:
            shapes[f"attn.rel_pos_{axis}"] = (rows, block.head_dim)
    if config.pool_mode == "conv":
        for part, kernel in (("q", block.kernel_q), ("k", block.kernel_kv), ("v", block.kernel_kv)):
            shapes |= _pooling(part, kernel, block.head_dim)
    return shapes


def _pooling(part: str, kernel: THW | None, head_dim: int) -> Shapes:
    """A depthwise convolution, shared by the heads, and its norm."""
    if kernel is None:
        return {}
    return {f"attn.pool_{part}.weight": (head_dim, 1, *kernel), **_norm(f"attn.norm_{part}", head_dim)}


def _linear(name: str, dim_in: int, dim_out: int) -> Shapes:
    return {f"{name}.weight": (dim_out, dim_in), f"{name}.bias": (dim_out,)}


def _norm(name: str, dim: int) -> Shapes:
    return {f"{name}.weight": (dim,), f"{name}.bias": (dim,)}
