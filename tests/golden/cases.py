"""Runs the reference on conversations and records the output of every stage."""

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from common import crc32, versions, write_json, write_tensors

MAX_NEW_TOKENS = 12
# A greedy token counts as robust when the best logit leads the second by more than this.
SMALLEST_MARGIN = 5e-3
# Rows of at most this many tokens are stored whole; longer ones as a sample of positions.
WHOLE_ROW = 40
HIDDEN_STRIDE, HIDDEN_TAIL = 16, 4
LOGIT_STRIDE, LOGIT_TAIL = 64, 2


def image(name):
    return {"type": "image", "path": f"media/{name}"}


def text(words):
    return {"type": "text", "text": words}


def message(role, *content):
    return {"role": role, "content": list(content)}


WHAT = text("What is shown in this image?")
WHOLE = {"do_image_splitting": False}

# name -> (conversations, image processor overrides)
CASES = {
    "single-split": ([[message("user", image("landscape.png"), WHAT)]], {}),
    "single-whole": ([[message("user", image("landscape.png"), WHAT)]], WHOLE),
    "size-1x1": ([[message("user", image("size-1x1.png"), text("One pixel?"))]], {}),
    "size-17x31": ([[message("user", text("Look: "), image("size-17x31.png"), text(" What is it?"))]], {}),
    "size-2000x100": ([[message("user", image("size-2000x100.png"), text("How tall?"))]], {}),
    "size-100x2000": ([[message("user", image("size-100x2000.png"), text("How wide?"))]], {}),
    "several-images": (
        [
            [
                message(
                    "user",
                    text("First "),
                    image("size-100x2000.png"),
                    text(", second "),
                    image("portrait.png"),
                    image("size-2000x100.png"),
                    text(" - which one is larger?"),
                )
            ]
        ],
        {},
    ),
    "mixed-batch": (
        [
            [message("user", image("size-2000x100.png"), image("size-17x31.png"), text("Compare the two images."))],
            [message("user", image("size-100x2000.png"), text("How many shapes are there?"))],
            [message("user", text("No image here, only text."))],
        ],
        {},
    ),
    "mixed-batch-whole": (
        [
            [message("user", text("Count to three."))],
            [message("user", text("Here: "), image("portrait.png"))],
            [message("user", image("square.png"), image("landscape.png"), image("size-1x1.png"), text("Compare."))],
        ],
        WHOLE,
    ),
    "text-only": ([[message("user", text("Naïve question: what is 3.14 × 2? 日本語 🙂"))]], {}),
    "multi-turn": (
        [
            [
                message("system", text("You answer questions about pictures.")),
                message("user", image("size-100x2000.png"), text("How many circles?")),
                message("assistant", text("There are three.")),
                message("user", text("And in this one? "), image("size-2000x100.png")),
                message("assistant", text("Two.")),
                message("user", text("Which one is larger?")),
            ]
        ],
        {},
    ),
}

# Cases of the document models only.
DOCUMENT_CASES = {
    "page": ([[message("user", image("portrait.png"), text("Convert this page to docling."))]], {}),
    "region": (
        [
            [
                message(
                    "user",
                    image("portrait.png"),
                    text("OCR the text in a specific location: <loc_155><loc_233><loc_206><loc_237>"),
                )
            ]
        ],
        {},
    ),
}


class Stages:
    """Keeps the outputs of the modules that the goldens name, while a forward pass runs inside `with`."""

    def __init__(self, model):
        inner = model.model
        self.watched = {
            "vision_embeddings": inner.vision_model.embeddings,
            "vision_layer_0": inner.vision_model.encoder.layers[0],
            "vision_last_hidden_state": inner.vision_model.post_layernorm,
            "connector_out": inner.connector,
            "text_layer_0": inner.text_model.layers[0],
            "text_norm_out": inner.text_model.norm,
        }
        self.text_model = inner.text_model
        self.seen = {}

    def __enter__(self):
        def keep(name):
            def hook(_module, _inputs, output):
                self.seen[name] = (output[0] if isinstance(output, tuple) else output).detach().clone()

            return hook

        def keep_embeds(_module, _args, kwargs):
            self.seen["inputs_embeds"] = kwargs["inputs_embeds"].detach().clone()

        self.hooks = [module.register_forward_hook(keep(name)) for name, module in self.watched.items()]
        self.hooks.append(self.text_model.register_forward_pre_hook(keep_embeds, with_kwargs=True))
        return self.seen

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()


class Reference:
    """One checkpoint, loaded the way a user of transformers loads it."""

    def __init__(self, folder, golden_root, stored_dtype):
        self.root = golden_root
        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        low = stored_dtype == "bfloat16"
        self.model_bf16 = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.bfloat16).eval() if low else None
        self.tokenizer = self.processor.tokenizer

    def images(self, conversations):
        return [
            [
                Image.open(self.root / item["path"]).convert("RGB")
                for turn in conversation
                for item in turn["content"]
                if item["type"] == "image"
            ]
            for conversation in conversations
        ]

    def inputs(self, rendered, images, overrides):
        pictures = images if any(images) else None
        return self.processor(text=list(rendered), images=pictures, padding=True, return_tensors="pt", **overrides)

    def prompts(self, inputs):
        """The expanded prompts, read back from the ids: nothing is lost in a byte-level vocabulary."""
        out = []
        for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"]):
            real = ids[mask.bool()].tolist()
            prompt = self.tokenizer.decode(real, skip_special_tokens=False, clean_up_tokenization_spaces=False)
            assert self.tokenizer(prompt, add_special_tokens=False)["input_ids"] == real
            out.append(prompt)
        return out

    def grids(self, images, overrides):
        if not any(images):
            return [[] for _ in images], [[] for _ in images]
        out = self.processor.image_processor(images, return_row_col_info=True, return_tensors="pt", **overrides)
        # The reference leaves out trailing samples without images here (not in pixel_values): put them back.
        rows, cols = ([list(sample) for sample in out[key]] for key in ("rows", "cols"))
        missing = len(images) - len(rows)
        return rows + [[]] * missing, cols + [[]] * missing

    def generate(self, inputs):
        """New ids of every row (the end token included, no padding) and the smallest lead of a chosen token."""
        with torch.no_grad():
            out = self.model.generate(
                **inputs,
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        ends = self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        rows, margin = [], float("inf")
        for row, ids in enumerate(out.sequences[:, inputs["input_ids"].shape[1] :].tolist()):
            stop = next((i + 1 for i, token in enumerate(ids) if token in ends), len(ids))
            rows.append(ids[:stop])
            for step in range(stop):
                best = out.logits[step][row].topk(2).values
                margin = min(margin, (best[0] - best[1]).item())
        return rows, margin

    def tiles(self, inputs, grids, tile):
        """Pixels of the real tiles as u8 [T, 3, m, m] in feature order, proven equal to the reference's floats."""
        if "pixel_values" not in inputs:
            return torch.zeros((0, 3, tile, tile), dtype=torch.uint8)
        values, mask = inputs["pixel_values"], inputs["pixel_attention_mask"]
        counts = [sum(r * c + 1 if r else 1 for r, c in zip(*pair)) for pair in zip(*grids)]
        assert values.shape[:2] == (len(counts), max(counts)) and values.dtype == torch.float32
        real = torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]
        assert torch.equal(mask, real.to(torch.int64)[:, :, None, None].expand_as(mask))
        assert torch.count_nonzero(values[~real]) == 0
        levels = (values[real] * 127.5 + 127.5).round().to(torch.uint8)
        assert torch.equal((levels.to(torch.float32) - 127.5) / 127.5, values[real])
        return levels


def sampled_positions(mask, stride, tail, whole_up_to=0):
    """Flat indices (row * length + column) of real tokens: the last `tail` of a row and every `stride`-th one."""
    out = []
    for row, line in enumerate(mask.tolist()):
        start, length = line.index(1), len(line)
        count = length - start
        sample = {*range(0, count, stride), *range(max(count - tail, 0), count)}
        chosen = range(count) if count <= whole_up_to else sorted(sample)
        out += [row * length + start + i for i in chosen]
    return torch.tensor(out, dtype=torch.int64)


def sampled_tiles(count, both_ends):
    """The last tile, which is the global one of the last image; in one case also the first."""
    chosen = {0, count - 1} if both_ends else {count - 1}
    return torch.tensor(sorted(chosen) if count else [], dtype=torch.int64)


def at(tensor, positions):
    return tensor.reshape(-1, tensor.shape[-1])[positions]


def forward(reference, plan, inputs, levels, chosen, first_tokens):
    """The stages of one pass over the whole prompt, sampled; it has to choose `first_tokens`."""
    mask = inputs["attention_mask"]
    position_ids = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 0)
    with torch.no_grad(), Stages(reference.model) as seen:
        logits = reference.model(**inputs, position_ids=position_ids, use_cache=False).logits
    assert first_tokens == logits[:, -1].argmax(-1).tolist()

    hidden = sampled_positions(mask, HIDDEN_STRIDE, HIDDEN_TAIL, WHOLE_ROW)
    heads = sampled_positions(mask, LOGIT_STRIDE, LOGIT_TAIL)
    tensors = {
        "position_ids": position_ids,
        "positions": hidden,
        "logit_positions": heads,
        "vision_tiles": chosen,
        "pixels": levels[chosen],
        "logits": at(logits, heads),
    }
    tensors.update({key: at(seen[key], hidden) for key in ("inputs_embeds", "text_layer_0", "text_norm_out")})
    if len(levels):
        assert seen["connector_out"].shape[:2] == (len(levels), plan["image_seq_len"])
        tensors["connector_out"] = seen["connector_out"]
        tensors.update({key: seen[key][chosen] for key in seen if key.startswith("vision_")})
    if reference.model_bf16 is not None:
        with torch.no_grad():
            low = reference.model_bf16(**inputs, position_ids=position_ids, use_cache=False).logits
        tensors["logits_bf16"] = at(low, heads).to(torch.float32)
    return tensors


def record(reference, plan, name):
    """(case.json, tensors) of one case."""
    conversations, overrides = {**CASES, **DOCUMENT_CASES}[name]
    images = reference.images(conversations)
    rendered = [reference.processor.apply_chat_template(c, add_generation_prompt=True) for c in conversations]
    inputs = reference.inputs(rendered, images, overrides)
    grids = reference.grids(images, overrides)
    levels = reference.tiles(inputs, grids, plan["tile"])

    generated, margin = reference.generate(inputs)
    assert margin > SMALLEST_MARGIN, f"{plan['name']}/{name}: margin {margin:.2e}; choose another seed"
    for row, ids in enumerate(generated if len(generated) > 1 else []):
        alone, _ = reference.generate(reference.inputs(rendered[row : row + 1], images[row : row + 1], overrides))
        assert alone == [ids], f"{plan['name']}/{name}: row {row} alone gives {alone[0]}, in the batch {ids}"
    chosen = sampled_tiles(len(levels), both_ends=name == "single-split")
    tensors = forward(reference, plan, inputs, levels, chosen, [row[0] for row in generated])

    case = {
        "conversations": conversations,
        "image_processor": overrides,
        "rendered": rendered,
        "prompts": reference.prompts(inputs),
        "input_ids": inputs["input_ids"].tolist(),
        "attention_mask": inputs["attention_mask"].tolist(),
        "rows": grids[0],
        "cols": grids[1],
        "pixel_values_shape": list(inputs["pixel_values"].shape) if len(levels) else None,
        "pixels_shape": list(levels.shape),
        "pixels_crc32": crc32(levels.numpy()),
        "max_new_tokens": MAX_NEW_TOKENS,
        "generated": generated,
        "text": reference.tokenizer.batch_decode(generated, skip_special_tokens=True),
        "smallest_margin": float(np.float32(margin)),
        "versions": versions(),
    }
    return case, tensors


def write_cases(folder, reference, plan):
    for name in plan["cases"] or CASES:
        case, tensors = record(reference, plan, name)
        write_json(folder / name / "case.json", case)
        write_tensors(folder / name / "expected.safetensors", tensors)
        print(f"{plan['name']}/{name}: margin {case['smallest_margin']:.4f} lengths {[len(g) for g in case['generated']]}", flush=True)
