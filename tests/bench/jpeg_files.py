"""Random JPEG files with Pillow's pixels: `python jpeg_files.py PACK --files 10000 [--seed 1]`. See `cargo xtask jpeg`.

Files are made by Pillow and by libjpeg-turbo's tools (cjpeg, jpegtran; Debian: libjpeg-turbo-progs): all sampling
factors, progressive scripts, restart intervals, arithmetic coding, lossless frames, every color space; a third of them
are then damaged. The pack holds, for each file: its length, the file, 1 if Pillow reads it, width, height, and the
CRC-32 of the RGB pixels; numbers are little-endian u32.
"""

import argparse
import io
import random
import struct
import subprocess
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from jpeg_lossless import encode as encode_lossless

# Damage can change the size in a header; images larger than this are skipped to save time.
MAX_PIXELS = 1 << 22
SAMPLING = ["1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "3x1", "1x3", "4x2", "2x4", "3x2", "3x3"]


def size(rng):
    if rng.random() < 0.02:
        return rng.randint(100, 900), rng.randint(100, 900)
    if rng.random() < 0.3:
        return rng.randint(1, 20), rng.randint(1, 20)
    return rng.randint(1, 90), rng.randint(1, 90)


def picture(rng, channels):
    """u8 [height, width, channels]: noise, slopes, edges, or a mixture."""
    width, height = size(rng)
    noise = np.random.default_rng(rng.getrandbits(32))
    y, x = np.mgrid[:height, :width]
    image = np.zeros((height, width, channels))
    for channel in range(channels):
        a, b, c, d = (rng.uniform(-1, 1) for _ in range(4))
        kind = rng.randrange(4)
        if kind == 0:
            plane = noise.integers(0, 256, (height, width)).astype(float)
        elif kind == 1:
            plane = 128 + 127 * np.sin(a * x * 0.3 + b * y * 0.3 + 6 * c)
        elif kind == 2:
            plane = np.where((x * a + y * b + 10 * c).astype(int) % 7 < 3, 255.0, 0.0)
        else:
            plane = 128 + 120 * np.sin(a * x * 0.1 + c) * np.cos(b * y * 0.1 + d) + noise.normal(0, 12, (height, width))
        image[..., channel] = plane
    return np.clip(image, 0, 255).astype(np.uint8)


def run(*words, data):
    return subprocess.run(words, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def by_pillow(rng):
    mode = rng.choice(["RGB", "RGB", "L", "CMYK", "YCbCr"])
    pixels = picture(rng, {"L": 1, "CMYK": 4}.get(mode, 3))
    image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode if mode != "YCbCr" else "RGB").convert(mode)
    options = {"quality": rng.choice([rng.randint(1, 100), 75, 90, 95])}
    if mode in ("RGB", "YCbCr"):
        options["subsampling"] = rng.randrange(3)
    if mode == "RGB" and rng.random() < 0.15:
        options |= {"keep_rgb": True, "subsampling": 0}
    options["progressive"] = rng.random() < 0.35
    options["optimize"] = rng.random() < 0.3
    if rng.random() < 0.2:
        options[rng.choice(["restart_marker_blocks", "restart_marker_rows"])] = rng.randint(1, 9)
    if rng.random() < 0.1:
        options["qtables"] = [[rng.randint(1, 255) for _ in range(64)] for _ in range(2)]
    out = io.BytesIO()
    try:
        image.save(out, "JPEG", **options)
    except OSError:  # more data than Pillow has a buffer for
        return by_pillow(rng)
    return out.getvalue()


def scan_script(rng, components):
    """A valid progression of random spectral selection and successive approximation."""
    lines = []
    low = rng.randint(0, 3)
    lines.append(f"{','.join(map(str, range(components)))}: 0-0, 0, {low};")
    waiting = [(0, 0, low, tuple(range(components)))] if low else []
    for component in range(components):
        start = 1
        while start < 64:
            end = rng.choice([63, rng.randint(start, 63)])
            bit = rng.randint(0, 3)
            waiting.append((start, end, bit + 100, (component,)))
            start = end + 1
    while waiting:
        start, end, bit, which = waiting.pop(rng.randrange(len(waiting)))
        names = ",".join(map(str, which))
        if bit >= 100:
            bit -= 100
            lines.append(f"{names}: {start}-{end}, 0, {bit};")
        else:
            lines.append(f"{names}: {start}-{end}, {bit}, {bit - 1};")
            bit -= 1
        if bit:
            waiting.append((start, end, bit, which))
    return "\n".join(lines)


def sequential_script(rng, components):
    order = list(range(components))
    if rng.random() < 0.5 and components > 1:
        cut = rng.randint(1, components - 1)
        return f"{','.join(map(str, order[:cut]))};\n{','.join(map(str, order[cut:]))};"
    return "\n".join(f"{component};" for component in order)


def coding(rng, components, folder):
    words = []
    kind = rng.random()
    if kind < 0.2:
        words.append("-progressive")
    elif kind < 0.45:
        script = Path(folder) / "scans"
        script.write_text((scan_script if rng.random() < 0.6 else sequential_script)(rng, components))
        words += ["-scans", str(script)]
    if rng.random() < 0.35:
        words.append("-arithmetic")
    elif rng.random() < 0.3:
        words.append("-optimize")
    if rng.random() < 0.3:
        words += ["-restart", rng.choice(["1", "2", "1B", "3B", "7B"])]
    return words


def by_cjpeg(rng, folder):
    gray = rng.random() < 0.2
    pixels = picture(rng, 1 if gray else 3)
    header = f"{'P5' if gray else 'P6'} {pixels.shape[1]} {pixels.shape[0]} 255\n"
    words = ["cjpeg", "-quality", str(rng.choice([rng.randint(1, 100), 75, 90]))]
    if gray:
        words += ["-sample", rng.choice(SAMPLING)]
    elif rng.random() < 0.2:
        words.append("-rgb")
    else:
        first = rng.choice(SAMPLING)
        rest = rng.choice(["1x1", "1x1", "1x1,1x1", rng.choice(SAMPLING), "1x2,2x1"])
        words += ["-sample", f"{first},{rest}"]
    words += coding(rng, 1 if gray else 3, folder)
    try:
        return run(*words, data=header.encode() + pixels.tobytes())
    except subprocess.CalledProcessError:  # too many blocks in an MCU, fractional factors
        return by_cjpeg(rng, folder)


def by_jpegtran(rng, folder):
    data = by_pillow(rng) if rng.random() < 0.7 else by_cjpeg(rng, folder)
    components = Image.open(io.BytesIO(data)).layers
    words = ["jpegtran", *coding(rng, components, folder)]
    if rng.random() < 0.3:
        words += rng.choice([["-rotate", "90"], ["-transpose"], ["-flip", "horizontal"]])
    try:
        return run(*words, data=data)
    except subprocess.CalledProcessError:
        return data


def lossless(rng):
    pixels = picture(rng, rng.choice([1, 3, 4]))
    return encode_lossless(rng, pixels)


def segments(data):
    """(marker code, start, end) of the segments up to the first scan."""
    found, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((data[at + 1], at, end))
        if data[at + 1] == 0xDA:
            break
        at = end
    return found


def relabel(rng, data):
    """Other color spaces: Adobe markers, component names, no JFIF marker."""
    data = bytearray(data)
    parts = segments(data)
    frame = next(start for code, start, _ in parts if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC))
    if rng.random() < 0.5:
        for code, start, end in reversed(parts):
            if code in (0xE0, 0xEE) and rng.random() < 0.8:
                del data[start:end]
    adobe = b"\xff\xee\0\x0eAdobe\0d\0\0\0\0" + bytes([rng.choice([0, 1, 2, 2, 7])])
    if rng.random() < 0.6:
        data[2:2] = adobe
    elif rng.random() < 0.3 and data[frame + 9 : frame + 10] == b"\x03":
        pass
    return bytes(data)


def pieces(rng, data):
    """A progressive file without its last scans."""
    starts = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] == 0xDA]
    if len(starts) < 2:
        return data
    cut = rng.choice(starts[1:])
    if rng.random() < 0.4:
        cut = rng.randint(starts[0] + 12, cut)
    return data[:cut] + b"\xff\xd9"


def damage(rng, data):
    data = bytearray(data)
    starts = [end for code, _, end in segments(data) if code == 0xDA]
    scan = starts[0] if starts else len(data) // 2
    for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
        # The first three bytes identify a JPEG file.
        low = scan if rng.random() < 0.7 and scan < len(data) else 3
        if low >= len(data):
            break
        at = rng.randrange(low, len(data))
        kind = rng.randrange(12)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at] = rng.randrange(256)
        elif kind == 3:
            data[at] = 0xFF
        elif kind == 4:
            del data[at : at + rng.randint(1, 4)]
        elif kind == 5:
            data[at:at] = rng.randbytes(rng.randint(1, 4))
        elif kind == 6:
            data[at:at] = bytes([0xFF, rng.choice([0, 0xD9, 0xFF, 1, 0xC4, 0xDA, *range(0xD0, 0xD8)])])
        elif kind == 7:
            markers = [i for i in range(scan, len(data) - 1) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
            if markers:
                at = rng.choice(markers)
                if rng.random() < 0.5:
                    del data[at : at + 2]
                else:
                    data[at + 1] = 0xD0 + rng.randrange(8)
        elif kind == 8:
            data[at:at] = data[at : at + rng.randint(1, 200)]
        elif kind == 9:
            data += rng.randbytes(rng.randint(1, 30))
        elif kind == 10:
            del data[len(data) - rng.randint(1, 12) :]
        else:
            # Bytes between two segments, or a marker filled up with 0xff.
            parts = segments(data)
            if parts:
                start = rng.choice(parts)[1]
                data[start:start] = rng.choice([b"\xff", b"\xff\xff", b"\0", b"ab\0", rng.randbytes(3)])
    return bytes(data)


def make(rng, folder):
    draw = rng.random()
    if draw < 0.4:
        data = by_pillow(rng)
    elif draw < 0.75:
        data = by_cjpeg(rng, folder)
    elif draw < 0.93:
        data = by_jpegtran(rng, folder)
    else:
        data = lossless(rng)
    if rng.random() < 0.12:
        data = relabel(rng, data)
    if rng.random() < 0.1:
        data = pieces(rng, data)
    if rng.random() < 0.33:
        data = damage(rng, data)
    return data


def expected(data):
    """(1, width, height, CRC-32) of Pillow's pixels, zeros if it refuses the file; None for an image that is too large."""
    try:
        image = Image.open(io.BytesIO(data), formats=["JPEG", "MPO"])
        if image.width * image.height > MAX_PIXELS:
            return None
        image.load()
        pixels = image.convert("RGB").tobytes()
    except Exception:  # any error means that Pillow refuses the file
        return 0, 0, 0, 0
    return 1, image.width, image.height, zlib.crc32(pixels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("pack", type=Path)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    read = 0
    with arguments.pack.open("wb") as pack, tempfile.TemporaryDirectory() as folder:
        for index in range(arguments.files):
            rng = random.Random(f"{arguments.seed} {index}")
            truth = None
            while truth is None:
                data = make(rng, folder)
                truth = expected(data)
            read += truth[0]
            pack.write(struct.pack("<I", len(data)) + data + struct.pack("<4I", *truth))
    print(f"{arguments.files} files, Pillow reads {read}")


if __name__ == "__main__":
    main()
