"""What a file is that is no checkpoint of tensors, and what to do about it: said by its first bytes."""

import json
from pathlib import Path

from mvit_cli.errors import CheckpointError

HEAD_BYTES = 4096
_GIT_LFS = b"version https://git-lfs"
_HTML = (b"<!doctype", b"<html", b"<head", b"<!--")
_OTHERS = (
    (b"\x89HDF\r\n", "an HDF5 file (Keras)"),
    (b"\x93NUMPY", "a numpy array"),
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF"),
    (b"\x7fELF", "a program"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x1aE\xdf\xa3", "a Matroska video"),
)
"""First bytes of what people name by mistake, none of which begins a pickle or a zip."""


def refuse_other_files(path: Path, head: bytes) -> None:
    """Names what a file is that only bears a checkpoint's name.

    Args:
        head: its first `HEAD_BYTES`.

    Raises:
        CheckpointError: it is empty, a pointer to a file elsewhere, a page or plain text.
    """
    told = _what(head.lstrip(b"\xef\xbb\xbf \t\r\n"), path)
    if told:
        raise CheckpointError(f"{path}: {told[0]}, not a checkpoint", told[1])


def _what(text: bytes, path: Path) -> tuple[str, str] | None:
    if not text:
        return "an empty file", "download it again"
    if text.startswith(_GIT_LFS):
        return "a Git LFS pointer", "fetch the file it stands for: `git lfs pull`"
    if text[:16].lower().startswith(_HTML):
        return "an HTML page", "an address that answers with a page needs a log-in or another link; download it again"
    if text[:1] in (b"{", b"["):
        return _json(text, path)
    for is_it, what, engine in (
        (_is_onnx(text), "an ONNX model", "onnx"),
        (text.startswith(b"<?xml") and b"<net " in text[:200], "an OpenVINO model", "openvino"),
    ):
        if is_it:
            return what, f"run it with --engine {engine}, or name the checkpoint that it was made from"
    if text.startswith(b"<?xml"):
        what = "an HTML page" if b"<html" in text.lower() else "an XML document"
        return what, "an address that answers with one needs a log-in or another link; download it again"
    for magic, what in _OTHERS:
        if text.startswith(magic):
            return what, "mvit reads files of PyTorch: .safetensors, .pyth, .pth"
    if text[4:8] == b"ftyp":
        return "an MP4 video", "mvit reads files of PyTorch: .safetensors, .pyth, .pth"
    if b"\0" not in text and len(text) > 3 and text.isascii() and b"\n" in text[:200] and text[:2] not in _PICKLES:
        return "plain text", "expected .safetensors, .pyth or .pth"
    return None


def _is_onnx(text: bytes) -> bool:
    """Source: onnx.proto, ModelProto: ir_version (1) is a number below 128, then producer_name (2) or graph (7)."""
    return text[:1] == b"\x08" and text[2:3] in (b"\x12", b"\x3a")


_PICKLES = (b"cc", b"(d", b"(l", b"(i", b"(c", b"cn", b"cp", b"co", b"cb", b"ct")
"""How pickles of protocol 0, which are text, begin."""


def _json(text: bytes, path: Path) -> tuple[str, str]:
    if b'"weight_map"' in text or path.name.endswith(".index.json"):
        return (
            "the index of a checkpoint in several files",
            "name the index, with all files that it names beside it, or their folder",
        )
    try:
        said = json.loads(text)
        message = next((str(said[key])[:80] for key in ("message", "error") if key in said), "")
    except (ValueError, RecursionError, TypeError):
        message = ""
    return f"a JSON file{f' that says {message!r}' if message else ''}", "download the weights themselves"
