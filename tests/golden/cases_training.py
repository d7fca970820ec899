"""Trains the reference for three steps and records losses, gradient norms and the changed weights."""

import math

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from cases import image, message, text
from common import versions, write_json, write_tensors

# Checkpoints with such a case: grouped queries; biases, exact GELU and other shapes; a tied output projection.
CHECKPOINTS = ("gqa-256m", "unusual", "tied")

CONVERSATIONS = [
    [
        message("user", image("size-17x31.png"), text("What is it?")),
        message("assistant", text("A small red shape.")),
        message("user", text("Sure? "), image("size-1x1.png")),
        message("assistant", text("Yes, and one pixel.")),
    ],
    [message("user", text("Count to three.")), message("assistant", text("One, two, three."))],
]

# A large epsilon: with a small one Adam's first steps have the size of the learning rate whatever the gradient, and the sign
# of a gradient that is zero but for rounding would decide.
OPTIONS = {
    "steps": 3,
    "learning_rate": 1e-2,
    "final_rate": 0.1,
    "warmup": 2,
    "betas": [0.9, 0.95],
    "epsilon": 1e-3,
    "weight_decay": 0.1,
    "clip_norm": 1.0,
}
# Every so many values of a tensor are stored.
STRIDE = 37


def rate(step):
    """Linear rise, then half a cosine down to a floor."""
    peak, warmup = OPTIONS["learning_rate"], OPTIONS["warmup"]
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / (OPTIONS["steps"] - warmup)
    floor = peak * OPTIONS["final_rate"]
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * share))


def inputs_of(processor, conversation, media):
    """Ids, labels (-100 where a token does not count toward the loss), tiles."""
    opened = [
        {
            "role": turn["role"],
            "content": [
                {"type": "image", "image": Image.open(media / item["path"])} if item["type"] == "image" else item
                for item in turn["content"]
            ],
        }
        for turn in conversation
    ]
    batch = processor.apply_chat_template(opened, tokenize=True, return_dict=True, return_tensors="pt")
    ids = batch["input_ids"][0]
    labels = torch.full_like(ids, -100)
    for turn in conversation:
        if turn["role"] != "assistant":
            continue
        said = " " + turn["content"][0]["text"] + "<end_of_utterance>"
        wanted = torch.tensor(processor.tokenizer.encode(said, add_special_tokens=False))
        places = [at for at in range(len(ids)) if torch.equal(ids[at : at + len(wanted)], wanted)]
        assert len(places) == 1, (said, places)
        labels[places[0] : places[0] + len(wanted)] = wanted
    return ids, labels, batch.get("pixel_values")


def write_training_case(folder, checkpoint, media):
    torch.manual_seed(0)
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).train()
    rows = [inputs_of(processor, conversation, media) for conversation in CONVERSATIONS]
    targets = sum(int((labels != -100).sum()) for _, labels, _ in rows)

    is_matrix = {
        name: parameter.dim() >= 2 and "embed_tokens" not in name and "position_embedding" not in name
        for name, parameter in model.named_parameters()
    }
    groups = [
        {
            "params": [p for name, p in model.named_parameters() if is_matrix[name] == matrix],
            "weight_decay": OPTIONS["weight_decay"] if matrix else 0.0,
        }
        for matrix in (True, False)
    ]
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=OPTIONS["betas"], eps=OPTIONS["epsilon"])
    losses, norms = [], []
    for step in range(OPTIONS["steps"]):
        optimizer.zero_grad()
        total = 0.0
        # Row by row, each without padding.
        for ids, labels, pixels in rows:
            inputs = {} if pixels is None else {"pixel_values": pixels}
            logits = model(input_ids=ids[None], **inputs).logits[0]
            loss = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], reduction="sum") / targets
            loss.backward()
            total += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIONS["clip_norm"]).item())
        losses.append(total)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.step()
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().flatten()[::STRIDE].clone() for name, value in model.named_parameters()}
    write_tensors(folder / "expected.safetensors", weights)
    record = {"conversations": CONVERSATIONS, "options": OPTIONS, "stride": STRIDE, "losses": losses, "norms": norms}
    write_json(folder / "training.json", record | {"loss_tokens": targets, "versions": versions()})
