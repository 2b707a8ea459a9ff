"""The PyTorch side of benches/peers: one workload of workloads.json in one process, its figures as one JSON line.

peer.py measure WORKLOAD [--threads N] [--channels-last]
peer.py parity WORKLOAD CHECKPOINT      losses of the first steps from the weights in a checkpoint of ours
"""
import argparse, json, math, os, pathlib, struct, time
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

RATE = 1e-3  # Adam's, betas 0.9 and 0.999, eps 1e-8: PyTorch's defaults
WARM_STEPS, WARM_SECONDS = 3, 0.5
# As in workload.rs: least length of a window, others' share from which it counts as disturbed, most time in multiples of what is counted.
WINDOW_SECONDS, DISTURBED, PATIENCE = 1, 0.03, 5
PARITY_STEPS = 5


class Residual(nn.Module):
    """relu(body(x) + shortcut(x)), as in src/model/layers.rs."""

    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = nn.Sequential(*body), nn.Sequential(*shortcut)

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


def conv(inputs, out, kernel=3, stride=1, bias=False):
    return nn.Conv2d(inputs, out, kernel, stride, kernel // 2, bias=bias)


def blocks(inputs, out, stride):
    """Three basic blocks, as in src/model/arch/resnet_blocks.rs."""
    made = []
    for i in range(3):
        n, s = (inputs, stride) if i == 0 else (out, 1)
        body = [conv(n, out, 3, s), nn.BatchNorm2d(out), nn.ReLU(), conv(out, out), nn.BatchNorm2d(out)]
        made.append(Residual(body, [conv(n, out, 1, s), nn.BatchNorm2d(out)] if s > 1 else []))
    return made


def network(arch, shape, slots):
    """The architectures of src/model/arch under the same names of tensors."""
    c, h, w = shape
    stages = OrderedDict()
    if arch == "mlp":
        stages["fc1"] = [nn.Flatten(), nn.Linear(c * h * w, 128), nn.ReLU()]
        stages["fc2"] = [nn.Linear(128, 64), nn.ReLU()]
        features = 64
    elif arch == "cnn-emnist":
        stages["conv1"] = [conv(c, 32, bias=True), nn.ReLU()]
        stages["conv2"] = [conv(32, 64, bias=True), nn.ReLU(), nn.MaxPool2d(2)]
        stages["conv3"] = [conv(64, 128, bias=True), nn.ReLU(), nn.MaxPool2d(2)]
        stages["fc"] = [nn.Flatten(), nn.Linear(128 * (h // 4) * (w // 4), 480), nn.ReLU()]
        features = 480
    elif arch == "resnet20":
        stages["stem"] = [conv(c, 16), nn.BatchNorm2d(16), nn.ReLU()]
        stages["group1"], stages["group2"] = blocks(16, 16, 1), blocks(16, 32, 2)
        stages["group3"] = [*blocks(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        features = 64
    elif arch == "linear":
        stages["cached"] = [nn.Flatten()]
        features = c * h * w
    else:
        raise SystemExit(f"{arch}: no such architecture here")
    made = OrderedDict((name, nn.Sequential(*layers)) for name, layers in stages.items())
    return nn.Sequential(OrderedDict(made, head=nn.Linear(features, slots)))


def numbers(count, first=0):
    """The same `count` even draws from 0-1 as workload.rs makes: MurmurHash3's finaliser of a counter."""
    x = torch.arange(first, first + count, dtype=torch.int64)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF
    return ((x ^ (x >> 16)) >> 8).to(torch.float32) / 2**24


def pool(load, layout):
    """Every batch, made once: images as a list of tensors, slots likewise."""
    n, size = load["batch"], math.prod(load["input"])
    images = [numbers(n * size, k * n * size).reshape(n, *load["input"]).contiguous(memory_format=layout) for k in range(load["pool"])]
    slots = (numbers(n * load["pool"], 1 << 31) * load["slots"]).long()
    return images, list(slots.split(n))


def trainer(net, load, layout):
    images, slots = pool(load, layout)
    net.train()
    adam = torch.optim.Adam(net.parameters(), lr=RATE)

    def step(i):
        k = i % len(images)
        loss = F.cross_entropy(net(images[k]), slots[k])
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.detach()

    return step


def head_trainer(net, load, layout):
    """On cached activations in one tensor, shuffled each epoch."""
    images, slots = pool(load, layout)
    images, slots = torch.cat(images).flatten(1), torch.cat(slots)
    net.train()
    adam = torch.optim.Adam(net.parameters(), lr=RATE)
    order = []

    def step(i):
        if i % load["pool"] == 0:
            order[:] = torch.randperm(len(slots)).split(load["batch"])
        picked = order[i % load["pool"]]
        loss = F.cross_entropy(net(images[picked]), slots[picked])
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.detach()

    return step


def predictor(net, load, layout):
    images, _ = pool(load, layout)
    net.eval()

    @torch.inference_mode()
    def step(i):
        return net(images[i % len(images)]).sum()

    return step


def since_start():
    """Seconds since whoever started this process looked at the clock."""
    started = os.environ.get("PEERS_STARTED_NS")
    return None if started is None else (time.time_ns() - int(started)) / 1e9


def peak_mib():
    """Most memory that this process ever had resident."""
    status = pathlib.Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), None)


def others_seconds():
    """CPU time that everybody but this process took since boot, as in others.rs."""
    stat = pathlib.Path("/proc/stat")
    if not stat.exists():
        return 0
    fields = stat.read_text().split("\n", 1)[0].split()[1:]
    own = pathlib.Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()
    return (sum(int(fields[i]) for i in (0, 1, 2, 5, 6, 7)) - int(own[11]) - int(own[12])) / os.sysconf("SC_CLK_TCK")


def measure(load, args):
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    net = network(load["arch"], load["input"], load["slots"]).to(memory_format=layout)
    step = {"train": trainer, "head": head_trainer, "infer": predictor}[load["what"]](net, load, layout)
    ready = since_start()
    last = step(0).item()
    first = since_start()
    done, begin = 1, time.perf_counter()
    while done < WARM_STEPS or time.perf_counter() - begin < WARM_SECONDS:
        step(done).item()
        done += 1
    # Others may use the machine now and then: count in windows, until enough of them were ours alone or it takes too long.
    windows, ours, begin = [], 0, time.perf_counter()
    while ours < load["seconds"] and time.perf_counter() - begin < PATIENCE * load["seconds"]:
        window, others, steps = time.perf_counter(), others_seconds(), 0
        while steps == 0 or time.perf_counter() - window < WINDOW_SECONDS:
            last = step(done).item()
            done += 1
            steps += 1
        length = time.perf_counter() - window
        share = (others_seconds() - others) / (length * os.cpu_count())
        ours += length if share < DISTURBED else 0
        windows.append((length, steps, share))
    assert math.isfinite(last), f"{last}: diverged"
    return {
        "windows": windows,
        "last": last,
        "parameters": sum(p.numel() for p in net.parameters()),
        "peak_mib": peak_mib(),
        "ready_s": ready,
        "first_step_s": first,
        "threads": torch.get_num_threads(),
        "version": torch.__version__,
    }


def parity(load, path):
    """Losses of the first steps from the weights of a safetensors file: 8 bytes of length, a JSON header, the values."""
    bytes_ = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", bytes_[:8])
    header, values = json.loads(bytes_[8 : 8 + length]), bytes_[8 + length :]
    header.pop("__metadata__", None)
    weights = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        weights[name] = torch.frombuffer(bytearray(values[begin:end]), dtype=torch.float32).reshape(entry["shape"])
    net = network(load["arch"], load["input"], load["slots"])
    odd = net.load_state_dict(weights, strict=False)
    missing = [name for name in odd.missing_keys if not name.endswith("num_batches_tracked")]
    assert not missing and not odd.unexpected_keys, (missing, odd.unexpected_keys)
    step = trainer(net, load, torch.contiguous_format)
    return {"losses": [step(i).item() for i in range(PARITY_STEPS)]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["measure", "parity"])
    parser.add_argument("workload")
    parser.add_argument("checkpoint", nargs="?", help="of parity")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    load = json.loads((pathlib.Path(__file__).parent / "workloads.json").read_text())[args.workload]
    print(json.dumps(measure(load, args) if args.command == "measure" else parity(load, args.checkpoint)))


main()
