"""What `mvit summarize --explain` says of each block, as types."""

from typing import Annotated, TypedDict

from mvit_cli.rules import Count, Rule, Size


class BlockStep(TypedDict):
    """One step of a block, in the order of the data."""

    name: Annotated[str, Rule("W_Q, pool K, Q K^T, softmax, A V, W_O, skip W, MLP 1 ...; R: relative positions.")]
    factors: Annotated[list[Size], Rule("Their product is macs; empty: nothing that is counted.")]
    gives: Annotated[list[Size], Rule("Shape of the result.", min_items=2, max_items=3)]
    macs: Count
    params: Count


class ExplainedBlock(TypedDict):
    """A block in words, and its steps, whose macs and params add up to the block's."""

    index: Count
    stage: Annotated[str, Rule(pattern=r"^scale[0-9]+$")]
    queries: Annotated[str, Rule("How many there are, and why.", min_length=1)]
    keys: Annotated[str, Rule("How many there are, and why; of values there are as many.", min_length=1)]
    skip: Annotated[str, Rule("What is added to the attention's output and to the MLP's.", min_length=1)]
    width: Annotated[str, Rule("In which layer the channels grow, if in one.", min_length=1)]
    steps: Annotated[list[BlockStep], Rule(min_items=10)]
