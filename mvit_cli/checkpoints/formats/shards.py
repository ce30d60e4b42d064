"""A checkpoint in several safetensors files; the index that joins them is believed only as far as they bear it out."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.checkpoints.formats.contents import MAX_TENSORS
from mvit_cli.checkpoints.formats.header import MAX_HEADER_BYTES, MAX_METADATA_BYTES, Header, HeaderTensor, read_header
from mvit_cli.checkpoints.formats.kinds import HEAD_BYTES, refuse_other_files
from mvit_cli.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

INDEX_SUFFIX = ".index.json"
INDEX = f"model.safetensors{INDEX_SUFFIX}"
"""What the Hub's tools call it."""

MAX_SHARDS = 1_000
"""Tools make one for each 1 to 5 GB; MViTv2-H in float32 has 2.8 GB."""

_PART = re.compile(r".*-\d{3,6}-of-\d{3,6}\.[A-Za-z]+")
_AGAIN = "download the whole folder again"


@dataclass(frozen=True)
class Sharded:
    """What the files of an index hold together; `content` are all tensors by name.

    Attributes:
        shard_of: the file of each tensor.
    """

    path: Path
    content: Mapping[str, HeaderTensor]
    metadata: Mapping[str, str]
    shard_of: Mapping[str, Header]

    def check(self, held: Any) -> None:
        """Nothing more: all headers were checked as they were read."""

    def numbers(self, tensors: "Mapping[str, Any]") -> "dict[str, Tensor]":
        """The tensors themselves, under the given names; each file is opened once."""
        found: dict[str, Tensor] = {}
        for header in {id(header): header for header in self.shard_of.values()}.values():
            found |= header.numbers(
                {name: held for name, held in tensors.items() if self.shard_of[held.name] is header}
            )
        return {name: found[name] for name in tensors}


def is_index(path: Path, head: bytes | None = None) -> bool:
    """Whether a file is the index of a checkpoint in several files: by its name or, with its first bytes, by those."""
    if path.name.endswith(INDEX_SUFFIX):
        return True
    return head is not None and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" and b'"weight_map"' in head


def is_part(name: str) -> bool:
    """Whether a file's name is that of one part: `model-00001-of-00003.safetensors`."""
    return _PART.fullmatch(name.rpartition("/")[2]) is not None


def shards_of(index: Path) -> list[Path]:
    """The files that an index names, in their order, whether they are there or not.

    Raises:
        CheckpointError: it is no index, or names what is no safetensors file beside it.
    """
    return [index.parent / name for name in dict.fromkeys(_weight_map(index)[0].values())]


def read_sharded(index: Path) -> Sharded:
    """The checked headers of all files that an index names.

    Raises:
        CheckpointError: a file is missing, damaged or none of safetensors, or holds other tensors than the index says.
    """
    shard_named, metadata = _weight_map(index)
    mapped: dict[str, set[str]] = {}
    for name, shard in shard_named.items():
        mapped.setdefault(shard, set()).add(name)
    headers: dict[str, Header] = {}
    for shard, names in mapped.items():  # one after the other, so that what is held stays within what the index names
        header = _header(index, shard)
        _check_names(index, shard, names, set(header.content))
        metadata = {**header.metadata, **metadata}
        if sum(map(len, metadata.values())) > MAX_METADATA_BYTES:
            raise CheckpointError(f"{index}: metadata of more than {MAX_METADATA_BYTES} letters", _AGAIN)
        headers[shard] = replace(header, metadata={})
    content = {name: headers[shard].content[name] for name, shard in shard_named.items()}
    return Sharded(index, content, metadata, {name: headers[shard] for name, shard in shard_named.items()})


def _weight_map(index: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The shard of each tensor, and the index's metadata that is text."""
    with index.open("rb") as file:
        text = file.read(MAX_HEADER_BYTES + 1)
    if not text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        refuse_other_files(index, text[:HEAD_BYTES])
    if len(text) > MAX_HEADER_BYTES:
        raise CheckpointError(f"{index}: an index of more than {MAX_HEADER_BYTES} bytes", "is it an MViT checkpoint?")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        told = str(error)[:120] if isinstance(error, ValueError) else "nested too deep"
        raise CheckpointError(f"{index}: an index that is not JSON ({told})", _AGAIN) from error
    shards = said.get("weight_map") if isinstance(said, dict) else None
    if not isinstance(shards, dict) or not shards or not all(isinstance(shard, str) for shard in shards.values()):
        raise CheckpointError(
            f"{index}: an index without a weight_map from tensors to files", "expected that of a safetensors checkpoint"
        )
    if len(shards) > MAX_TENSORS or len(set(shards.values())) > MAX_SHARDS:
        raise CheckpointError(
            f"{index}: {len(shards):,} tensors in {len(set(shards.values())):,} files are more than any MViT has",
            "is it an MViT checkpoint?",
        )
    for shard in dict.fromkeys(shards.values()):
        _check_shard_name(index, shard)
    beside = said.get("metadata")
    metadata = (
        {key: value for key, value in beside.items() if isinstance(value, str)} if isinstance(beside, dict) else {}
    )
    return shards, metadata if sum(map(len, metadata.values())) <= MAX_METADATA_BYTES else {}


def _check_shard_name(index: Path, shard: str) -> None:
    """That a file lies beside the index, wherever on this machine that is, and holds nothing but tensors."""
    if not re.fullmatch(r"[^/\\:\x00-\x1f\x7f]{1,255}", shard) or shard in (".", ".."):
        raise CheckpointError(
            f"{index}: the index names {shard[:80]!r}, which does not lie beside it", "do not use this checkpoint"
        )
    if not shard.endswith(".safetensors"):
        raise CheckpointError(
            f"{index}: the index names {shard[:80]}, and only checkpoints in several safetensors files are read",
            "save it as one .safetensors file in the environment it comes from",
        )


def _header(index: Path, shard: str) -> Header:
    path = index.parent / shard
    check_beside(path, index)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    refuse_other_files(path, head)
    return read_header(path)


def check_beside(shard: Path, index: Path) -> None:
    """Raises CheckpointError if a file that an index names is missing, or no file."""
    if not shard.is_file():  # a pipe would be waited for
        what = "is no file" if shard.exists() else "is not there"
        raise CheckpointError(
            f"{shard} {what}, and {index.name} names it", "put all files that the index names beside it"
        )


def _check_names(index: Path, shard: str, mapped: set[str], held: set[str]) -> None:
    """That a file holds the tensors that the index puts into it, and no others."""
    for names, told in (
        (mapped - held, "the index puts {name} into {shard}, which does not hold it"),
        (held - mapped, "{shard} holds {name}, which the index does not put there"),
    ):
        if names:
            name = min(names)[:80] + f" and {len(names) - 1} more" * (len(names) > 1)
            raise CheckpointError(
                f"{index}: {told.format(name=name, shard=shard)}", f"they are not of one checkpoint; {_AGAIN}"
            )
