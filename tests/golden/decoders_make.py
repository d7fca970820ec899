"""Makers of random image files, one per format: `maker(rng, folder, index, largest, programs)` writes a file of sides
up to `largest` and returns its path, named KIND-INDEX.EXT. None where a program refuses the combination; with
`programs` false none is called, so that the bytes are the same everywhere."""

import io
import struct
import zlib

import numpy as np
from decoders_common import pick, picture, random_exif, random_xmp
from decoders_tiff import tiff, tiff_jpeg, tiff_pillow
from decoders_webp import webp, webp_composed, webp_moving
from PIL import Image

# --- PNG -------------------------------------------------------------------------------------------------------------

PNG_KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data, wrong_checksum=False):
    checksum = zlib.crc32(kind + data) ^ (1 if wrong_checksum else 0)
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", checksum)


def filtered(rng, samples, depth):
    """Rows of u16 samples [height, width, channels], packed and filtered at random."""
    height, width, channels = samples.shape
    out, above = bytearray(), None
    pixel = max(1, channels * depth // 8)
    for row in samples.reshape(height, width * channels):
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        else:
            bits = (row[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            packed = np.packbits(bits.astype(np.uint8).reshape(-1)).tobytes()
        current = np.frombuffer(packed, np.uint8).astype(int)
        above = np.zeros_like(current) if above is None else above
        left, corner = (np.concatenate([np.zeros(pixel, int), line])[: len(current)] for line in (current, above))
        kind = int(rng.integers(5))
        nearest = left + above - corner
        a, b, c = abs(nearest - left), abs(nearest - above), abs(nearest - corner)
        paeth = np.where((a <= b) & (a <= c), left, np.where(b <= c, above, corner))
        guess = [0, left, above, (left + above) // 2, paeth][kind]
        out += bytes([kind]) + ((current - guess) % 256).astype(np.uint8).tobytes()
        above = current
    return bytes(out)


def text_chunk(rng, key, value):
    if rng.random() < 0.5:
        return chunk(b"zTXt", key + b"\0\0" + zlib.compress(value))
    return chunk(b"tEXt", key + b"\0" + value)


def png_metadata(rng):
    """Chunks that may hold an orientation."""
    out = []
    exif, xmp, profile = random_exif(rng), random_xmp(rng), random_exif(rng) if rng.random() < 0.3 else None
    if exif is not None:
        out.append(chunk(b"eXIf", exif))
    if xmp is not None:
        compressed = rng.random() < 0.5
        head = b"XML:com.adobe.xmp\0" + (b"\1\0" if compressed else b"\0\0") + b"\0\0"
        out.append(chunk(b"iTXt", head + (zlib.compress(xmp) if compressed else xmp)))
    if profile is not None:
        data = b"Exif\0\0" + profile
        lines = data.hex()
        lines = "\n".join(lines[at : at + 72] for at in range(0, len(lines), 72))
        out.append(text_chunk(rng, b"Raw profile type exif", f"\nexif\n{len(data):8}\n{lines}\n".encode()))
    return out


def png(rng, folder, index, largest=70, programs=True):
    color, depth = PNG_KINDS[int(rng.integers(len(PNG_KINDS)))]
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    base = picture(rng, channels, largest).astype(np.uint16)
    samples = base >> (8 - depth) if depth < 8 else base
    if depth == 16:
        samples = base * 257 ^ rng.integers(0, 256, base.shape).astype(np.uint16)
    height, width, _ = samples.shape
    interlaced = rng.random() < 0.4
    data = b""
    if interlaced:
        for left, top, step_x, step_y in PASSES:
            part = samples[top::step_y, left::step_x]
            data += filtered(rng, part, depth) if part.size else b""
    else:
        data = filtered(rng, samples, depth)
    packed = zlib.compress(data, int(rng.integers(0, 10)))
    cuts = sorted(int(v) for v in rng.integers(0, len(packed) + 1, int(rng.integers(0, 4))))
    pieces = [packed[a:b] for a, b in zip([0, *cuts], [*cuts, len(packed)])]
    head = [chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, color, 0, 0, int(interlaced)))]
    if rng.random() < 0.2:
        head.append(chunk(b"gAMA", struct.pack(">L", 22000)))
    if color == 3:
        count = int(rng.integers(1, 2**depth + 1))
        head.append(chunk(b"PLTE", rng.integers(0, 256, 3 * count).astype(np.uint8).tobytes()))
        if rng.random() < 0.5:
            head.append(chunk(b"tRNS", rng.integers(0, 256, int(rng.integers(1, count + 1))).astype(np.uint8).tobytes()))
    elif color in (0, 2) and rng.random() < 0.5:
        key = samples[int(rng.integers(height)), int(rng.integers(width))]
        head.append(chunk(b"tRNS", key.astype(">u2").tobytes()))
    metadata = png_metadata(rng)
    before = [piece for piece in metadata if rng.random() < 0.5]
    after = [piece for piece in metadata if piece not in before]
    damage = pick(rng, *[""] * 12, "idat-checksum", "text-checksum", "no-end", "end-text-checksum", "junk", "cut")
    if damage == "text-checksum":
        before.append(chunk(b"tEXt", b"a\0b", wrong_checksum=True))
    if damage == "end-text-checksum":
        after.append(chunk(b"tEXt", b"a\0b", wrong_checksum=True))
    idat = [chunk(b"IDAT", piece, damage == "idat-checksum") for piece in pieces]
    end = [] if damage == "no-end" else [chunk(b"IEND", b"")]
    file = b"\x89PNG\r\n\x1a\n" + b"".join(head + before + idat + after + end)
    if damage == "junk":
        file += rng.bytes(9)
    if damage == "cut":
        file = file[: int(rng.integers(20, len(file)))]
    path = folder / f"png_{color}_{depth}{'_damaged' if damage else ''}-{index}.png"
    path.write_bytes(file)
    return path


def apng(rng, folder, index, largest=70, programs=True):
    frames = [Image.fromarray(picture(rng, int(pick(rng, 3, 4)), largest)) for _ in range(int(rng.integers(1, 4)))]
    frames = [frame.resize(frames[0].size).convert(frames[0].mode) for frame in frames]
    path = folder / f"apng-{index}.png"
    exif = random_exif(rng)
    options = {"exif": exif} if exif is not None else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], default_image=bool(rng.random() < 0.3), **options)
    return path


# --- GIF -------------------------------------------------------------------------------------------------------------


def gif(rng, folder, index, largest=70, programs=True):
    base = picture(rng, 3, largest)
    colors = int(2 ** rng.integers(1, 9))
    frame = Image.fromarray(base).quantize(colors, dither=Image.Dither.NONE)
    if rng.random() < 0.2:
        frame = Image.fromarray(base[..., 0])
    options = {"interlace": bool(rng.random() < 0.5)}
    if rng.random() < 0.5:
        options["transparency"] = int(rng.integers(0, colors))
    if rng.random() < 0.3:
        options["background"] = int(rng.integers(0, colors))
    buffer = io.BytesIO()
    frame.save(buffer, "GIF", **options)
    data = bytearray(buffer.getvalue())
    kind = pick(rng, "gif", "gif", "gif_canvas", "gif_offset", "gif_notrailer", "gif_cut", "gif_damaged")
    # The image descriptor comes after the palette and the extensions.
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while data[at] == 0x21:
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    if kind in ("gif_canvas", "gif_offset"):
        width, height = struct.unpack("<HH", data[6:10])
        left, top = (int(v) for v in rng.integers(0, 9, 2))
        if kind == "gif_canvas":
            data[6:10] = struct.pack("<HH", width + left + int(rng.integers(9)), height + top + int(rng.integers(9)))
        data[at + 1 : at + 5] = struct.pack("<HH", left, top)
    if kind == "gif_notrailer":
        data = data[:-1]
    if kind == "gif_cut":
        data = data[: int(rng.integers(13, len(data)))]
    if kind == "gif_damaged":
        place = int(rng.integers(at, len(data)))
        data[place] ^= 1 << int(rng.integers(8))
    path = folder / f"{kind}-{index}.gif"
    path.write_bytes(data)
    return path


# --- BMP -------------------------------------------------------------------------------------------------------------

MASKS = {
    16: [(0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)],
    32: [
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
        (0xFF0, 0xF000, 0xF, 0),
    ],
    24: [(0xFF0000, 0xFF00, 0xFF, 0)],
}


def run_lengths(rng, indices, four):
    """Rows of indices in random runs, literal or repeated, with line ends and at times jumps."""
    out = bytearray()
    for row in indices:
        at = 0
        while at < len(row):
            left = len(row) - at
            if left >= 3 and rng.random() < 0.3:
                count = int(rng.integers(3, min(left, 40) + 1))
                part = [int(v) for v in row[at : at + count]]
                if four:
                    part += [0] * (-count % 2)
                    packed = bytes(a << 4 | b for a, b in zip(part[::2], part[1::2]))
                else:
                    packed = bytes(part)
                out += bytes([0, count]) + packed + b"\0" * (len(packed) % 2)
            else:
                count = int(rng.integers(1, min(left, 30) + 1))
                pair = int(row[at]) * 17 if four else int(row[at])
                out += bytes([count, pair])
            at += count
        if rng.random() < 0.9:
            out += b"\0\0"
    return bytes(out + b"\0\1")


def bmp(rng, folder, index, largest=70, programs=True):
    bits = int(pick(rng, 1, 4, 8, 16, 24, 32))
    header = int(pick(rng, 12, 40, 40, 52, 56, 64, 108, 124)) if bits in (1, 4, 8, 24) else int(pick(rng, 40, 52, 56, 108, 124))
    base = picture(rng, 4, largest)
    height, width, _ = base.shape
    down = header != 12 and rng.random() < 0.3
    compression, masks, palette = 0, b"", b""
    if bits in (16, 24, 32) and header != 12 and rng.random() < 0.6:
        compression = 3
        masks = struct.pack("<4L", *MASKS[bits][int(rng.integers(len(MASKS[bits])))])
    if bits <= 8:
        count = 2**bits
        colors = 0
        if header != 12 and rng.random() < 0.3:
            colors = count = int(rng.integers(1, count + 1))
        entry = 3 if header == 12 else 4
        palette = rng.integers(0, 256, (count, entry)).astype(np.uint8)
        # Pillow misreads ramps of gray that do not use all bits.
        if rng.random() < 0.2 and (bits == 1 or (bits == 8 and count > 2)):
            ramp = np.arange(count) * (255 if count == 2 else 1)
            palette = np.repeat(ramp[:, None], entry, axis=1).astype(np.uint8)
        palette = palette.tobytes()
        indices = base[..., 0] >> (8 - bits)
        rows = [np.packbits(((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).astype(np.uint8)).tobytes() for row in indices]
        if header != 12 and bits in (4, 8) and rng.random() < 0.5:
            compression = 2 if bits == 4 else 1
    else:
        rows = [row[:, : 2 if bits == 16 else bits // 8].tobytes() for row in base]
        colors = 0
    pixels = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    if compression in (1, 2):
        pixels = run_lengths(rng, indices, compression == 2)
    if header == 12:
        info = struct.pack("<LHHHH", 12, width, height, 1, bits)
    else:
        tall = -height if down else height
        info = struct.pack("<LllHHLLllLL", header, width, tall, 1, bits, compression, len(pixels), 2835, 2835, colors, 0)
        info += (masks.ljust(16, b"\0") if header > 40 else b"")
        info = info.ljust(header, b"\0")[:header]
        if header == 40 and compression == 3:
            info += masks[:12]
    offset = 14 + len(info) + len(palette)
    file = b"BM" + struct.pack("<LHHL", offset + len(pixels), 0, 0, offset) + info + palette + pixels
    cut = rng.random() < 0.05
    if cut:
        file = file[: int(rng.integers(20, len(file)))]
    kind = f"bmp_{bits}" + {0: "", 1: "_rle", 2: "_rle", 3: "_masks"}[compression] + ("_cut" if cut else "")
    path = folder / f"{kind}-{index}.bmp"
    path.write_bytes(file)
    return path


# --- JPEG -------------------------------------------------------------------------------------------------------------


def jpeg(rng, folder, index, largest=70, programs=True):
    """Plain JPEG files with metadata; the JPEG decoder itself is compared by `cargo xtask jpeg`."""
    image = Image.fromarray(picture(rng, 3, largest))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90, subsampling=0)
    data = buffer.getvalue()
    segments = b""
    exif, xmp = random_exif(rng), random_xmp(rng)
    if exif is not None:
        body = b"Exif\0\0" + pick(rng, b"", b"Exif\0\0") + exif
        segments += b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    if xmp is not None:
        body = b"http://ns.adobe.com/xap/1.0/\0" + xmp
        segments += b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    path = folder / f"jpeg-{index}.jpg"
    path.write_bytes(data[:2] + segments + data[2:])
    return path


MAKERS = {"png": png, "apng": apng, "gif": gif, "webp": webp, "webp_moving": webp_moving, "webp_composed": webp_composed, "bmp": bmp, "tiff": tiff, "tiff_pillow": tiff_pillow, "tiff_jpeg": tiff_jpeg, "jpeg": jpeg}
