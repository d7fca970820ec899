"""Compares two builds: exactly for deterministic values, within a tolerance where the order of float sums matters."""

import json
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file

GENERATED = ("media", "processing", "adapter", "adapters", "examples")
# Built only if the questions are available.
DEMO = "demo"
TOLERANCE = 1e-4  # absolute, and relative to the expected value
BF16_TOLERANCE = 0.15  # absolute: bfloat16 logits of about 10 are 0.06 apart


def generated_files(root, with_demo):
    """Relative paths of everything the generator owns below `root`."""
    names = GENERATED + ((DEMO,) if with_demo else ())
    folders = [root / name for name in names] + [model.parent for model in root.glob("*/model")]
    return {p.relative_to(root) for folder in folders for p in folder.rglob("*") if p.is_file()}


def json_difference(left, right, where=""):
    """The first difference as text, or None. Integers and strings exactly, floats within the tolerance."""
    if isinstance(left, float) and isinstance(right, float):
        near = abs(left - right) <= TOLERANCE * (1 + abs(left))
        return None if near else f"{where}: {left} != {right}"
    if type(left) is not type(right):
        return f"{where}: {left!r:.60} != {right!r:.60}"
    if isinstance(left, dict):
        if left.keys() != right.keys():
            return f"{where}: keys {sorted(left)} != {sorted(right)}"
        pairs = [(key, left[key], right[key]) for key in left]
    elif isinstance(left, list):
        if len(left) != len(right):
            return f"{where}: length {len(left)} != {len(right)}"
        pairs = [(i, *both) for i, both in enumerate(zip(left, right))]
    else:
        return None if left == right else f"{where}: {left!r:.60} != {right!r:.60}"
    return next((d for key, a, b in pairs if (d := json_difference(a, b, f"{where}/{key}"))), None)


def tensor_difference(left, right, exact):
    if left.keys() != right.keys():
        return f"tensors {sorted(left)} != {sorted(right)}"
    for name, a in left.items():
        b = right[name]
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            return f"{name}: {a.dtype} {list(a.shape)} != {b.dtype} {list(b.shape)}"
        if exact or not a.is_floating_point():
            if not torch.equal(a, b):
                return f"{name}: values differ"
            continue
        allowed = BF16_TOLERANCE if name == "logits_bf16" else TOLERANCE * (1 + a.abs())
        gap = (a - b).abs()
        if bool((gap > allowed).any()):
            return f"{name}: off by {gap.max().item():.3g}"
    return None


def picture_difference(left, right):
    """Compressed bytes may differ; the pixels must not."""
    with Image.open(left) as a, Image.open(right) as b:
        for what in ("format", "mode", "size"):
            if getattr(a, what) != getattr(b, what):
                return f"{what} {getattr(a, what)} != {getattr(b, what)}"
        if a.getexif().get(0x0112) != b.getexif().get(0x0112) or a.tobytes() != b.tobytes():
            return "picture differs"
        return None if a.info.get("transparency") == b.info.get("transparency") else "transparency differs"


def difference(path, left, right):
    a, b = left / path, right / path
    # Some of the decoders' files are damaged: they have no pixels to compare.
    if path.parts[0] == "media" and path.parts[1] != "decoders":
        return picture_difference(a, b)
    if path.suffix == ".safetensors":
        exact = "model" in path.parts or path.parts[0] == "adapter"
        return tensor_difference(load_file(a), load_file(b), exact)
    if path.suffix == ".json":
        return json_difference(json.loads(a.read_text()), json.loads(b.read_text()))
    return None if a.read_bytes() == b.read_bytes() else "bytes differ"


def differences(committed: Path, rebuilt: Path):
    """One line per file that is missing, too many or different."""
    with_demo = (rebuilt / DEMO).is_dir()
    have, want = (generated_files(root, with_demo) for root in (committed, rebuilt))
    out = [f"{path}: missing" for path in sorted(want - have)]
    out += [f"{path}: not made by the generator" for path in sorted(have - want)]
    for path in sorted(have & want):
        if found := difference(path, committed, rebuilt):
            out.append(f"{path}: {found}")
    return out
