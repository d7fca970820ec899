"""Writes photographs of mixed sizes into a folder: `python batch_photos.py FOLDER COUNT`. See README.md."""

import random
import sys
from pathlib import Path

import skimage.data
import sklearn.datasets
from PIL import Image

# Those that come with the packages; others are downloads.
NAMES = ("astronaut", "cat", "coffee", "hubble_deep_field", "rocket", "retina")
# Sizes of phones, cameras, pictures on pages, and screenshots.
SIZES = ((4032, 3024), (1024, 768), (640, 480), (1920, 1080), (800, 1200), (512, 512), (300, 450), (2048, 1365))


def photos():
    found = [Image.fromarray(picture) for picture in sklearn.datasets.load_sample_images().images]
    for name in NAMES:
        try:
            found.append(Image.fromarray(getattr(skimage.data, name)()))
        except Exception:  # not in this version, or not bundled
            continue
    return [photo.convert("RGB") for photo in found]


folder, count = Path(sys.argv[1]), int(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
choose = random.Random(1)
sources = photos()
for index in range(count):
    photo, (width, height) = choose.choice(sources), choose.choice(SIZES)
    # A part of the photo with the shape of the new one, so that no two are alike.
    scale = min(photo.width / width, photo.height / height) * choose.uniform(0.5, 1)
    part = (int(width * scale), int(height * scale))
    left, top = choose.randint(0, photo.width - part[0]), choose.randint(0, photo.height - part[1])
    part = photo.crop((left, top, left + part[0], top + part[1])).resize((width, height), Image.Resampling.BICUBIC)
    part.save(folder / f"{index:04}.jpg", quality=90)
