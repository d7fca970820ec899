"""Image processors on one thread, from JPEG files to arrays: `python processors.py CHECKPOINT FOLDER`. See README.md."""

import os

os.environ |= {"HF_HUB_OFFLINE": "1", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
import sys
import time
from pathlib import Path

import smolvlm
import torch
import transformers
from PIL import Image

torch.set_num_threads(1)
checkpoint, folder = sys.argv[1:]
files = [str(file) for file in sorted(Path(folder).glob("*.jpg"))]


def seconds(process):
    """The best of two passes over all files."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        for file in files:
            process(file)
        times.append(time.perf_counter() - start)
    return min(times)


ours = smolvlm.SmolVLMImageProcessor.from_pretrained(checkpoint)
rows = {"smolvlm": lambda file: ours(file)}
for backend in ("torchvision", "pil"):
    theirs = transformers.AutoImageProcessor.from_pretrained(checkpoint, backend=backend)
    rows[f"transformers, {backend}"] = lambda file, theirs=theirs: theirs(Image.open(file), return_tensors="np")
for name, process in rows.items():
    process(files[0])
    print(f"{name}: {len(files) / seconds(process):.2f} images/s")
