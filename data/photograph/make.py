"""Makes astronaut.jpg and astronaut.png from `skimage/data/astronaut.png` of scikit-image.

    python make.py skimage/data/astronaut.png

Needs opencv-python-headless. The JPEG is the photograph at half its size; the PNG holds the pixels
that OpenCV reads from that JPEG, because decoders differ in the last bit.
"""

import sys
from pathlib import Path

import cv2

HERE = Path(__file__).parent

photograph = cv2.imread(sys.argv[1], cv2.IMREAD_COLOR)
half = cv2.resize(photograph, (256, 256), interpolation=cv2.INTER_AREA)
jpeg = str(HERE / "astronaut.jpg")
cv2.imwrite(jpeg, half, [cv2.IMWRITE_JPEG_QUALITY, 90])
cv2.imwrite(str(HERE / "astronaut.png"), cv2.imread(jpeg), [cv2.IMWRITE_PNG_COMPRESSION, 9])
