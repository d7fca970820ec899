"""Helpers of the generator: noise, checksums, JSON and tensor files."""

import json
import zlib
from importlib.metadata import version

import numpy as np
import torch
from safetensors.torch import save_file

PACKAGES = ("transformers", "torch", "torchvision", "tokenizers", "pillow", "numpy")

LCG_MULTIPLIER = 6364136223846793005
LCG_INCREMENT = 1442695040888963407


def versions():
    return {name: version(name) for name in PACKAGES}


def lcg_bytes(seed, count):
    """`count` bytes of the 64-bit linear congruential generator that the tests repeat.

    state = seed; for each byte: state = state * LCG_MULTIPLIER + LCG_INCREMENT (mod 2^64), byte = state >> 56.
    """
    state, out = seed, bytearray(count)
    for i in range(count):
        state = (state * LCG_MULTIPLIER + LCG_INCREMENT) & 0xFFFFFFFFFFFFFFFF
        out[i] = state >> 56
    return bytes(out)


def lcg_image(seed, height, width, content="noise"):
    """u8 [height, width, 3], interleaved. `binary` keeps only 0 and 255, so that overshoot has to be clamped."""
    data = np.frombuffer(lcg_bytes(seed, height * width * 3), np.uint8).reshape(height, width, 3)
    return np.where(data >= 128, 255, 0).astype(np.uint8) if content == "binary" else data


def crc32(array):
    """CRC-32 (the zlib one) of the little-endian bytes of an array in C order."""
    array = np.ascontiguousarray(array)
    return zlib.crc32(array.astype(array.dtype.newbyteorder("<")).tobytes())


def f32_bits(values):
    return [int(v) for v in np.asarray(values, np.float32).reshape(-1).view(np.uint32)]


def f32_list(values):
    """f32 values as JSON numbers: the decimal of the widened f64, which parses to the same f32."""
    return [float(v) for v in np.asarray(values, np.float32).reshape(-1)]


def write_json(path, value):
    """One line per top-level entry, so that a change is one line of a diff."""
    compact = dict(ensure_ascii=False, separators=(",", ":"))
    if isinstance(value, dict):
        lines = [f"{json.dumps(k)}: {json.dumps(v, **compact)}" for k, v in value.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        text = "[\n" + ",\n".join(json.dumps(v, **compact) for v in value) + "\n]\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_tensors(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: torch.as_tensor(v).contiguous() for k, v in tensors.items()}, path)
    path.chmod(0o644)
