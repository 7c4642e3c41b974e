"""Makes filter2d.json: what OpenCV's filter2D computes.

    python make.py

Needs opencv-python-headless and numpy. Images are random bytes, H x W x 3, red first, written in
hexadecimal. For the photograph, which is large, there is the CRC-32 of all result bytes, and three of
its rows. `sums` are the results before they are saturated.
"""

import json
import zlib
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
PHOTOGRAPH = HERE / "../../../data/photograph/astronaut.png"

KERNELS = {
    "sobel_x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "sobel_y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "blur": (np.ones((3, 3), np.float32) / np.float32(9)).tolist(),
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "edge": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
    # Halves, which are rounded to even; even sizes, whose middle is right below; larger than images.
    "halves": [[0.5, 0.25], [0.25, 0.5]],
    "row": [[0.5, -1, 2, 0.25]],
    "column": [[1], [-0.5], [0.5], [0.25], [-0.125]],
    "wide": (np.add.outer(np.arange(7), np.arange(9)) % 5 / 64 - 0.015625).tolist(),
}
SIZES = [(1, 1), (1, 5), (2, 3), (7, 5), (31, 17)]


def kernel(name):
    return np.array(KERNELS[name], np.float32)


def main():
    random = np.random.default_rng(2026)
    images = []
    for height, width in SIZES:
        image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        results = {name: cv2.filter2D(image, -1, kernel(name)).tobytes().hex() for name in KERNELS}
        images.append(
            {"height": height, "width": width, "pixels": image.tobytes().hex(), "results": results}
        )
    # `image` is the largest now.
    sums = {
        name: cv2.filter2D(image.astype(np.float64), -1, kernel(name)).ravel().tolist()
        for name in ["sobel_x", "sobel_y", "sharpen"]
    }
    photograph = cv2.cvtColor(cv2.imread(str(PHOTOGRAPH)), cv2.COLOR_BGR2RGB)
    results = {}
    for name in KERNELS:
        result = cv2.filter2D(photograph, -1, kernel(name))
        rows = {str(row): result[row].tobytes().hex() for row in [0, 100, 255]}
        results[name] = {"crc32": zlib.crc32(result.tobytes()), "rows": rows}
    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    out = {
        "opencv": cv2.__version__,
        "kernels": {name: kernel(name).tolist() for name in KERNELS},
        "images": images,
        "sums": sums,
        "photograph": {
            "crc32": zlib.crc32(photograph.tobytes()),
            "grey_crc32": zlib.crc32(grey.tobytes()),
            "results": results,
        },
    }
    (HERE / "filter2d.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")


main()
