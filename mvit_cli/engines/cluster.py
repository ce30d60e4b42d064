"""Where actors of Ray run, and the way there."""

import logging
import socket
from dataclasses import dataclass
from typing import Any

from mvit_cli.errors import MViTError, UsageError, first_line, how_to_install

PROBE_S = 2.0
"""For a connection to the head of a cluster, which Ray itself would wait for 100 s."""


@dataclass(frozen=True)
class Cluster:
    """Where actors run.

    Attributes:
        address: `local`, `auto` (the cluster that this machine belongs to), or `HOST:PORT` of its head.
        least, most: actors.
        gpus: of each; 0: it runs on the CPU.
        cpus: of each, for Ray's own bookkeeping: the network takes all cores of its machine.
    """

    address: str = "local"
    least: int = 1
    most: int = 1
    gpus: float = 0
    cpus: float = 0.5


def connected(cluster: Cluster) -> Any:
    """Ray, connected to the cluster, or to one of its own on this machine.

    Raises:
        UsageError: what is no address.
        MViTError: Ray is not here, or nobody answers.
    """
    try:
        import ray
    except ImportError as error:
        raise MViTError("--engine ray needs ray", f"{how_to_install('ray')} (the extra `ray` of mvit)") from error
    address = cluster.address
    if address not in ("local", "auto"):
        _probe(address)
    try:
        own: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise MViTError(
            f"--address {address}: Ray cannot connect: {first_line(error)}",
            "check that the cluster runs (ray status), and that RAY_AUTH_MODE and the token are those of the cluster",
        ) from error
    return ray


def _probe(address: str) -> None:
    """Refuses an address where nobody listens, at once."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise UsageError(f"--address {address} is no address", "give local, auto, or HOST:PORT of the cluster's head")
    try:
        socket.create_connection((host, int(port)), PROBE_S).close()
    except OSError as error:
        raise MViTError(
            f"--address {address}: nobody answers: {error.strerror or error}",
            "check host and port, and that the cluster runs (ray status)",
        ) from error
