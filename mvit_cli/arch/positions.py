"""How many rows the tables of positions have: the one place, for the network, its parameters and its cost."""

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.grid import THW, floor_div


def absolute_rows(config: MViTConfig) -> dict[str, int]:
    """Rows of the class token and of each table of absolute positions, by canonical name; only those it has."""
    num_cls, (t, h, w) = int(config.cls_token), config.tables_patch_thw
    tables = {
        "none": {},
        "joint": {"pos_embed": t * h * w + num_cls},
        "separate": {"pos_embed_spatial": h * w, "pos_embed_temporal": t, "pos_embed_class": num_cls},
    }[config.pos_embed]
    return {name: rows for name, rows in {"cls_token": num_cls, **tables}.items() if rows}


def distances(queries: int, keys: int) -> int:
    """Rows of a table of relative positions on an axis: `2 max(q, k) - 1`, from far left to far right.

    One at least: floor division of a grid smaller than the stride leaves nothing, where pooling leaves one position.
    """
    return 2 * max(queries, keys, 1) - 1


def relative_rows_thw(config: MViTConfig, nominal: THW, stride_q: THW, stride_kv: THW) -> THW:
    """Rows of a block's tables in time, height and width; 0: no table.

    The longer side of the grid counts for both height and width, and the released code divides with the rest dropped
    where pooling rounds up; `nominal` is the incoming grid by that arithmetic. Where a grid is odd or not square, a
    table so has another length than its axis needs, and is interpolated as it is used.
    """
    (q_t, *q_hw), (k_t, *k_hw) = floor_div(nominal, stride_q), floor_div(nominal, stride_kv)
    space = distances(max(q_hw), max(k_hw)) if config.rel_pos_space else 0
    return distances(q_t, k_t) if config.rel_pos_time else 0, space, space
