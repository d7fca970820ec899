"""Expected output of our decoders: Pillow's pixels, upright, transparency composited over white, 8-bit RGB."""

import io

import numpy as np
from PIL import Image, ImageOps
from transformers.image_transforms import convert_to_rgb

Image.MAX_IMAGE_PIXELS = None

BITS_PER_SAMPLE = 258


def over_white(levels, alpha):
    """Gray u8 levels with u8 alpha over white, by Pillow."""
    picture = Image.merge("LA", [Image.fromarray(levels), Image.fromarray(alpha)])
    return convert_to_rgb(picture, return_numpy=True)


def reference(path):
    """u8 [height, width, 3]. Of 16-bit gray values, which Pillow clips to 255, the upper 8 bits are kept (12-bit ones
    likewise). Read from memory: of some turned TIFF files Pillow maps the pixels into memory with sides exchanged."""
    picture = Image.open(io.BytesIO(path.read_bytes()))
    picture.load()
    bits = picture.tag_v2.get(BITS_PER_SAMPLE, (16,))[0] if hasattr(picture, "tag_v2") else 16
    picture = ImageOps.exif_transpose(picture)
    if not picture.mode.startswith("I;16"):
        return np.ascontiguousarray(convert_to_rgb(picture, return_numpy=True))
    values = np.asarray(picture).astype(np.uint32)
    levels = (values >> (bits - 8)).astype(np.uint8)
    key = picture.info.get("transparency")
    if key is not None:
        return over_white(levels, np.where(values == key, 0, 255).astype(np.uint8))
    return np.repeat(levels[..., None], 3, axis=2)


def is_animated(data):
    """Whether a file is a WebP animation."""
    return data[8:16] == b"WEBPVP8X" and len(data) > 20 and data[20] & 2 != 0


def animation(path):
    """Of every frame of a WebP animation, up to one that Pillow refuses: start and duration in milliseconds, and pixels as
    those of `reference`, but not turned."""
    data = path.read_bytes()
    if not is_animated(data):
        return
    picture = Image.open(io.BytesIO(data))
    for index in range(picture.n_frames):
        try:
            picture.seek(index)
            picture.load()
        except OSError:
            return
        rgb = np.ascontiguousarray(convert_to_rgb(picture, return_numpy=True))
        yield picture.info["timestamp"], picture.info["duration"], rgb
