"""Makes the files of this directory from a set of Keras 3 reference results.

    python make.py REFERENCE

REFERENCE holds `layers/index.json`, `layers/<group>.safetensors` and `models/<model>.safetensors`.
Needs numpy and safetensors. See README.md for what the files hold.
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

HERE = Path(__file__).parent

GROUPS = ["conv2d", "maxpool", "dense", "batchnorm", "activations", "losses", "networks", "counts"]
GROUPS += ["depthwise", "separable", "conv2d_transpose", "locally_connected"]
GROUPS += ["avgpool", "global_pooling", "shaping", "layernorm"]
GROUPS += ["merge"]
LAYERS = {"BatchNormalization", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dropout", "Activation", "ReLU", "Softmax"}
LAYERS |= {"DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "LocallyConnected2D"}
LAYERS |= {"AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"}
LAYERS |= {"Add", "Concatenate"}
LOSSES = {"CategoricalCrossentropy", "SparseCategoricalCrossentropy"}

FULL = 4096  # result tensors up to this size are kept whole
STRIDE = 29  # of larger ones every 29th element is kept
DOTS = 8  # and so many dot products


def wanted(case):
    """Whether the layers here cover a case."""
    group = case["group"]
    if group not in GROUPS:
        return False
    if group == "losses":
        plain = not {"label_smoothing", "reduction", "axis"} & set(case["loss"]["args"])
        weighted = "sample_weight" in case["tensors"]
        return case["loss"]["class"] in LOSSES and plain and not weighted
    if group in ("networks", "counts"):
        return all(layer["class"] in LAYERS for layer in case["layers"])
    return True


def save(tensors, name):
    save_file(tensors, HERE / name)
    (HERE / name).chmod(0o644)


def layers(source):
    index = json.loads((source / "index.json").read_text())
    cases = [case for case in index["cases"] if wanted(case)]
    for group in GROUPS:
        path = source / f"{group}.safetensors"
        if not path.exists():
            continue
        tensors = load_file(path)
        kept = {}
        for case in (c for c in cases if c["group"] == group):
            names = [n for n in case["tensors"] if f"f64/{n}" not in case["tensors"]]
            case["tensors"] = names
            kept |= {f"{case['id']}/{n}": tensors[f"{case['id']}/{n}"] for n in names}
        save(kept, path.name)
    head = json.dumps({k: v for k, v in index.items() if k != "cases"}, indent=1)
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "index.json").write_text(head.rstrip("\n}") + ',\n "cases": [\n' + lines + "\n]}\n")


def signs(count, j):
    """The j-th vector of signs, +1 or -1: the top bit of a 32-bit hash of i and j decides element i."""
    with np.errstate(over="ignore"):
        h = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1)
        h = h + np.uint32(j + 1) * np.uint32(0x85EBCA6B)
        h ^= h >> np.uint32(15)
        h = h * np.uint32(0x2C1B3C6D)
        h ^= h >> np.uint32(12)
        h = h * np.uint32(0x297A2D39)
    return 1.0 - 2.0 * (h >> np.uint32(31)).astype(np.float64)


def model(path):
    kept = {}
    for name, tensor in load_file(path).items():
        if name == "onehot":
            continue
        if not name.startswith(("grad/", "after1/", "after3/", "velocity3/")) or tensor.size <= FULL:
            kept[name] = tensor
            continue
        flat = tensor.reshape(-1)
        kept[f"sample{STRIDE}/{name}"] = flat[::STRIDE].copy()
        wide = flat.astype(np.float64)
        kept[f"dots/{name}"] = np.array([wide @ signs(flat.size, j) for j in range(DOTS)])
    save(kept, path.name)


if __name__ == "__main__":
    reference = Path(sys.argv[1])
    layers(reference / "layers")
    for name in ("mnist_cnn", "mlp"):
        model(reference / "models" / f"{name}.safetensors")
