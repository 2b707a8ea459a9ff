"""Runs both sides of benches/peers in turn and prints what came out; `run` beside this file calls it.

Every measurement is a process of its own, which counts in windows of a second; those in which others used the machine are left out.
"""
import json, os, pathlib, platform, statistics, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).parent
LOADS = json.loads((HERE / "workloads.json").read_text())
OURS = HERE.parent.parent / "target/release/examples/workload"
PEER = [sys.executable, str(HERE / "peer.py")]
RUNS = int(os.environ.get("RUNS", 5))
THREADS = int(os.environ.get("THREADS", os.cpu_count()))
# Seconds to wait, before each measurement, for a machine that others use.
PATIENCE = float(os.environ.get("PATIENCE", 20))
# How often a disturbed measurement is taken again.
REPEATS = 2
# Others' share of the machine's time from which a window counts as disturbed.
DISTURBED = 0.03
# glibc gives freed memory back and pays for fresh pages at every step unless told to keep it.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 36), "MALLOC_TRIM_THRESHOLD_": str(1 << 36), "MALLOC_TOP_PAD_": str(1 << 26)}
TUNINGS = {"malloc": [], "malloc, channels last": ["--channels-last"]}
NAMES = {
    "w1_train": "W1 `cnn-emnist` training, batch 256",
    "w2_train": "W2 `resnet20` training, batch 128",
    "mlp_train": "`mlp` training, batch 128",
    "head_train": "head 480→20 training, batch 256",
    "w1_infer": "W1 inference, batch 512",
    "w2_infer": "W2 inference, batch 512",
}


def busy_seconds():
    """CPU seconds that everything took since boot."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[i]) for i in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")


def wait_until_quiet():
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and pathlib.Path("/proc/stat").exists():
        before = busy_seconds()
        time.sleep(0.5)
        if busy_seconds() - before < DISTURBED * 0.5 * os.cpu_count():
            break


def call(command, env={}):
    """A process's JSON line; the process knows when it was started."""
    env = {**os.environ, **env, "PEERS_STARTED_NS": str(time.time_ns())}
    done = subprocess.run([str(part) for part in command], env=env, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def counted(load, result):
    """Adds images a second in the windows in which others took least, as many as are to be counted, and what others took then."""
    length = steps = others = 0
    for window in sorted(result["windows"], key=lambda w: max(w[2], DISTURBED)):
        if length < LOADS[load]["seconds"]:
            length, steps, others = length + window[0], steps + window[1], max(others, window[2])
    return dict(result, images_per_s=steps * LOADS[load]["batch"] / length, others=others)


def measure(load, side):
    """One measurement of a side: `ours`, `as installed` or the name of a tuning."""
    threads = ["--threads", THREADS]
    command = [OURS, "measure", load, *threads] if side == "ours" else [*PEER, "measure", load, *threads, *TUNINGS.get(side, [])]
    tries = []
    while not tries or tries[-1]["others"] >= DISTURBED and len(tries) <= REPEATS:
        wait_until_quiet()
        tries.append(counted(load, call(command, KEEP_MEMORY if side in TUNINGS else {})))
    result = min(tries, key=lambda t: max(t["others"], DISTURBED))
    print(f"  {load:10} {side:22} {result['images_per_s']:10.0f} images/s {result['peak_mib']:6.0f} MiB   others {100 * result['others']:4.1f} %", file=sys.stderr)
    return result


def check_parity():
    """Both sides must do the same: same losses from the same weights and images, step after step."""
    with tempfile.TemporaryDirectory() as folder:
        for load in (name for name, load in LOADS.items() if load["what"] == "train"):
            file = pathlib.Path(folder) / f"{load}.safetensors"
            ours, theirs = call([OURS, "parity", load, file])["losses"], call([*PEER, "parity", load, file])["losses"]
            apart = max(abs(a - b) / b for a, b in zip(ours, theirs, strict=True))
            print(f"  {load:10} losses of {len(ours)} steps differ by at most {apart:.1e}: {ours[0]:.4f} … {ours[-1]:.4f}", file=sys.stderr)
            if not apart < 2e-3:
                sys.exit(f"{load}: not the same training: {ours} against PyTorch's {theirs}")


def machine():
    model = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.processor())
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def cell(values, digits):
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def main():
    print(f"load average {os.getloadavg()[0]:.2f}", file=sys.stderr)
    check_parity()
    sides = {load: ["ours", "as installed", *TUNINGS] for load in LOADS}
    results = {load: {side: [] for side in sides[load]} for load in LOADS}
    for turn in range(RUNS):
        print(f"run {turn + 1} of {RUNS}", file=sys.stderr)
        for load, entry in LOADS.items():
            for side in list(sides[load]):
                if side == "malloc, channels last" and entry["input"][1] == 1 or entry["arch"] == "mlp" and side == "malloc, channels last":
                    continue  # no channels to lay out
                results[load][side].append(measure(load, side))
            # From the second run on only the better tuning.
            tried = [side for side in TUNINGS if results[load][side]]
            best = max(tried, key=lambda side: results[load][side][0]["images_per_s"])
            sides[load] = ["ours", "as installed", best]
    # Where no tuning gains anything, the best of PyTorch is what was installed.
    speed = lambda load, side: statistics.median(r["images_per_s"] for r in results[load][side])
    show(results, {load: max(names[1:], key=lambda side: speed(load, side)) for load, names in sides.items()})


def show(results, best):
    first = results["w1_train"]
    version = lambda side: first[side][0]["version"]
    print(f"{machine()}; {THREADS} threads a side; unlearn {version('ours')}, PyTorch {version('as installed')}; f32; medians of {RUNS} runs (range)\n")
    print("| | ours | PyTorch as installed | ours / it | PyTorch, best tuning | ours / it | tuning |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
    ratios = {}

    def row(key, name, load, figure, digits):
        columns = [[r[figure] for r in results[load][side]] for side in ("ours", "as installed", best[load])]
        middle = [statistics.median(c) for c in columns]
        ratios[key], ratios[f"{key}_best"] = round(middle[0] / middle[1], 3), round(middle[0] / middle[2], 3)
        cells = [cell(c, digits) for c in columns]
        print(f"| {name} | {cells[0]} | {cells[1]} | {ratios[key]:.2f} | {cells[2]} | {ratios[f'{key}_best']:.2f} | {best[load]} |")
        return middle[0]

    for load, name in NAMES.items():
        row(load, f"{name}, images/s", load, "images_per_s", 0)
    row("w1_memory", "W1 training, peak memory, MiB (less is better)", "w1_train", "peak_mib", 0)
    started = row("first_step", "from process start to the end of W1's first step, s (less is better)", "w1_train", "first_step_s", 2)
    ready = row("ready", "from process start to its beginning, s (less is better)", "w1_train", "ready_s", 2)
    ratios.update(first_step_s=round(started, 3), ready_s=round(ready, 3))
    shares = [r["others"] for sides in results.values() for runs in sides.values() for r in runs]
    disturbed = sum(share >= DISTURBED for share in shares)
    if disturbed:
        print(f"\n{disturbed} of {len(shares)} measurements were disturbed: others took up to {100 * max(shares):.0f} % of the machine.")
    print()
    print(json.dumps(ratios))


main()
