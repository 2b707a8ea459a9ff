#!/usr/bin/env python3
"""mnist-mini with wrong labels among the images of the new class: docs/wrong_labels.py NEW_FOLDER SHARE

For the swap 6 → 3: images of the other eight digits, drawn with a fixed seed, are labelled 3 in the training files until they make up SHARE
of all that are. The test files stay as they are. Use it with --data idx:NEW_FOLDER.
"""

import gzip
import pathlib
import random
import shutil
import sys

ASSETS = pathlib.Path(__file__).resolve().parent.parent / "assets"
NEW, OLD, HEADER = 3, 6, 8

folder, share = pathlib.Path(sys.argv[1]), float(sys.argv[2])
if not 0 <= share < 1:
    sys.exit(f"{share}: not a share of the new class's images; use 0 to below 1")
folder.mkdir(parents=True)
for part in ["train-images-idx3", "test-images-idx3", "test-labels-idx1"]:
    shutil.copyfile(ASSETS / f"mnist-mini-{part}-ubyte.gz", folder / f"{part}-ubyte.gz")
data = bytearray(gzip.decompress((ASSETS / "mnist-mini-train-labels-idx1-ubyte.gz").read_bytes()))
labels = data[HEADER:]
others = [i for i, label in enumerate(labels) if label not in (NEW, OLD)]
for i in random.Random(0).sample(others, round(share / (1 - share) * labels.count(NEW))):
    data[HEADER + i] = NEW
(folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(data), mtime=0))
