"""Fashion-MNIST as folders of pictures, from the Debian package that ships it.

    python training/fashion/pictures.py --data DIR

writes `DIR/fashion/{train,test}/CLASS/NUMBER.png`: 60,000 and 10,000 pictures of 28 x 28. Han Xiao, Kashif Rasul and
Roland Vollgraf, arXiv:1708.07747; copyright 2017 Zalando SE, licence MIT. Nothing of it is committed.
"""

import argparse
import gzip
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1]))
from packages import unpack_debian

PACKAGE, LICENCE = "dataset-fashion-mnist", "MIT"
FILES = {"train": "train", "test": "t10k"}
# In the order of the labels; a class is a folder, so no name has a slash.
CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def read_idx(path: Path) -> np.ndarray:
    """The numbers of a gzipped IDX file of bytes, in the shape that its header names.

    Raises:
        ValueError: it is none.
    """
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\x00\x00\x08":  # two zeros, then the type: unsigned bytes
        raise ValueError(f"{path} is no IDX file of bytes")
    dims = content[3]
    shape = np.frombuffer(content, ">u4", dims, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape)


def arrays(data: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures `(N, 28, 28)` and labels `(N,)` of train or test; fetched when they are not there."""
    folder = unpack_debian(PACKAGE, data) / "usr/share/datasets/fashion-mnist"
    stem = FILES[part]
    return read_idx(folder / f"{stem}-images-idx3-ubyte.gz"), read_idx(folder / f"{stem}-labels-idx1-ubyte.gz")


def folder_of(data: Path) -> Path:
    """The folder of pictures, which is written when it is not there."""
    folder = data / "fashion"
    if folder.exists():
        return folder
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in FILES:
        for name in CLASSES:
            (partial / part / name).mkdir(parents=True)
        for number, (picture, label) in enumerate(zip(*arrays(data, part), strict=True)):
            Image.fromarray(picture).save(partial / part / CLASSES[label] / f"{number:05}.png")
    partial.rename(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder for the package and the pictures")
    print(folder_of(parser.parse_args().data))


if __name__ == "__main__":
    main()
