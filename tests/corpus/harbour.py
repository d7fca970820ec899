"""Draws harbour.jpg, the picture of the demo: a harbour at dusk. Needs numpy and pillow.

    python tests/corpus/harbour.py tests/corpus/harbour.jpg
"""

import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT, HORIZON = 1024, 768, 430
rng = np.random.default_rng(11)


def clouds(height, width, octaves):
    """Fractal noise in 0..1: random grids, each twice as fine and half as strong as the one before."""
    total = np.zeros((height, width))
    for octave in range(octaves):
        cells = 3 << octave
        grid = Image.fromarray((rng.random((cells, cells)) * 255).astype(np.uint8))
        total += np.asarray(grid.resize((width, height), Image.BICUBIC), float) / 255 / (1 << octave)
    return (total - total.min()) / (total.max() - total.min())


def mix(a, b, t):
    return np.asarray(a, float) * (1 - t)[..., None] + np.asarray(b, float) * t[..., None]


y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
picture = mix([52, 70, 130], [255, 168, 96], np.clip(y / HORIZON, 0, 1) ** 1.5)
cloud = np.clip(clouds(HEIGHT, WIDTH, 6) * 2.2 - 1.0, 0, 1) * (y < HORIZON)
picture = picture * (1 - 0.6 * cloud[..., None]) + np.array([255, 214, 190]) * 0.6 * cloud[..., None]
glow = np.exp(-(((x - 700) / 190.0) ** 2 + ((y - 380) / 120.0) ** 2)) * (y < HORIZON)
picture += glow[..., None] * np.array([90, 70, 20])

ripple = np.sin(y * 0.9 + 6 * clouds(HEIGHT, WIDTH, 5)) * (y >= HORIZON)
depth = np.clip((y - HORIZON) / (HEIGHT - HORIZON), 0, 1)
water = mix([220, 140, 100], [20, 44, 80], depth**0.6)
path = np.exp(-(((x - 700) / (50 + 140 * depth)) ** 2)) * (0.5 + 0.5 * ripple)
water += ripple[..., None] * 12 + path[..., None] * np.array([120, 80, 30])
picture = np.where((y >= HORIZON)[..., None], water, picture)

image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
draw = ImageDraw.Draw(image)
draw.ellipse([660, 340, 740, 420], fill=(255, 240, 190))
draw.polygon([(0, 430), (0, 350), (90, 320), (180, 352), (290, 336), (400, 430)], fill=(38, 44, 62))
draw.polygon([(150, 340), (168, 200), (192, 200), (210, 345)], fill=(214, 208, 200))
for band in (230, 280):
    draw.polygon([(164 - band / 40, band), (196 + band / 40, band), (198 + band / 40, band + 22), (162 - band / 40, band + 22)], fill=(176, 40, 36))
draw.rectangle([166, 176, 194, 200], fill=(255, 236, 150), outline=(40, 40, 40))
draw.polygon([(160, 176), (180, 156), (200, 176)], fill=(90, 24, 24))


def boat(left, water_line, size, hull, sail):
    draw.polygon([(left, water_line - size // 4), (left + size, water_line - size // 4), (left + size * 5 // 6, water_line), (left + size // 6, water_line)], fill=hull)
    mast = left + size // 2
    draw.line([(mast, water_line - size // 4), (mast, water_line - size * 5 // 4)], fill=(40, 30, 24), width=max(2, size // 40))
    draw.polygon([(mast + 4, water_line - size * 6 // 5), (mast + 4, water_line - size // 3), (mast + size // 2, water_line - size // 3)], fill=sail)


boat(820, 470, 70, (90, 40, 34), (236, 226, 214))
boat(470, 520, 120, (30, 60, 96), (250, 244, 232))
boat(560, 660, 220, (140, 44, 36), (246, 222, 180))
draw.polygon([(0, 768), (0, 640), (260, 690), (300, 768)], fill=(70, 54, 44))
for post in range(20, 260, 60):
    draw.rectangle([post, 600 + post // 6, post + 16, 740], fill=(54, 40, 32))

image = image.filter(ImageFilter.GaussianBlur(0.8))
grain = rng.normal(0, 3.0, (HEIGHT, WIDTH, 1))
image = Image.fromarray(np.clip(np.asarray(image, float) + grain, 0, 255).astype(np.uint8))
image.save(sys.argv[1], quality=85)
