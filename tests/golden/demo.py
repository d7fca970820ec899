"""Answers of transformers with the demo checkpoint, in float32 and greedy, to questions about synthetic images.

    cargo run --release -p smolvlm-demo-train -- questions target/demo-questions --of-each 16
    python make.py --out . --only demo --questions ../../target/demo-questions
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from common import versions

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE.parent.parent / "crates" / "smolvlm-demo" / "checkpoint"


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def asked(line):
    """The first message, with frames as arrays, and what is known about them."""
    content, metadata = [], []
    for item in json.loads(line)[0]["content"]:
        if item["type"] == "image":
            content.append({"type": "image", "image": Image.open(item["path"])})
        elif item["type"] == "video":
            frames, fps = item["path"], item["fps"]
            content.append({"type": "video", "video": np.stack([read(path) for path in frames])})
            # Nothing says how long the last frame is seen.
            known = {"total_num_frames": len(frames), "fps": fps, "duration": None}
            metadata.append({**known, "frames_indices": list(range(len(frames)))})
        else:
            content.append(item)
    return [{"role": "user", "content": content}], metadata


@torch.no_grad()
def answers(questions):
    processor = AutoProcessor.from_pretrained(CHECKPOINT)
    model = AutoModelForImageTextToText.from_pretrained(CHECKPOINT, dtype=torch.float32).eval()
    found = []
    for line in questions.read_text().splitlines():
        messages, metadata = asked(line)
        inputs = processor.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"video_metadata": metadata, "do_sample_frames": False} if metadata else {},
        )
        ids = model.generate(**inputs, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        found.append([messages[0]["content"][-1]["text"], processor.decode(ids, skip_special_tokens=True)])
    return found


def write_answers(folder, questions):
    found = answers(questions / "samples.jsonl")
    crc32 = zlib.crc32((CHECKPOINT / "model.safetensors").read_bytes())
    lines = ",\n".join("  " + json.dumps(pair) for pair in found)
    head = f'{{"versions": {json.dumps(versions())},\n"weights_crc32": {crc32},\n"answers": [\n'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "answers.json").write_text(f"{head}{lines}\n]}}\n")
