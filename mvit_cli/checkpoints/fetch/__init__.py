"""From a place to a file on this machine: caches, the Hub, addresses, and whether the bytes are the published ones."""
