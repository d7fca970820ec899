"""Draws the image files: the PNGs that the model cases read, and one file for each color mode and container."""

import numpy as np
from PIL import Image, ImageDraw

# name -> (height, width) of the plain RGB PNGs used by the model cases
MODEL_IMAGES = {
    "landscape.png": (90, 120),
    "portrait.png": (60, 31),
    "square.png": (20, 20),
    "size-1x1.png": (1, 1),
    "size-17x31.png": (17, 31),
    "size-2000x100.png": (2000, 100),
    "size-100x2000.png": (100, 2000),
}
MODES = "modes"


def drawing(height, width, seed, shapes=6):
    """A color ramp with rectangles and ellipses on it: smooth, so that the files stay small."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[0:height, 0:width]
    ramp = np.empty((height, width, 3), np.uint8)
    ramp[..., 0] = cols * 255 // max(width - 1, 1)
    ramp[..., 1] = rows * 255 // max(height - 1, 1)
    ramp[..., 2] = (rows + cols) * 160 // max(height + width - 2, 1) + 60
    image = Image.fromarray(ramp)
    draw = ImageDraw.Draw(image)
    for index in range(shapes if min(height, width) > 4 else 0):
        left, top = int(rng.integers(0, width - 2)), int(rng.integers(0, height - 2))
        box = [left, top, left + int(rng.integers(2, width // 3 + 3)), top + int(rng.integers(2, height // 3 + 3))]
        color = tuple(int(v) for v in rng.integers(0, 256, 3))
        (draw.ellipse if index % 2 else draw.rectangle)(box, fill=color)
    return image


def with_alpha(image, seed):
    """Adds an alpha channel that takes every kind of value: 0, 255 and a ramp between."""
    width, height = image.size
    alpha = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    alpha[: height // 4] = 255
    alpha[-(height // 4) :] = 0
    out = image.convert("RGBA" if image.mode != "L" else "LA")
    out.putalpha(Image.fromarray(alpha))
    return out


def mode_images():
    """name -> (PIL image, save options). All 20 x 14 (height x width)."""
    base = drawing(20, 14, 40, shapes=4)
    gray = base.convert("L")
    palette = base.quantize(16, dither=Image.Dither.NONE)
    cmyk = base.convert("CMYK")
    gray16 = Image.fromarray((np.asarray(gray).astype(np.uint16) * 257 + 3).clip(0, 65535).astype(np.uint16))
    lossy = dict(quality=95, subsampling=0)

    def exif(orientation):
        tags = Image.Exif()
        tags[0x0112] = orientation
        return tags

    out = {
        "rgb.png": (base, {}),
        "rgba.png": (with_alpha(base, 1), {}),
        "grey.png": (gray, {}),
        "grey-alpha.png": (with_alpha(gray, 2), {}),
        "grey-transparent-colour.png": (gray, {"transparency": int(np.asarray(gray)[10, 7])}),
        "rgb-transparent-colour.png": (base, {"transparency": tuple(int(v) for v in np.asarray(base)[0, 0])}),
        "grey-16-bit.png": (gray16, {}),
        "bilevel.png": (gray.point(lambda v: 255 * (v > 120)).convert("1"), {}),
        "palette.png": (palette, {}),
        "palette-transparent.png": (palette, {"transparency": bytes([0, 80, 160, 240] + [255] * 12)}),
        "rgb.bmp": (base, {}),
        "palette.bmp": (palette, {}),
        "rgb.tiff": (base, {}),
        "rgb-lzw.tiff": (base, {"compression": "tiff_lzw"}),
        "rgba.tiff": (with_alpha(base, 3), {}),
        "palette.gif": (palette, {}),
        "palette-transparent.gif": (palette, {"transparency": 3}),
        "lossless.webp": (base, {"lossless": True}),
        "lossless-alpha.webp": (with_alpha(base, 4), {"lossless": True, "exact": True}),
        "lossy.webp": (base, {"quality": 90}),
        "rgb.jpg": (base, lossy),
        "rgb-subsampled.jpg": (base, dict(quality=95, subsampling=2)),
        "progressive.jpg": (base, dict(lossy, progressive=True)),
        "grey.jpg": (gray, dict(quality=95)),
        "cmyk.jpg": (cmyk, dict(quality=95)),
        "exif-6.png": (base, {"exif": exif(6)}),
    }
    for orientation in range(2, 9):
        out[f"exif-{orientation}.jpg"] = (base, dict(lossy, exif=exif(orientation)))
    return out


def write_media(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, (height, width)) in enumerate(MODEL_IMAGES.items()):
        drawing(height, width, seed).save(folder / name, optimize=True)
    (folder / MODES).mkdir(exist_ok=True)
    for name, (image, options) in mode_images().items():
        image.save(folder / MODES / name, **options)
