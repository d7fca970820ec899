"""Makers of random TIFF files (see decoders_make.py)."""

import io
import struct
import subprocess

import numpy as np
from decoders_common import pick, picture, random_xmp
from PIL import Image

# photometric, samples per pixel, bits, sample format, extra samples
TIFF_KINDS = [
    *[(p, 1, b, 1, ()) for p in (0, 1) for b in (1, 2, 4, 8, 16)],
    (1, 1, 12, 1, ()), (1, 1, 16, 2, ()), (1, 1, 32, 1, ()), (1, 1, 32, 2, ()), (1, 1, 32, 3, ()),
    *[(1, 2, 8, 1, (e,)) for e in (0, 2)],
    *[(2, 3, b, 1, ()) for b in (8, 8, 16)],
    *[(2, 4, b, 1, e) for b in (8, 16) for e in ((), (0,), (1,), (2,))],
    *[(2, 5, 8, 1, (e, 0)) for e in (0, 1, 2)],
    *[(3, 1, b, 1, ()) for b in (1, 2, 4, 8)], (3, 2, 8, 1, (0,)), (3, 2, 8, 1, (2,)),
    (5, 4, 8, 1, ()), (5, 4, 16, 1, ()), (5, 5, 8, 1, (0,)),
    (6, 3, 8, 1, ()), (8, 3, 8, 1, ()),
]
COMPRESSIONS = {"none": 1, "lzw": 5, "zip": 8, "packbits": 32773, "zstd": 50000, "g3": 3, "g4": 4, "jpeg": 7}


class TiffWriter:
    """Writes one uncompressed image in any layout."""

    def __init__(self, order, big):
        self.order, self.big = order, big

    def pack(self, code, *values):
        return struct.pack(self.order + code, *values)

    def write(self, tags, chunks, offsets_tag, counts_tag):
        word = "Q" if self.big else "L"
        head = (b"II" if self.order == "<" else b"MM") + (self.pack("HHH", 43, 8, 0) if self.big else self.pack("H", 42))
        start = len(head) + (8 if self.big else 4)
        offsets, body = [], b""
        for data in chunks:
            offsets.append(start + len(body))
            body += data + b"\0" * (len(data) % 2)
        tags = {**tags, offsets_tag: (word, offsets), counts_tag: (word, [len(data) for data in chunks])}
        far_at = start + len(body)
        entries, far = b"", b""
        codes = {"B": 1, "H": 3, "L": 4, "Q": 16}
        place = 8 if self.big else 4
        size = (8 + 20 * len(tags) + 8) if self.big else (2 + 12 * len(tags) + 4)
        for tag, (code, values) in sorted(tags.items()):
            data = self.pack(f"{len(values)}{code}", *values)
            entries += self.pack("HH" + word, tag, codes[code], len(values))
            if len(data) <= place:
                entries += data.ljust(place, b"\0")
            else:
                entries += self.pack(word, far_at + size + len(far))
                far += data + b"\0" * (len(data) % 2)
        count = self.pack("Q" if self.big else "H", len(tags))
        return head + self.pack(word, far_at) + body + count + entries + self.pack(word, 0) + far


def tiff_samples(rng, channels, bits, kind, largest):
    base = picture(rng, channels, largest)
    if bits <= 8:
        return base >> (8 - bits)
    if bits == 12:
        return base.astype(np.uint16) * 16 + 5
    if kind == 3:
        return (base.astype(np.float32) * 1.3 - 40 + rng.random(base.shape)).astype(np.float32)
    if bits == 16:
        return (base.astype(np.int32) * 3 - 200).astype(np.int16) if kind == 2 else base.astype(np.uint16) * 257 + 1
    return base.astype(np.int32) * 2 - 100 if kind == 2 else base.astype(np.uint32) * 2


def tiff_row(values, bits, order):
    """One row of samples as bytes."""
    flat = values.reshape(-1)
    if bits in (8, 16, 32):
        return flat.astype(flat.dtype.newbyteorder(order)).tobytes()
    spread = (flat.astype(np.uint16)[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(spread.astype(np.uint8).reshape(-1)).tobytes()


def tiff(rng, folder, index, largest=70, programs=True):
    photometric, channels, bits, kind, extra = TIFF_KINDS[int(rng.integers(len(TIFF_KINDS)))]
    order, big = pick(rng, "<", "<", ">"), bool(rng.random() < 0.15)
    if order == ">" and big:
        order = "<"  # Pillow reads no big-endian BigTIFF
    samples = tiff_samples(rng, channels, bits, kind, largest)
    height, width, _ = samples.shape
    # Pillow misreads planes of 16 bits that are not compressed, of gray or palettes with alpha, and of a fourth sample
    # without a meaning.
    planes_are_known = bits == 8 or (bits == 16 and programs)
    planes_are_known &= photometric not in (1, 3) and (photometric, channels, extra) != (2, 4, ())
    planar = channels > 1 and rng.random() < 0.25 and planes_are_known
    tiled = rng.random() < 0.25
    chunk_height, chunk_width = (16 * int(rng.integers(1, 4)) for _ in range(2)) if tiled else (int(rng.integers(1, height + 1)), width)
    padded = np.zeros((-(-height // chunk_height) * chunk_height, -(-width // chunk_width) * chunk_width, channels), samples.dtype)
    padded[:height, :width] = samples
    reversed_bits = bits <= 8 and channels == 1 and rng.random() < 0.2
    chunks = []
    for plane in range(channels) if planar else [slice(None)]:
        for top in range(0, height, chunk_height):
            rows = chunk_height if tiled else min(chunk_height, height - top)
            for left in range(0, width, chunk_width):
                part = padded[top : top + rows, left : left + chunk_width][..., [plane] if planar else plane]
                data = b"".join(tiff_row(row, bits, order) for row in part)
                if reversed_bits:
                    data = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
                chunks.append(data)
    tags = {256: ("L", [width]), 257: ("L", [height]), 258: ("H", [bits] * channels), 259: ("H", [1])}
    tags |= {262: ("H", [photometric]), 277: ("H", [channels]), 284: ("H", [2 if planar else 1])}
    tags |= {266: ("H", [2])} if reversed_bits else {}
    tags |= {339: ("H", [kind] * channels)} if kind != 1 else {}
    tags |= {338: ("H", list(extra))} if extra else {}
    tags |= {320: ("H", [int(v) for v in rng.integers(0, 65536, 3 << bits)])} if photometric == 3 else {}
    tags |= {322: ("L", [chunk_width]), 323: ("L", [chunk_height])} if tiled else {278: ("L", [chunk_height])}
    if rng.random() < 0.3:
        tags[274] = (pick(rng, "H", "L"), [int(rng.integers(0, 10))])
    elif rng.random() < 0.2 and (xmp := random_xmp(rng)):
        tags[700] = ("B", list(xmp))
    path = folder / f"plain{index}.tif"
    places = (324, 325) if tiled else (273, 279)
    path.write_bytes(TiffWriter(order, big).write(tags, chunks, *places))
    coding = "none" if reversed_bits or not programs else pick(rng, "none", "none", *COMPRESSIONS)
    # It also takes compressed signed samples and floating-point ones without a predictor for big-endian ones where the
    # file is.
    coding = "none" if kind == 2 else "lzw" if coding == "none" and planar and bits == 16 else coding
    name = f"tiff_{photometric}_{channels}x{bits}{'f' if kind == 3 else 's' if kind == 2 else ''}"
    name += "_e" + "".join(map(str, extra)) if extra else ""
    out = folder / f"{name}_{coding}{'_planar' if planar else ''}-{index}.tif"
    if coding == "none":
        return path.rename(out)
    words = {"g3": pick(rng, "g3", "g3:2d", "g3:fill", "g3:2d:fill"), "jpeg": f"jpeg:{int(rng.integers(20, 101))}"}.get(coding, coding)
    if coding in ("lzw", "zip", "zstd") and rng.random() < 0.5:
        words += f":{3 if kind == 3 else 2}"
    extra_words = pick(rng, [], ["-f", "lsb2msb"], ["-B"], ["-L"], ["-8"], ["-s", "-r", "7"])
    extra_words = ["-L"] if kind == 3 and not words.endswith(":3") else extra_words
    done = subprocess.run(["tiffcp", "-c", words, *extra_words, path, out], check=False, capture_output=True)
    path.unlink()
    return out if done.returncode == 0 else None


PILLOW_COMPRESSIONS = {
    "1": ["tiff_ccitt", "group3", "group4", "tiff_lzw", "packbits"],
    "RGB": ["tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "zstd", "packbits", "jpeg"],
    "L": ["tiff_lzw", "zstd", "jpeg"],
    **{mode: ["tiff_lzw", "tiff_adobe_deflate", "zstd", "packbits"] for mode in ("P", "I;16", "F")},
    **{mode: ["tiff_lzw", "tiff_adobe_deflate", "zstd", "packbits", "jpeg"] for mode in ("LA", "RGBA", "CMYK", "YCbCr")},
}


def tiff_pillow(rng, folder, index, largest=70, programs=True):
    """TIFF files that Pillow's libtiff compresses, at times with a second image behind the first."""
    mode = pick(rng, "1", *PILLOW_COMPRESSIONS)
    base = picture(rng, 3, largest)
    image = Image.fromarray(base)
    if mode == "F":
        image = Image.fromarray(base[..., 0].astype(np.float32) * 1.25 - 20.5)
    elif mode == "I;16":
        image = Image.fromarray(base[..., 0].astype(np.uint16) * 251)
    elif mode == "P":
        image = image.quantize(32, dither=Image.Dither.NONE)
    else:
        image = image.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(base[..., 1]))
    compression = pick(rng, *PILLOW_COMPRESSIONS[mode])
    info = {}
    if compression in ("tiff_lzw", "zstd", "tiff_adobe_deflate") and rng.random() < 0.6 and mode != "1":
        info[317] = 3 if mode == "F" else 2
    if rng.random() < 0.5:
        info[274] = int(rng.integers(1, 9))
    if compression == "tiff_ccitt":
        # Pillow misreads a last row of one byte.
        image = image.resize((image.width + 64, image.height), Image.Resampling.NEAREST)
    if compression == "group3":
        info[292] = int(pick(rng, 0, 1, 4, 5))
    if mode == "YCbCr" and compression != "jpeg" and rng.random() < 0.5:
        info[532] = (16.0, 235.0, 128.0, 240.0, 128.0, 240.0)
    if rng.random() < 0.3:
        info[278] = 16 if compression == "jpeg" else int(rng.integers(1, image.height + 1))
    more = {"save_all": True, "append_images": [image.rotate(180)]} if rng.random() < 0.2 else {}
    path = folder / f"tiffp_{mode.replace(';', '')}_{compression.removeprefix('tiff_')}-{index}.tif"
    image.save(path, "TIFF", compression=compression, tiffinfo=info, big_tiff=bool(rng.random() < 0.2), **more)
    return path


# photometric, samples per pixel
JPEG_LAYOUTS = [(0, 1), (1, 1), (2, 3), (2, 3), (5, 4), (5, 4), (6, 3), (6, 3)]


def tiff_jpeg(rng, folder, index, largest=70, programs=True):
    """TIFF files whose strips or tiles are whole JPEG files by Pillow, with their markers, pixel by pixel or in planes."""
    photometric, channels = JPEG_LAYOUTS[int(rng.integers(len(JPEG_LAYOUTS)))]
    base = picture(rng, channels, largest)
    height, width, _ = base.shape
    planar = photometric in (2, 5) and rng.random() < 0.4
    subsampling = int(rng.integers(3)) if photometric == 6 else 0
    tiled = rng.random() < 0.3
    chunk_height, chunk_width = (16 * int(rng.integers(1, 4)) for _ in range(2)) if tiled else (16 * int(rng.integers(1, 4)), width)
    padding = ((0, -height % chunk_height if tiled else 0), (0, -width % chunk_width), (0, 0))
    padded = np.pad(base, padding)
    quality = int(rng.integers(20, 101))
    chunks = []
    for plane in range(channels) if planar else [slice(None)]:
        for top in range(0, height, chunk_height):
            for left in range(0, width, chunk_width):
                part = padded[top : top + chunk_height, left : left + chunk_width, plane]
                mode = {1: "L", 3: "RGB", 4: "CMYK"}[1 if planar else channels]
                image = Image.fromarray(part.reshape(part.shape[:2]) if mode == "L" else np.ascontiguousarray(part), mode)
                buffer = io.BytesIO()
                options = {"keep_rgb": photometric == 2, "subsampling": subsampling} if mode == "RGB" else {}
                image.save(buffer, "JPEG", quality=quality, **options)
                chunks.append(buffer.getvalue())
    tags = {256: ("L", [width]), 257: ("L", [height]), 258: ("H", [8] * channels), 259: ("H", [7])}
    tags |= {262: ("H", [photometric]), 277: ("H", [channels]), 284: ("H", [2 if planar else 1])}
    tags |= {530: ("H", [(1, 1), (2, 1), (2, 2)][subsampling])} if photometric == 6 else {}
    tags |= {322: ("L", [chunk_width]), 323: ("L", [chunk_height])} if tiled else {278: ("L", [chunk_height])}
    path = folder / f"tiffj_{photometric}_{channels}{'_planar' if planar else ''}-{index}.tif"
    path.write_bytes(TiffWriter(pick(rng, "<", ">"), False).write(tags, chunks, *((324, 325) if tiled else (273, 279))))
    return path
