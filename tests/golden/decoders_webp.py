"""Makers of random WebP files, still and animated (see decoders_make.py)."""

import io
import struct
import subprocess

import numpy as np
from decoders_common import pick, picture, random_exif, random_xmp
from PIL import Image


def webp(rng, folder, index, largest=70, programs=True):
    base = picture(rng, int(pick(rng, 3, 3, 4)), int(pick(rng, 1, 1, 4)) * largest)
    image = Image.fromarray(base)
    kind = pick(rng, "webp_lossy", "webp_lossy", "webp_lossless", "webp_animated", *["webp_cwebp"] * programs)
    path = folder / f"{kind}{'_alpha' if base.shape[2] == 4 else ''}-{index}.webp"
    options = {"quality": int(rng.integers(0, 101)), "method": int(rng.integers(0, 5)), "exact": bool(rng.random() < 0.5)}
    exif, xmp = random_exif(rng), random_xmp(rng)
    if exif is not None:
        options["exif"] = pick(rng, b"", b"Exif\0\0") + exif
    if xmp is not None:
        options["xmp"] = xmp
    if kind == "webp_animated":
        more = [Image.fromarray(base[::-1].copy()), Image.fromarray(np.ascontiguousarray(base[:, ::-1]))]
        image.save(path, save_all=True, append_images=more, lossless=bool(rng.random() < 0.5), **options)
    elif kind == "webp_cwebp":
        source = folder / f"source-{index}.png"
        image.save(source)
        words = ["-q", str(options["quality"]), "-m", str(options["method"]), "-segments", str(int(rng.integers(1, 5)))]
        words += ["-f", str(int(rng.integers(0, 101))), "-sharpness", str(int(rng.integers(0, 8)))]
        words += pick(rng, [], ["-nostrong"], ["-sharp_yuv"], ["-alpha_method", "0"], ["-alpha_filter", "best"], ["-alpha_q", "50"])
        words += pick(rng, [], ["-partition_limit", "50"], ["-pre", "3"], ["-low_memory"])
        subprocess.run(["cwebp", "-quiet", *words, source, "-o", path], check=True, capture_output=True)
        source.unlink()
    else:
        image.save(path, lossless=kind == "webp_lossless", **options)
    return path


def changed(rng, frame):
    """A frame of which a random rectangle is other, at times nothing or all."""
    frame = frame.copy()
    height, width, channels = frame.shape
    (top, bottom), (left, right) = (sorted(int(at) for at in rng.integers(0, side + 1, 2)) for side in (height, width))
    region = frame[top:bottom, left:right]
    kind = int(rng.integers(5))
    if kind == 0:
        region[:] = rng.integers(0, 256, region.shape)
    elif kind == 1:
        region[:] = rng.integers(0, 256, channels)
    elif kind == 2:
        region[..., -1] = rng.integers(0, 256, region.shape[:2])
    elif kind == 3:
        frame = frame[::-1].copy()
    return frame


def webp_moving(rng, folder, index, largest=70, programs=True):
    """An animation as Pillow writes it."""
    frames = [picture(rng, int(pick(rng, 3, 4)), largest)]
    for _ in range(int(rng.integers(1, 9))):
        frames.append(changed(rng, frames[-1]))
    images = [Image.fromarray(frame) for frame in frames]
    options = {"duration": [int(rng.integers(0, 300)) for _ in images], "quality": int(rng.integers(0, 101))}
    options.update(method=int(rng.integers(0, 5)), minimize_size=bool(rng.random() < 0.5))
    options.update(pick(rng, {}, {"lossless": True}, {"allow_mixed": True}))
    if rng.random() < 0.5:
        options.update(kmin=0, kmax=int(rng.integers(0, 4)))
    if rng.random() < 0.5:
        options["background"] = tuple(int(level) for level in rng.integers(0, 256, 4))
    exif = random_exif(rng)
    if exif is not None:
        options["exif"] = exif
    path = folder / f"webp_moving{'_alpha' if frames[0].shape[2] == 4 else ''}-{index}.webp"
    images[0].save(path, save_all=True, append_images=images[1:], **options)
    return path


def riff(kind, data, size=None):
    """A chunk, padded to an even length."""
    return kind + struct.pack("<L", len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


def u24(number):
    return struct.pack("<L", number)[:3]


def bitstream(rng, height, width, alpha):
    """The chunks ALPH, VP8 and VP8L of a still image."""
    image = Image.fromarray(picture_of(rng, height, width, 4 if alpha else 3))
    out = io.BytesIO()
    lossless = bool(rng.random() < 0.5)
    options = {"alpha_quality": int(pick(rng, 100, 100, 50)), "exact": bool(rng.random() < 0.5)}
    image.save(out, "WEBP", lossless=lossless, quality=int(rng.integers(0, 101)), method=int(rng.integers(0, 5)), **options)
    data, at, found = out.getvalue(), 12, b""
    while at < len(data):
        size = struct.unpack_from("<L", data, at + 4)[0]
        end = at + 8 + size + size % 2
        if data[at : at + 4] in (b"ALPH", b"VP8 ", b"VP8L"):
            found += data[at:end]
        at = end
    return found


def picture_of(rng, height, width, channels):
    """A picture of a size, of which alpha is often 0 or 255."""
    kind = int(rng.integers(3))
    if kind == 0:
        out = rng.integers(0, 256, (height, width, channels))
    elif kind == 1:
        out = np.broadcast_to(rng.integers(0, 256, channels), (height, width, channels)).copy()
    else:
        rows, cols = np.mgrid[0:height, 0:width]
        out = (rows[..., None] * rng.uniform(-9, 9, channels) + cols[..., None] * rng.uniform(-9, 9, channels)) % 256
    if channels == 4 and rng.random() < 0.5:
        out[..., 3] = rng.integers(0, 3, (height, width)) * 255 // 2
    return out.astype(np.uint8)


def webp_composed(rng, folder, index, largest=60, programs=True):
    """A file put together from still images: frames anywhere, every way to blend and dispose; at times with what libwebp
    refuses, and damaged."""
    height, width = (int(2 ** rng.uniform(0, np.log2(largest))) for _ in range(2))
    strange = rng.random() < 0.4
    moves, alpha = bool(rng.random() < 0.85), bool(rng.random() < 0.7)
    extra = [riff(b"EXIF", random_exif(rng) or b""), riff(b"ICCP", b"profile"), riff(b"abcd", b"odd"), riff(b"XMP ", b"xmp")]
    if strange and rng.random() < 0.2:
        extra += [riff(b"ANIM", b"\0" * int(rng.integers(4, 8))), riff(b"ALPH", b"\0\1"), riff(b"VP8X", b"\0" * 10)]
    parts = [riff(b"ANIM", rng.integers(0, 256, 6).astype(np.uint8).tobytes())] if moves else []
    for _ in range(int(rng.integers(1, 7)) if moves else 1):
        top, left = (2 * int(rng.integers(0, (side + 1) // 2)) if rng.random() < 0.7 and moves else 0 for side in (height, width))
        rows, cols = height - top, width - left
        if moves and rng.random() < 0.6:
            rows, cols = int(rng.integers(1, rows + 1)), int(rng.integers(1, cols + 1))
        if strange and rng.random() < 0.1:
            rows, cols = max(1, rows + int(rng.integers(-1, 2))), max(1, cols + int(rng.integers(-1, 2)))
        image = bitstream(rng, rows, cols, alpha if rng.random() < 0.9 else not alpha)
        if strange and rng.random() < 0.2:
            image = pick(rng, b"", image + image, riff(b"ALPH", b"\0" + b"\7" * rows * cols) + image, image + pick(rng, *extra), pick(rng, *extra) + image)
        if moves:
            sides = (cols - 1, rows - 1) if rng.random() < 0.9 else (3, 7)
            place = u24(left // 2) + u24(top // 2) + b"".join(map(u24, sides))
            bits = int(rng.integers(4)) | (int(rng.integers(256)) << 2 & 255)
            frame = place + u24(int(rng.integers(0, 500))) + bytes([bits]) + image
            size = len(frame) + int(rng.integers(-2, 3)) * 2 if strange and rng.random() < 0.15 else None
            image = riff(b"ANMF", frame, size)
        parts.append(image)
    for chunk in extra:
        if rng.random() < 0.2:
            parts.insert(int(rng.integers(0, len(parts) + 1)), chunk)
    flags = 2 * moves | 16 * alpha | int(pick(rng, 0, 4, 8, 32, 44))
    if strange and rng.random() < 0.2:
        flags ^= 1 << int(rng.integers(8))
    header = bytes([flags, *rng.integers(0, 256, 3)]) + u24(width - 1) + u24(height - 1)
    parts.insert(0, riff(b"VP8X", header + (b"\0" if strange and rng.random() < 0.05 else b"")))
    if not moves and rng.random() < 0.3:
        del parts[0]
    kind = f"webp_{'composed' if moves else 'still'}{'_strange' if strange else ''}"
    body = b"WEBP" + b"".join(parts)
    data = bytearray(b"RIFF" + struct.pack("<L", len(body)) + body)
    damage = rng.random()
    if damage < 0.1:
        kind += "_damaged"
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif damage < 0.15:
        kind += "_cut"
        data = data[: int(rng.integers(min(12, len(data) - 1), len(data)))]
        if rng.random() < 0.5:
            data[4:8] = struct.pack("<L", len(data) - 8)
    elif damage < 0.2:
        data += pick(rng, b"\0", b"more bytes after the end")
    path = folder / f"{kind}-{index}.webp"
    path.write_bytes(data)
    return path
