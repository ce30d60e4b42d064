"""What the user named -> files -> frames -> clips and crops. Knows neither the network nor checkpoints, and no torch.

    sources -> index (what the file holds) -> sampling (which frames) -> a reader (their pixels) -> transforms (crops)

`decode.decode` is that way for one file, `pool.DecodePool` runs it in worker processes for many.
"""
