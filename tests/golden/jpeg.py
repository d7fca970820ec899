#!/usr/bin/env python3
"""Pillow's pixels of the JPEG files in crates/smolvlm-image/tests/jpeg.

    python jpeg.py           compare with the committed expected.txt; exit status 1 on a difference
    python jpeg.py --write   write it

One line for each file: name, width, height and the CRC-32 of the RGB pixels; or name and `refused`. Files with the
fault of a kind are named after it. They were made once by Pillow, libjpeg-turbo's tools and an editor; see
tests/bench/jpeg_files.py for a generator of random ones.
"""

import sys
import warnings
import zlib
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).resolve().parents[2] / "crates/smolvlm-image/tests/jpeg"


def line(path):
    try:
        image = Image.open(path, formats=["JPEG", "MPO"])
        image.load()
    except Exception:  # any error means that Pillow refuses the file
        return f"{path.name} refused"
    return f"{path.name} {image.width} {image.height} {zlib.crc32(image.convert('RGB').tobytes()):08x}"


def main():
    warnings.simplefilter("ignore")
    text = "".join(f"{line(path)}\n" for path in sorted(FOLDER.glob("*.jpg")))
    expected = FOLDER / "expected.txt"
    if "--write" in sys.argv[1:]:
        expected.write_text(text)
        return 0
    return 0 if expected.read_text() == text else 1


if __name__ == "__main__":
    sys.exit(main())
