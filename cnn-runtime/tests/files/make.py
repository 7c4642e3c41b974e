"""Writes the files that `tests/loaders` reads, with NumPy and Pillow themselves."""

import pathlib

import numpy as np
from PIL import Image, ImageOps

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
    "floats_f2": floats[:1].astype(np.float16),
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

# Images as Pillow decodes and resizes them.
noise = np.random.default_rng(1)
small = noise.integers(0, 256, (5, 7, 3), dtype=np.uint8)
rows, columns = np.mgrid[0:24, 0:16]
smooth = np.stack([10 * rows, 15 * columns, 128 + 5 * rows - 5 * columns], -1).astype(np.uint8)
Image.fromarray(small).save(here / "small.png")
Image.fromarray(smooth).save(here / "smooth.jpg", quality=90)
exif = Image.Exif()
exif[0x0112] = 6  # held upright: the first row of the file is the right side
Image.fromarray(smooth).save(here / "turned.jpg", quality=90, exif=exif)
photo = Image.open(here / "smooth.jpg")
np.savez_compressed(
    here / "pillow.npz",
    small=small,
    small_down=np.asarray(Image.fromarray(small).resize((4, 3), Image.Resampling.BILINEAR)),
    small_up=np.asarray(Image.fromarray(small).resize((11, 9), Image.Resampling.BILINEAR)),
    small_grey=np.asarray(Image.fromarray(small).convert("L")),
    smooth=np.asarray(photo),
    turned=np.asarray(ImageOps.exif_transpose(Image.open(here / "turned.jpg"))),
)
