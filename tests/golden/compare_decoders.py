#!/usr/bin/env python3
"""Compares our image decoders with Pillow's on many random files.

    python compare_decoders.py --decoder target/debug/examples/decode --count 200 [--formats png tiff ...] [--seed 1]

Each file is written below a temporary folder by a maker of its format (decoders_*.py), decoded by the example binary
`decode` of smolvlm-image and by Pillow, and compared byte for byte; of
animated WebP files all frames, with their timestamps. Prints per format and kind how many files were
tried, how many differ, how many only one of the two can read, and the largest difference of a sample. `--keep DIR`
keeps the files that differ. Fails where pixels differ, or where Pillow reads what we refuse, CIELAB and damaged WebP data
excepted.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import warnings
import zlib
from collections import Counter, defaultdict
from pathlib import Path

sys.dont_write_bytecode = True
warnings.filterwarnings("ignore")

import numpy as np

from decoders_make import MAKERS
from decoders_reference import animation, reference


# Intentional differences (docs/parity.md): some files that Pillow refuses are read, CIELAB is refused, and damaged WebP
# data can differ.
ALLOWED = {"files", "equal", "both refuse", "only ours reads"}
REFUSED = "tiff_8_"


def allowed(kind):
    if kind.startswith("webp_"):
        return ALLOWED | {"only Pillow reads", "differ"} if kind.endswith("_damaged") else ALLOWED - {"only ours reads"}
    return ALLOWED | {"only Pillow reads"} if kind.startswith(REFUSED) else ALLOWED


def ours(decoder, paths, folder):
    """Per path: (height, width, CRC, and start, duration and CRC of every frame) or the message of an error."""
    run = subprocess.run(
        [decoder, str(folder)], input="\n".join(map(str, paths)) + "\n", capture_output=True, text=True, check=False
    )
    lines = run.stdout.splitlines()
    if run.returncode != 0 or len(lines) != len(paths):
        raise SystemExit(f"{paths[len(lines)] if len(lines) < len(paths) else decoder}: {run.stderr}")
    return [line[6:] if line.startswith("error ") else tuple(map(int, line.split())) for line in lines]


def summary(frames):
    return tuple(number for start, duration, rgb in frames for number in (start, duration, zlib.crc32(rgb.tobytes())))


def compare_frames(mine, frames, folder, index):
    """What differs first in an animation."""
    for at, frame in enumerate(frames):
        expected = summary([frame])
        found = mine[3 * at : 3 * at + 3]
        if found[:2] != expected[:2]:
            return f"frame {at} of {len(frames)} at {found[:2]}, not {expected[:2]}"
        if found != expected:
            rgb = np.frombuffer((folder / f"{index}.{at}.rgb").read_bytes(), np.uint8).reshape(frame[2].shape)
            difference = np.abs(rgb.astype(int) - frame[2].astype(int)).max(axis=2)
            return f"frame {at} of {len(frames)}: max {difference.max()}, {np.count_nonzero(difference)} pixels"
    return f"{len(mine) // 3} frames, not {len(frames)}"


def compare(decoder, paths, folder, keep):
    """Per kind (what precedes the first dash of the name): counts, and the largest difference."""
    counts, largest, examples = defaultdict(Counter), defaultdict(int), defaultdict(list)
    for index, (path, mine) in enumerate(zip(paths, ours(decoder, paths, folder))):
        kind = path.name.split("-")[0]
        try:
            theirs = reference(path)
            frames = list(animation(path))
        except Exception as error:  # any error of Pillow
            theirs = f"{type(error).__name__}: {error}"
        counts[kind]["files"] += 1
        if isinstance(theirs, str) or isinstance(mine, str):
            verdict = {(True, True): "both refuse", (True, False): "only ours reads", (False, True): "only Pillow reads"}[
                (isinstance(theirs, str), isinstance(mine, str))
            ]
            detail = f"{mine if isinstance(mine, str) else ''} | {theirs if isinstance(theirs, str) else ''}"
        elif (*theirs.shape[:2], zlib.crc32(theirs.tobytes()), *summary(frames)) == mine:
            verdict, detail = "equal", ""
        elif (*theirs.shape[:2], zlib.crc32(theirs.tobytes())) == mine[:3]:
            verdict, detail = "differ", compare_frames(mine[3:], frames, folder, index)
        else:
            verdict, detail = "differ", f"{mine[:2]} {theirs.shape[:2]}"
            if theirs.shape[:2] == mine[:2]:
                rgb = np.frombuffer((folder / f"{index}.rgb").read_bytes(), np.uint8).reshape(theirs.shape)
                difference = np.abs(rgb.astype(int) - theirs.astype(int))
                largest[kind] = max(largest[kind], int(difference.max()))
                detail = f"max {difference.max()}, {np.count_nonzero(difference.max(axis=2))} of {difference[..., 0].size} pixels"
        counts[kind][verdict] += 1
        if verdict not in ("equal", "both refuse"):
            examples[kind, verdict].append(f"{path.name}: {detail}")
            if keep:
                shutil.copy(path, keep / path.name)
    for kind, count in sorted(counts.items()):
        print(f"{kind:28} " + ", ".join(f"{count[key]} {key}" for key in sorted(count)) + f", largest {largest[kind]}")
    for (kind, verdict), names in sorted(examples.items()):
        print(f"\n{verdict}: {kind}\n  " + "\n  ".join(names[:3]))
    return all(set(count) <= allowed(kind) for kind, count in counts.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decoder", required=True, help="the example binary `decode`")
    parser.add_argument("--count", type=int, default=200, help="files per format")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--formats", nargs="+", choices=sorted(MAKERS), default=sorted(MAKERS))
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "rgb").mkdir()
        paths = []
        for name in arguments.formats:
            rng = np.random.default_rng([arguments.seed, *name.encode()])
            for index in range(arguments.count):
                path = MAKERS[name](rng, folder, index)
                if path is not None:
                    paths.append(path)
        return 0 if compare(arguments.decoder, paths, folder / "rgb", arguments.keep) else 1


if __name__ == "__main__":
    sys.exit(main())
