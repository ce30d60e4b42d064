"""The network in torch."""

from mvit_cli.model.mvit import MViT

__all__ = ["MViT"]
