"""Image timings of transformers: `python tiles.py FILE [THREADS]`. See README.md."""

import statistics
import sys
import time

import torch
from PIL import Image
from transformers import SmolVLMImageProcessor

path, threads = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 2
torch.set_num_threads(threads)
processor = SmolVLMImageProcessor(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512}, resample=1)
decode, tile = [], []
for _ in range(12):
    start = time.perf_counter()
    image = Image.open(path)
    image.load()
    middle = time.perf_counter()
    processor([[image]], return_tensors="pt")
    end = time.perf_counter()
    decode.append((middle - start) * 1000)
    tile.append((end - middle) * 1000)
decode, tile = statistics.median(decode[2:]), statistics.median(tile[2:])
print(f"decode {decode:.1f} ms, tiles {tile:.1f} ms, total {decode + tile:.1f} ms")
