#!/usr/bin/env python3
"""Most memory that `unlearn swap` takes until a method's model is saved, in MiB: docs/peak_memory.py RUN METHOD COMMAND..., where COMMAND is a swap
without --out and RUN, which must not be there, is given to it. What comes after the swap, the audits, is cut off. Linux only."""
import subprocess
import sys
import time
from pathlib import Path


def main(run, method, command):
    process = subprocess.Popen([*command, "--methods", method, "--out", run], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    saved, peak = Path(run) / "models" / f"{method}.safetensors", 0
    while not saved.exists():
        if process.poll() is not None:
            sys.exit(f"no {saved}: {process.stderr.read().decode()}")
        rows = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
        peak = int(rows.get("VmHWM", "0 kB").split()[0])
        time.sleep(0.005)
    process.kill()
    process.wait()
    print(round(peak / 1024))


if len(sys.argv) < 4:
    sys.exit(__doc__)
main(sys.argv[1], sys.argv[2], sys.argv[3:])
