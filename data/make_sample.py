#!/usr/bin/env python3
"""Makes mnist-sample/ from the four files of the full MNIST, raw or gzip.

    make_sample.py FOLDER_OF_THE_FULL_SET [OUTPUT_FOLDER]

Takes one in six training and one in five test digits. Each class keeps its share, and its digits
are taken at even distances, so that every group of writers is in the sample. Nothing is random:
the same input gives the same digits.
"""

import gzip
import struct
import sys
from pathlib import Path

SIZES = {"train": 10_000, "t10k": 2_000}
GZIP_MAGIC = b"\x1f\x8b"


def read(folder, name, magic):
    """The axis sizes and the payload of an IDX file."""
    path = next(p for p in (folder / name, folder / f"{name}.gz") if p.exists())
    data = path.read_bytes()
    if data.startswith(GZIP_MAGIC):
        data = gzip.decompress(data)
    axes = magic & 0xFF
    found, *sizes = struct.unpack_from(f">{1 + axes}I", data)
    if found != magic:
        sys.exit(f"{path}: magic number {found} found, {magic} expected")
    return sizes, data[4 * (1 + axes):]


def write(folder, name, magic, sizes, payload):
    """Writes an IDX file compressed by gzip, without a time stamp."""
    header = struct.pack(f">{1 + len(sizes)}I", magic, *sizes)
    data = gzip.compress(header + payload, compresslevel=9, mtime=0)
    (folder / f"{name}.gz").write_bytes(data)


def quotas(counts, total):
    """Shares `total` out in proportion to `counts`; the largest remainders are rounded up."""
    everything = sum(counts)
    shares = [count * total // everything for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda c: -(counts[c] * total % everything))
    for c in by_remainder[: total - sum(shares)]:
        shares[c] += 1
    return shares


def choose(labels, total):
    """The indices of the sample, in the order of the full set."""
    of_class = [[i for i, label in enumerate(labels) if label == c] for c in range(10)]
    chosen = []
    for indices, share in zip(of_class, quotas([len(i) for i in of_class], total)):
        chosen += [indices[(2 * k + 1) * len(indices) // (2 * share)] for k in range(share)]
    return sorted(chosen)


def main():
    source = Path(sys.argv[1])
    target = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent / "mnist-sample")
    for part, total in SIZES.items():
        (_, rows, columns), pixels = read(source, f"{part}-images-idx3-ubyte", 2051)
        _, labels = read(source, f"{part}-labels-idx1-ubyte", 2049)
        chosen = choose(labels, total)
        size = rows * columns
        images = b"".join(pixels[i * size : (i + 1) * size] for i in chosen)
        write(target, f"{part}-images-idx3-ubyte", 2051, [total, rows, columns], images)
        write(target, f"{part}-labels-idx1-ubyte", 2049, [total], bytes(labels[i] for i in chosen))


if __name__ == "__main__":
    main()
