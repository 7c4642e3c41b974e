"""ResNet-20 of specs/resnet20.cnn in PyTorch, and its ONNX export in ONNX Runtime, on random images.

    python benches/peers/resnet20.py --mode train --threads 2 --variant channels_last
    python benches/peers/resnet20.py --mode infer --threads 2 --batch 1

Prints one JSON line in the form of the `throughput` example. Needs torch, and for --mode infer also onnx
and onnxruntime.
"""

import argparse
import json
import os
import statistics
import tempfile
import time

import numpy
import torch
from torch import nn


class Block(nn.Module):
    """Two convolutions beside an identity, or at half the size beside a projection."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
        self.shortcut = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride, bias=False),
                nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01),
            )

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def resnet20():
    """Logits."""
    layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16, eps=1e-3, momentum=0.01), nn.ReLU()]
    for channels, filters, stride in [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2:
        layers.append(Block(channels, filters, stride))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def repeat(call, flags, images):
    """Images per second of each repeat, and seconds of each call."""
    for _ in range(10):
        call()
    rates, times = [], []
    for _ in range(flags.repeats):
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < flags.seconds or calls < 3:
            before = time.perf_counter()
            call()
            times.append(time.perf_counter() - before)
            calls += 1
        rates.append(calls * images / (time.perf_counter() - start))
    return rates, times


def train(flags):
    torch.manual_seed(0)
    layout = torch.channels_last if flags.variant == "channels_last" else torch.contiguous_format
    net = resnet20().train().to(memory_format=layout)
    x = torch.rand(4096, 3, 32, 32).to(memory_format=layout)
    y = torch.randint(0, 10, (4096,))
    optimizer = torch.optim.RMSprop(net.parameters(), lr=0.001, alpha=0.9, eps=1e-7)
    criterion = nn.CrossEntropyLoss()
    batch = flags.batch or 64

    def step():
        i = torch.randint(0, 4096, (batch,))
        optimizer.zero_grad(set_to_none=True)
        criterion(net(x[i]), y[i]).backward()
        optimizer.step()

    rates, _ = repeat(step, flags, batch)
    return batch, rates, None, torch.__version__


def infer(flags):
    import onnxruntime

    batch = flags.batch or 1
    net = nn.Sequential(resnet20(), nn.Softmax(-1)).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "resnet20.onnx")
        torch.onnx.export(net, (torch.rand(batch, 3, 32, 32),), path, dynamo=False, input_names=["x"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = flags.threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = numpy.random.default_rng(0).random((batch, 3, 32, 32), numpy.float32)
    rates, times = repeat(lambda: session.run(None, {"x": x}), flags, batch)
    return batch, rates, times, onnxruntime.__version__


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["train", "infer"], default="train")
    parser.add_argument("--variant", choices=["eager", "channels_last"], default="channels_last")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    batch, rates, times, version = train(flags) if flags.mode == "train" else infer(flags)
    line = {
        "peer": "torch" if flags.mode == "train" else "onnxruntime", "version": version, "model": "resnet20",
        "mode": flags.mode, "batch": batch, "threads": flags.threads,
        "images_per_s": {"median": round(statistics.median(rates), 2), "max": round(max(rates), 2)},
    }
    if times:
        line["latency_us"] = {"median": round(statistics.median(times) * 1e6, 2)}
    print(json.dumps(line))


main()
