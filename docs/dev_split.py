"""Splits emnist-derived47's training images into training and test files, so that settings can be chosen by whole runs without its test images.

    python3 docs/dev_split.py DATA_DIR NEW_DATA_DIR

100 of every class's 600 training images, drawn with seed 7, become the new set's test images. Needs NumPy.
"""

import gzip
import pathlib
import shutil
import struct
import sys

import numpy as np

HELD_OUT = 100
source, target = (pathlib.Path(a) / "emnist" for a in sys.argv[1:3])


def name(part, kind):
    return f"emnist-derived47-{part}-{kind}-ubyte.gz"


def read(path):
    data = gzip.decompress(path.read_bytes())
    dimensions = data[3]
    shape = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def write(path, values):
    header = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes(), mtime=0))


target.mkdir(parents=True)
images, labels = (read(source / name("train", kind)) for kind in ("images-idx3", "labels-idx1"))
rng = np.random.default_rng(7)
parts = {"train": [], "test": []}
for label in np.unique(labels):
    order = rng.permutation(np.flatnonzero(labels == label))
    parts["test"].extend(order[:HELD_OUT])
    parts["train"].extend(order[HELD_OUT:])
for part, chosen in parts.items():
    chosen = np.sort(chosen)
    write(target / name(part, "images-idx3"), images[chosen])
    write(target / name(part, "labels-idx1"), labels[chosen])
shutil.copyfile(source / "emnist-derived47-mapping.txt", target / "emnist-derived47-mapping.txt")
