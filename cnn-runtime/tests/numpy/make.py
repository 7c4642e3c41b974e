"""Writes the arrays that `tests/loaders` reads, with NumPy itself."""

import pathlib

import numpy as np

here = pathlib.Path(__file__).parent
images = np.arange(2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 3)
labels = np.array([[7], [3]])
floats = np.array([[0.1, -2.5, 1e-3], [np.inf, 4e30, 0]])
arrays = {
    "images_u1": images,
    "labels_i8": labels.astype(np.int64),
    "labels_i4_big": labels.astype(">i4").ravel(),
    "labels_u2": labels.astype(np.uint16).ravel(),
    "labels_negative": np.array([1, -1], dtype=np.int32),
    "labels_i1_negative": np.array([1, -1], dtype=np.int8),
    "floats_f4": floats.astype(np.float32),
    "floats_f4_big": floats.astype(">f4"),
    "floats_f8": floats,
    "floats_f2": floats.astype(np.float16),
    "fortran": np.asfortranarray(images),
    "fields": np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]),
    "objects": np.array([{}, None], dtype=object),
    "empty": np.zeros((0, 2, 3), dtype=np.uint8),
    "scalar": np.float32(1.5),
}
for name, array in arrays.items():
    np.save(here / f"{name}.npy", array)
np.savez(here / "stored.npz", x_train=images, y_train=labels)
np.savez_compressed(
    here / "deflated.npz", x_train=images, y_train=labels, x_test=floats, y_test=labels[:1]
)
