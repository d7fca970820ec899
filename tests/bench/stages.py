"""transformers' side of the stage timings: `python stages.py CHECKPOINT f32|bf16 THREADS`. See README.md."""

import os
import resource
import statistics
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from transformers import AutoModelForImageTextToText

PREFILL, RUNS, DECODE_STEPS = 900, 5, 30
folder, dtype, threads = sys.argv[1], {"f32": torch.float32, "bf16": torch.bfloat16}[sys.argv[2]], int(sys.argv[3])
torch.set_num_threads(threads)


def timed(work, runs=RUNS):
    work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def show(name, value, unit):
    print(f"{name:<28}{value:10.4f} {unit}", flush=True)


start = time.perf_counter()
model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype).eval()
show("load", time.perf_counter() - start, "s")
show("peak memory after load", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")

edge = model.config.vision_config.image_size
tile = torch.rand(1, 1, 3, edge, edge, generator=torch.Generator().manual_seed(1)).to(dtype) * 2 - 1
ids = torch.arange(PREFILL)[None] % 1000 + 3
with torch.inference_mode():
    show("one tile", timed(lambda: model.get_image_features(tile)), "s")
    show(f"prefill {PREFILL}", timed(lambda: model(input_ids=ids, use_cache=True, logits_to_keep=1)), "s")

    def decode():
        cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        token = torch.tensor([[5]])
        start = time.perf_counter()
        for _ in range(DECODE_STEPS):
            token = model(input_ids=token, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)
        return (time.perf_counter() - start) / DECODE_STEPS

    decode()
    step = statistics.median(decode() for _ in range(3))
show("decode step", step, "s")
show("decode rate", 1 / step, "tokens/s")
show("peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB")
