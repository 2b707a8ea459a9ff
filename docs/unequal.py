#!/usr/bin/env python3
"""mnist-mini with classes of unequal size: docs/unequal.py NEW_FOLDER SMALLEST

Of digit d the first 1000 · SMALLEST^(d / 9) training images stay: all of "0", a share SMALLEST of "9". The test files stay as they are. Use it
with --data idx:NEW_FOLDER.
"""

import gzip
import pathlib
import shutil
import sys

ASSETS = pathlib.Path(__file__).resolve().parent.parent / "assets"
IMAGES_HEADER, LABELS_HEADER = 16, 8

folder, smallest = pathlib.Path(sys.argv[1]), float(sys.argv[2])
if not 0 < smallest <= 1:
    sys.exit(f"{smallest}: not a share of a class's images; use above 0 to 1")
folder.mkdir(parents=True)
for part in ["test-images-idx3", "test-labels-idx1"]:
    shutil.copyfile(ASSETS / f"mnist-mini-{part}-ubyte.gz", folder / f"{part}-ubyte.gz")
images = gzip.decompress((ASSETS / "mnist-mini-train-images-idx3-ubyte.gz").read_bytes())
labels = gzip.decompress((ASSETS / "mnist-mini-train-labels-idx1-ubyte.gz").read_bytes())
total = len(labels) - LABELS_HEADER
size = (len(images) - IMAGES_HEADER) // total
left = {digit: round(labels[LABELS_HEADER:].count(digit) * smallest ** (digit / 9)) for digit in range(10)}
kept = []
for i, digit in enumerate(labels[LABELS_HEADER:]):
    if left[digit] > 0:
        left[digit] -= 1
        kept.append(i)


def write(name, raw, header, width):
    body = b"".join(raw[header + i * width :][:width] for i in kept)
    # The second word of the header is the number of items.
    raw = raw[:4] + len(kept).to_bytes(4, "big") + raw[8:header] + body
    (folder / name).write_bytes(gzip.compress(raw, mtime=0))


write("train-images-idx3-ubyte.gz", images, IMAGES_HEADER, size)
write("train-labels-idx1-ubyte.gz", labels, LABELS_HEADER, 1)
