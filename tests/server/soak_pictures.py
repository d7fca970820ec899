"""Pictures for requests, made without packages."""

import base64
import random
import struct
import zlib


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, claimed: tuple[int, int] | None = None) -> bytes:
    """A PNG of colored blocks, whose header may claim another size."""
    colors = random.Random(f"{width}x{height}")
    palette = [colors.randbytes(3) for _ in range(16)]
    block = max(1, width // 4)
    lines = []
    for y in range(height):
        first = y * 4 // height * 4
        line = b"".join(palette[first + min(3, x // block)] for x in range(width))
        lines.append(b"\0" + line)
    header = struct.pack(">IIBBBBB", *(claimed or (width, height)), 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(lines))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
