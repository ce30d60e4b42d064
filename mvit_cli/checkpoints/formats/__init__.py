"""What stands in a checkpoint file: its tensors, their layout, and the network they belong to."""
