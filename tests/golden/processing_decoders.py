"""Small files of every format and variant, and the expected pixels of our decoders."""

import shutil
import warnings

import numpy as np
from decoders_make import MAKERS
from decoders_reference import animation, reference

from common import crc32, write_json

DECODERS = "decoders"
# Files per maker. No other programs than Python: their output would differ between machines.
COUNTS = {"png": 60, "apng": 6, "gif": 24, "webp": 16, "bmp": 40, "tiff": 60, "tiff_pillow": 32, "tiff_jpeg": 16, "jpeg": 16}
COUNTS |= {"webp_moving": 12, "webp_composed": 40}
LARGEST = 24


def write_decoder_media(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, count in COUNTS.items():
        rng = np.random.default_rng([19, *name.encode()])
        for index in range(count):
            MAKERS[name](rng, folder, index, largest=LARGEST, programs=False)


def cases(folder):
    """The file's name, and size and CRC-32 of its pixels; or Pillow's error. For animated WebP files also start, duration
    and CRC-32 of every frame, up to one that Pillow refuses."""
    for path in sorted(folder.iterdir()):
        case = {"file": path.name}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                rgb = reference(path)
                frames = [[start, duration, crc32(frame)] for start, duration, frame in animation(path)]
        except Exception as error:
            yield {**case, "error": type(error).__name__}
            continue
        case |= {"height": rgb.shape[0], "width": rgb.shape[1], "crc32": crc32(rgb)}
        yield {**case, "frames": frames} if frames else case


def write(folder, golden_root):
    write_json(folder / "decoders.json", list(cases(golden_root / "media" / DECODERS)))
