"""What is checked of a file of features before it is believed: arrays of an npz, facts, numbers of a row.

An index may come from anybody: nothing in it is unpickled, and no array takes more memory than the file has bytes for.
"""

import math
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from mvit_cli.findings import EmbedderFacts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_INFLATED_BYTES = 256 << 20
MOST_INFLATION = 50
"""How much a compressed array may grow where it is larger: names padded to the longest one do, by less."""

_TEXT, _NUMBER, _NOTHING = (str,), (int, float), type(None)
_FACTS: Mapping[str, tuple[type, ...]] = {
    "preset": (str, _NOTHING),
    "weights": _TEXT,
    "weights_sha256": (str, _NOTHING),
    "views": _TEXT,
    "stage": (str, _NOTHING),
    "format": _TEXT,
    "window_s": (*_NUMBER, _NOTHING),
    "hop_s": (*_NUMBER, _NOTHING),
    "sampling": (dict,),
    "transform": (dict,),
}


def facts_of(value: Any) -> EmbedderFacts:
    """The facts of an embedder, as a file tells them.

    Raises:
        ValueError: they are none.
    """
    if not isinstance(value, dict):
        raise ValueError("what it says of its embedder is no object")
    for name, types in _FACTS.items():
        if name not in value or not isinstance(value[name], types) or isinstance(value[name], bool):
            raise ValueError(f"what it says of its embedder has no {name} as mvit writes it")
    return cast("EmbedderFacts", value)


def numbers_of(features: Any) -> "NDArray[np.float32] | None":
    """The features of a row; None where it has none.

    Raises:
        ValueError: they are no numbers.
    """
    import numpy as np

    if features is None:
        return None
    if not isinstance(features, list) or not features or not all(type(value) in (int, float) for value in features):
        raise ValueError("the features of a row are no list of numbers")
    try:
        with np.errstate(over="ignore"):  # what is too large is infinite, which is like nothing
            return np.array(features, np.float64).astype(np.float32)
    except OverflowError as error:  # of a whole number
        raise ValueError("a feature is no number of float32") from error


def read_array(archive: zipfile.ZipFile, name: str, kinds: str, axes: int) -> "NDArray[Any]":
    """An array of an npz, in memory.

    Args:
        kinds: letters of numpy for the kinds of its values, as `fiu`.
        axes: how many it has.

    Raises:
        ValueError: it is of another kind, or larger than what stands in the file.
        KeyError: there is none of this name.
        zipfile.BadZipFile, zlib.error, EOFError: the file is damaged.
    """
    import numpy as np

    info = archive.getinfo(f"{name}.npy")
    if info.file_size > max(MOST_INFLATED_BYTES, MOST_INFLATION * info.compress_size):
        raise ValueError(f"{name} is {info.compress_size:,} bytes that become {info.file_size:,}")
    with archive.open(info) as stream:
        shape, fortran, kind, num_bytes = array_header(stream, name, kinds, axes, info.file_size)
        values = np.frombuffer(stream.read(num_bytes), kind)
        return values.reshape(shape, order="F" if fortran else "C")


def array_header(
    stream: Any, name: str, kinds: str, axes: int, most_bytes: int
) -> "tuple[tuple[int, ...], bool, np.dtype[Any], int]":
    """Shape, order, kind of number and bytes of an array whose values follow.

    Raises:
        ValueError: it is of another kind than wanted, or larger than `most_bytes`.
    """
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    shape, fortran, kind = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(stream)
    if kind.hasobject or kind.kind not in kinds or len(shape) != axes:
        raise ValueError(f"{name} is an array of {len(shape)} axes and kind {str(kind)[:40]}")
    num_bytes = math.prod(shape) * kind.itemsize
    if min(shape, default=0) < 0 or num_bytes > most_bytes:
        raise ValueError(f"{name} claims to be larger than the file")
    return shape, fortran, kind, num_bytes
