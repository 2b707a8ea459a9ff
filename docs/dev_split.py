"""Splits a data set's training images into training and test files, so that settings can be chosen by whole runs without its test images.

    python3 docs/dev_split.py DATA_DIR NEW_DATA_DIR [emnist-derived47 | mnist | fashion-mnist | cifar10 [TRAIN TEST]]

One sixth of every class's training images, drawn with seed 7, become the new set's test images. With TRAIN and TEST a class keeps the first so
many of each part. Needs NumPy.
"""

import gzip
import pathlib
import shutil
import struct
import sys

import numpy as np


def split(labels):
    """Indices of the training and of the test images."""
    rng = np.random.default_rng(7)
    parts = {"train": [], "test": []}
    for label in np.unique(labels):
        order = rng.permutation(np.flatnonzero(labels == label))
        for part, chosen in (("test", order[: len(order) // 6]), ("train", order[len(order) // 6 :])):
            parts[part].extend(np.sort(chosen)[: most[part]])
    return {part: np.sort(chosen) for part, chosen in parts.items()}


def read(path):
    """An IDX file's values, plain or gzip."""
    data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
    dimensions = data[3]
    shape = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def write(path, values):
    header = struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(header + values.tobytes(), mtime=0))


def idx(folder, names, source, target):
    """`names[part]`: images and labels, in `folder` of both data directories."""
    source, target = source / folder, target / folder
    target.mkdir(parents=True)
    # Whichever is there: fetched files are gzip.
    found = [path if (path := source / name).exists() else path.with_suffix("") for name in names["train"]]
    images, labels = (read(path) for path in found)
    for part, chosen in split(labels).items():
        for name, values in zip(names[part], (images, labels)):
            write(target / name, values[chosen])
    return source, target


def plain(folder):
    files = {part: [f"{start}-images-idx3-ubyte.gz", f"{start}-labels-idx1-ubyte.gz"] for part, start in (("train", "train"), ("test", "t10k"))}
    return lambda source, target: idx(folder, files, source, target)


def emnist_derived47(source, target):
    files = {part: [f"emnist-derived47-{part}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")] for part in ("train", "test")}
    source, target = idx("emnist", files, source, target)
    shutil.copyfile(source / "emnist-derived47-mapping.txt", target / "emnist-derived47-mapping.txt")


def cifar10(source, target):
    source, target = (folder / "cifar10" / "cifar-10-batches-bin" for folder in (source, target))
    target.mkdir(parents=True)
    batches = [np.fromfile(source / f"data_batch_{i}.bin", np.uint8) for i in range(1, 6)]
    records = np.concatenate(batches).reshape(-1, 1 + 3 * 32 * 32)
    parts = split(records[:, 0])
    for i, chosen in enumerate(np.array_split(parts["train"], 5), 1):
        records[chosen].tofile(target / f"data_batch_{i}.bin")
    records[parts["test"]].tofile(target / "test_batch.bin")


if len(sys.argv) not in (3, 4, 6):
    sys.exit(__doc__)
source, target = (pathlib.Path(a) for a in sys.argv[1:3])
most = dict(zip(("train", "test"), map(int, sys.argv[4:6]))) or {"train": None, "test": None}
sets = {"emnist-derived47": emnist_derived47, "mnist": plain("mnist"), "fashion-mnist": plain("fashion-mnist"), "cifar10": cifar10}
sets[(sys.argv[3:] or ["emnist-derived47"])[0]](source, target)
