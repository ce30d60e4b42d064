"""Data from Debian packages: fetched with apt when it is needed, unpacked without running anything of theirs."""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """A package as the index names it; the same checksum is the same data."""

    name: str
    version: str
    sha256: str


def unpack_debian(name: str, data: Path) -> Path:
    """The unpacked package `name` under `data`; downloaded when it is not there, checked against apt's signed index.

    Raises:
        ValueError: what came is not what the index names.
    """
    target = data / "packages" / name
    if target.exists():
        return target
    downloads = data / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    wanted = _candidate(name)
    subprocess.run(["apt-get", "-q", "download", f"{name}={wanted.version}"], cwd=downloads, check=True)
    archive = max(downloads.glob(f"{name}_*.deb"), key=lambda path: path.stat().st_mtime)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != wanted.sha256:
        raise ValueError(f"{archive.name} has the checksum {found}, the index says {wanted.sha256}")
    partial = target.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg", "-x", archive, partial], check=True)  # the files alone: scripts of the package stay in it
    _facts(name, data).write_text(json.dumps(asdict(wanted)) + "\n", encoding="utf-8")
    partial.rename(target)
    return target


def package_of(name: str, data: Path) -> Package:
    """Which version of a package `unpack_debian` has unpacked under `data`."""
    return Package(**json.loads(_facts(name, data).read_text(encoding="utf-8")))


def _facts(name: str, data: Path) -> Path:
    return data / "packages" / f"{name}.json"


def _candidate(name: str) -> Package:
    """What apt would install, by its index."""
    shown = subprocess.run(["apt-cache", "show", "--no-all-versions", name], capture_output=True, text=True, check=True)
    fields = dict(line.split(": ", 1) for line in shown.stdout.splitlines() if ": " in line and line[0] != " ")
    return Package(name, fields["Version"], fields["SHA256"])
