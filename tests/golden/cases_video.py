"""Runs the reference on conversations with videos, given as decoded frames."""

from functools import lru_cache

import numpy as np
import torch

from cases import MAX_NEW_TOKENS, SMALLEST_MARGIN, forward, message, sampled_tiles, text
from common import crc32, lcg_image, versions, write_json, write_tensors

FOLDER = "video"
# The frame rate that the reference assumes for videos without one.
FALLBACK_FPS = 24
RAW = {"do_sample_frames": False}


def video(seed, frames, width, height, fps, duration):
    """Frame k is the noise of seed + k."""
    recipe = {"seed": seed, "frames": frames, "width": width, "height": height, "fps": fps, "duration": duration}
    return {"type": "video", "frames": recipe}


def cases(seed):
    """name -> (conversations, video processor overrides)"""
    short = video(seed, 40, 24, 16, 8, 5.0)
    tall = video(seed + 300, 90, 10, 26, 30.0, 3.0)
    wide = video(seed + 400, 75, 40, 12, 25, 3.0)
    brief = video(seed + 500, 75, 16, 16, 30, 2.5)
    ntsc = video(seed + 600, 203, 16, 12, 30000 / 1001, 203 / (30000 / 1001))
    return {
        "short": ([[message("user", short, text("What happens in this video?"))]], {}),
        "text-first": ([[message("user", text("Watch: "), brief, text(" What is it about?"))]], {}),
        "two-videos": ([[message("user", tall, text(" and "), wide, text("Compare the two videos."))]], {}),
        "two-ragged-videos": ([[message("user", text("A"), brief, text("B"), short, text("Which is longer?"))]], {}),
        "ragged-batch": (
            [
                [message("user", ntsc, text("How many frames?"))],
                [message("user", text("Here: "), tall)],
                [message("user", text("No video here, only text."))],
            ],
            {},
        ),
        "multi-turn": (
            [
                [
                    message("system", text("You answer questions about videos.")),
                    message("user", wide, text("How many circles?")),
                    message("assistant", text("There are three.")),
                    message("user", text("Which one is larger?")),
                ]
            ],
            {},
        ),
        "one-frame": ([[message("user", video(seed, 1, 31, 20, 30, 1 / 30), text("One frame?"))]], {}),
        "odd-size": ([[message("user", video(seed, 20, 33, 17, 10, 2.0), text("What is shown?"))]], {}),
        "long": ([[message("user", video(seed, 4000, 4, 2, 1, 4000.0), text("How long is it?"))]], {}),
        "container-duration": ([[message("user", video(seed, 50, 12, 14, 12.5, 6.5), text("And this?"))]], {}),
        "overridden-sampling": (
            [[message("user", video(seed, 100, 20, 20, 24, 100 / 24), text("Describe it in detail."))]],
            {"fps": 2, "num_frames": 4},
        ),
        "raw-frames": ([[message("user", video(seed, 3, 18, 12, None, None), text("Describe the video."))]], RAW),
        "raw-frames-timed": ([[message("user", video(seed, 4, 18, 12, 0.5, None), text("Describe it."))]], RAW),
    }


FEW = ["short", "two-ragged-videos", "ragged-batch", "odd-size", "raw-frames"]
# checkpoint -> case names; None is all of them
CHECKPOINTS = {"gqa-256m": None, "mha-2b": FEW, "legacy": None, "bf16": ["short", "ragged-batch"]}
# (checkpoint, case) -> seed, where the usual one meets a near-tie
USUAL_SEED = 1
SEEDS = {("gqa-256m", "long"): 2}


@lru_cache
def pixels(seed, frames, width, height):
    """u8 [frames, height, width, 3]"""
    return np.stack([lcg_image(seed + k, height, width) for k in range(frames)])


def loaded(item):
    if item["type"] != "video":
        return item
    recipe = item["frames"]
    return {"type": "video", "video": pixels(*(recipe[key] for key in ("seed", "frames", "width", "height")))}


def with_pixels(conversations):
    """The conversations as transformers takes them: frames as arrays."""
    return [[{**turn, "content": [loaded(i) for i in turn["content"]]} for turn in c] for c in conversations]


def recipes(conversation):
    return [item["frames"] for turn in conversation for item in turn["content"] if item["type"] == "video"]


def metadata(videos, sampled):
    """One entry per video, or None where only the frames are known."""
    if any(v["fps"] is None for v in videos):
        return None
    known = [{"total_num_frames": v["frames"], "fps": v["fps"], "duration": v["duration"]} for v in videos]
    return known if sampled else [{**k, "frames_indices": list(range(k["total_num_frames"]))} for k in known]


class Videos:
    """One case for the reference: `apply_chat_template(tokenize=True)` samples, expands and tokenizes."""

    def __init__(self, reference, overrides):
        self.reference, self.processor, self.overrides = reference, reference.processor, overrides

    def settings(self, conversations):
        flat = [v for c in conversations for v in recipes(c)]
        given = metadata(flat, self.overrides.get("do_sample_frames", True)) if flat else None
        return {**self.overrides, **({"video_metadata": given} if given else {})}

    def inputs(self, conversations):
        return self.processor.apply_chat_template(
            with_pixels(conversations),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, **self.settings(conversations)},
        )

    def indices(self, recipe):
        """Indices of the frames that the reference samples from one video."""
        alone = [[message("user", {"type": "video", "frames": recipe})]]
        settings = {"num_frames": self.processor.video_processor.num_frames, "fps": self.processor.video_processor.fps}
        settings.update({"do_sample_frames": True, **self.settings(alone)})
        array = loaded(alone[0][0]["content"][0])["video"]
        out = self.processor.video_processor([array], return_metadata=True, return_tensors="pt", **settings)
        assert out["pixel_values"].shape[1] == len(out["video_metadata"][0].frames_indices)
        return [int(i) for i in out["video_metadata"][0].frames_indices]

    def own_prompt(self, rendered, conversation):
        """The prompt in which every video states its own frame count, regardless of the batch."""
        for recipe in recipes(conversation):
            alone = [[message("user", {"type": "video", "frames": recipe})]]
            expanded = self.reference.prompts(self.inputs(alone))[0]
            block = expanded.removeprefix("<|im_start|>User: ").removesuffix("<end_of_utterance>\nAssistant:")
            rendered = rendered.replace("<video>", block, 1)
        return rendered

    def own_inputs(self, prompt, values):
        out = self.reference.tokenizer([prompt], return_tensors="pt", add_special_tokens=False)
        if len(values):
            out["pixel_values"] = values[None]
            out["pixel_attention_mask"] = torch.ones(1, len(values), *values.shape[-2:], dtype=torch.int64)
        return out


def frames(inputs, counts):
    """All real frames as u8 [T, 3, m, m] in feature order, proven equal to the reference's floats."""
    values = inputs["pixel_values"]
    assert values.shape[:2] == (len(counts), max(counts)) and values.dtype == torch.float32
    assert bool((inputs["pixel_attention_mask"] == 1).all())
    real = torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]
    assert torch.count_nonzero(values[~real]) == 0
    levels = (values[real] * 127.5 + 127.5).round().to(torch.uint8)
    assert torch.equal((levels.to(torch.float32) - 127.5) / 127.5, values[real])
    return levels, values[real]


def record(reference, plan, name):
    """(case.json, tensors) of one case."""
    where = f"{plan['name']}/{FOLDER}/{name}"
    conversations, overrides = cases(SEEDS.get((plan["name"], name), USUAL_SEED))[name]
    videos = Videos(reference, overrides)
    inputs = videos.inputs(conversations)
    chosen = [[videos.indices(v) for v in recipes(c)] for c in conversations]
    counts = [len(indices) for row in chosen for indices in row]
    levels, values = frames(inputs, counts)
    rendered = reference.processor.apply_chat_template(conversations, add_generation_prompt=True)

    generated, margin = reference.generate(inputs)
    own_prompts = [videos.own_prompt(*pair) for pair in zip(rendered, conversations)]
    alone, start = [], 0
    for row, prompt in enumerate(own_prompts):
        end = start + sum(len(indices) for indices in chosen[row])
        ids, own_margin = reference.generate(videos.own_inputs(prompt, values[start:end]))
        alone, margin, start = alone + ids, min(margin, own_margin), end
    assert margin > SMALLEST_MARGIN, f"{where}: margin {margin:.2e}; choose another seed"

    prompts = reference.prompts(inputs)
    for row, prompt in enumerate(prompts):
        assert prompt != own_prompts[row] or alone[row] == generated[row], f"{where}: row {row} alone differs"
    tiles = sampled_tiles(len(levels), both_ends=name == "short")
    tensors = forward(reference, plan, inputs, levels, tiles, [row[0] for row in generated])

    def times(recipe, indices):
        return [i / (recipe["fps"] or FALLBACK_FPS) for i in indices]

    case = {
        "kind": "video",
        "conversations": conversations,
        "video_processor": overrides,
        "frames_indices": chosen,
        "frame_times": [[times(*pair) for pair in zip(recipes(c), row)] for c, row in zip(conversations, chosen)],
        "rendered": rendered,
        "prompts": prompts,
        "prompts_own_count": own_prompts,
        "input_ids": inputs["input_ids"].tolist(),
        "attention_mask": inputs["attention_mask"].tolist(),
        "pixel_values_shape": list(inputs["pixel_values"].shape),
        "pixels_shape": list(levels.shape),
        "pixels_crc32": crc32(levels.numpy()),
        "max_new_tokens": MAX_NEW_TOKENS,
        "generated": generated,
        "text": reference.tokenizer.batch_decode(generated, skip_special_tokens=True),
        "generated_alone": alone,
        "smallest_margin": float(np.float32(margin)),
        "versions": versions(),
    }
    return case, tensors


def write_video_cases(folder, reference, plan):
    if plan["name"] not in CHECKPOINTS:
        return
    for name in CHECKPOINTS[plan["name"]] or cases(USUAL_SEED):
        case, tensors = record(reference, plan, name)
        write_json(folder / FOLDER / name / "case.json", case)
        write_tensors(folder / FOLDER / name / "expected.safetensors", tensors)
        lengths = [len(g) for g in case["generated"]]
        print(f"{plan['name']}/{FOLDER}/{name}: margin {case['smallest_margin']:.4f} lengths {lengths}", flush=True)
