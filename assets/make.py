#!/usr/bin/env python3
"""Make the built-in subset of MNIST: make.py FOLDER

FOLDER holds the four official files (train-images-idx3-ubyte.gz, …). The first 1,000 training and 200 test images of each
digit, in file order, are written beside this script. The same input gives the same bytes.
"""

import gzip
import hashlib
import io
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
PARTS = {
    "train": ("train", 1000, "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432"),
    "test": ("t10k", 200, "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
}


def read(path, md5):
    data = path.read_bytes()
    found = hashlib.md5(data).hexdigest()
    if found != md5:
        sys.exit(f"{path}: MD5 {found}, expected {md5}: not the official file")
    return gzip.decompress(data)


def write(name, data):
    # No file name and no time in the header: the bytes depend on the data only.
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as gz:
        gz.write(data)
    path = HERE / name
    path.write_bytes(buffer.getvalue())
    print(f"{hashlib.sha256(buffer.getvalue()).hexdigest()}  {name}")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    for part, (official, each, images_md5, labels_md5) in PARTS.items():
        images = read(folder / f"{official}-images-idx3-ubyte.gz", images_md5)[16:]
        labels = read(folder / f"{official}-labels-idx1-ubyte.gz", labels_md5)[8:]
        taken = [0] * 10
        kept = []
        for i, label in enumerate(labels):
            if taken[label] < each:
                taken[label] += 1
                kept.append(i)
        size = 28 * 28
        pixels = b"".join(images[i * size : (i + 1) * size] for i in kept)
        write(f"mnist-mini-{part}-images-idx3-ubyte.gz", struct.pack(">IIII", 0x803, len(kept), 28, 28) + pixels)
        write(f"mnist-mini-{part}-labels-idx1-ubyte.gz", struct.pack(">II", 0x801, len(kept)) + bytes(labels[i] for i in kept))


main()
