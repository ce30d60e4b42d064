"""A card of one's own: how a network wants to be shown a file, written into the metadata of its safetensors file."""

import json
import os
import shutil
from pathlib import Path

from mvit_cli.checkpoints.formats.header import read_header
from mvit_cli.checkpoints.formats.own_protocol import PROTOCOL_KEY, OwnProtocol, protocol_to_json
from mvit_cli.checkpoints.formats.shards import is_index
from mvit_cli.errors import CheckpointError, MViTError
from mvit_cli.whole_files import written_whole

CHUNK_BYTES = 1 << 24


def check_can_hold(path: Path) -> None:
    """Refuses files that have no place for it.

    Raises:
        CheckpointError: no safetensors file, a damaged one, or one of several files.
    """
    if path.suffix.lower() != ".safetensors" or is_index(path):
        raise CheckpointError(
            f"{path}: a card is written into one safetensors file",
            f"`mvit weights convert {path} {path.name.partition('.')[0]}.safetensors` makes one of it",
        )
    read_header(path)


def write_protocol(path: Path, protocol: OwnProtocol) -> None:
    """Writes it beside the tensors, whose bytes stay; the file is replaced as a whole, or left as it is.

    Raises:
        CheckpointError: the file is damaged.
        MViTError: it cannot be written.
    """
    check_can_hold(path)
    try:
        with written_whole(path) as unfinished:
            with path.open("rb") as source, unfinished.open("wb") as target:
                length = int.from_bytes(source.read(8), "little")
                header = json.loads(source.read(length))
                metadata = header.get("__metadata__") or {}
                header = {"__metadata__": {**metadata, PROTOCOL_KEY: protocol_to_json(protocol)}, **_tensors(header)}
                text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
                text += b" " * (-len(text) % 8)  # numbers begin where processors like it
                target.write(len(text).to_bytes(8, "little") + text)
                shutil.copyfileobj(source, target, CHUNK_BYTES)
                target.flush()
                os.fsync(target.fileno())
            read_header(unfinished)
            shutil.copymode(path, unfinished)
    except OSError as error:
        reason = error.strerror or str(error)
        raise MViTError(f"{path} cannot be written: {reason}", "check the folder and its free space") from error


def _tensors(header: dict[str, object]) -> dict[str, object]:
    return {name: entry for name, entry in header.items() if name != "__metadata__"}
