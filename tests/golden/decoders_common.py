"""Pictures and metadata for random image files."""

import struct

import numpy as np


def pick(rng, *choices):
    return choices[int(rng.integers(len(choices)))]


def picture(rng, channels, largest):
    """u8 [height, width, channels]: noise, ramps, blocks of few colors, or something between."""
    height, width = (int(2 ** rng.uniform(0, np.log2(largest))) for _ in range(2))
    noise = rng.integers(0, 256, (height, width, channels))
    rows, cols = np.mgrid[0:height, 0:width]
    ramp = (rows[..., None] * rng.uniform(-9, 9, channels) + cols[..., None] * rng.uniform(-9, 9, channels)) % 256
    blocks = noise[rows // 5 % height, cols // 7 % width] // 85 * 85
    kind = int(rng.integers(4))
    out = [noise, ramp, blocks, ramp + noise * 0.08][kind]
    return np.clip(out, 0, 255).astype(np.uint8)


def random_exif(rng):
    """EXIF data with an orientation of any type, at times of no valid value; or None."""
    if rng.random() < 0.5:
        return None
    order = pick(rng, "<", ">")
    kind = int(pick(rng, 3, 3, 4, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17))
    value = int(rng.integers(0, 10))
    code = {1: "B", 2: "B", 3: "H", 4: "L", 5: "LL", 6: "b", 7: "B", 8: "h", 9: "l", 10: "ll", 11: "f", 12: "d"}
    code = {**code, 13: "L", 16: "Q", 17: "q"}[kind]
    data = struct.pack(order + code, *([value] if len(code) == 1 else [value * 2, 2]))
    count = int(pick(rng, 1, 1, 1, 2))
    data = (data * count).ljust(4, b"\0")
    head = (b"II\x2a\0" if order == "<" else b"MM\0\x2a") + struct.pack(order + "LH", 8, 1)
    entry = struct.pack(order + "HHL", 0x112, kind, count)
    if len(data) > 4:
        return head + entry + struct.pack(order + "LL", 26, 0) + data
    return head + entry + data + struct.pack(order + "L", 0)


def random_xmp(rng):
    """An XMP packet with an orientation as attribute or element; or None."""
    if rng.random() < 0.6:
        return None
    value = int(rng.integers(0, 10))
    body = pick(
        rng,
        f'<rdf:Description tiff:Orientation="{value}"/>',
        f"<tiff:Orientation>{value}</tiff:Orientation>",
        f"<tiff:Orientation> {value}</tiff:Orientation>",
        f"<rdf:Description tiff:Orientation='{value}' tiff:Orientation=\"3\"/>",
    )
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{body}</x:xmpmeta>'.encode()
