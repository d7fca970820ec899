"""A loop over photographs with transformers: `python batch_peer.py CHECKPOINT FOLDER THREADS`. See README.md."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
import json
import resource
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

BATCH = 8
TOKENS = 64

checkpoint, folder, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
processor = AutoProcessor.from_pretrained(checkpoint)
model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.bfloat16, attn_implementation="sdpa").eval()
files = sorted(Path(folder).glob("*.jpg"))
start = time.perf_counter()
for first in range(0, len(files), BATCH):
    conversations = [
        [
            {
                "role": "user",
                "content": [{"type": "image", "path": str(file)}, {"type": "text", "text": "Describe this picture."}],
            }
        ]
        for file in files[first : first + BATCH]
    ]
    inputs = processor.apply_chat_template(
        conversations,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )
    inputs = inputs.to(dtype=torch.bfloat16)
    with torch.inference_mode():
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS, min_new_tokens=TOKENS)
    processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"photos": len(files), "seconds": seconds, "photos_per_second": len(files) / seconds, "peak_mib": peak}))
