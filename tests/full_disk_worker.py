"""The process that writes videos, on a disk that is full after 4 KB."""

import resource

from mvit_cli.annotated import film_worker


def main() -> None:
    """Writes what fits."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    film_worker.main()
