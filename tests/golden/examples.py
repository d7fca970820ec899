"""The three examples of the model's documentation page, from the conversation to the answer, and one more batch.

A URL of `{server}` is a server of the media folder; paths are relative to this folder.
"""

from pathlib import Path

from PIL import Image
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

from cases import SMALLEST_MARGIN, Reference
from common import versions, write_json

CHECKPOINT = "gqa-256m"
HERE = Path(__file__).resolve().parent


def user(*content):
    return [{"role": "user", "content": list(content)}]


def image(name):
    return {"type": "image", "url": f"{{server}}/{name}"}


def text(words):
    return {"type": "text", "text": words}


VIDEO = {"type": "video", "path": "../corpus/clips/plain.mp4"}
STRING = [{"role": "user", "content": "Who are you?"}]

# name -> conversations. The released template drops strings; the reference's own template, which it uses by itself where a
# batch has a video, prints them.
EXAMPLES = {
    "single image": [user(image("landscape.png"), text("What is in this image?"))],
    "video": [user(VIDEO, text("Describe this video in detail"))],
    "mixed batch": [
        user(image("square.png"), text("What is in this image?")),
        user(image("landscape.png"), image("size-17x31.png"), text("What are the differences between these two images?")),
        STRING,
    ],
    "video and string": [user(VIDEO, text("What is in this video?")), STRING],
}


def opened(item, root):
    """An item as the reference takes it here: without a server."""
    if item["type"] == "image":
        return {"type": "image", "image": Image.open(root / "media" / item["url"].removeprefix("{server}/"))}
    if item["type"] == "video":
        return {**item, "path": str(HERE / item["path"])}
    return item


def record(reference, name, root):
    conversations = EXAMPLES[name]
    has_images = "{server}" in str(conversations)
    loaded = [
        [
            turn if isinstance(turn["content"], str) else {**turn, "content": [opened(i, root) for i in turn["content"]]}
            for turn in conversation
        ]
        for conversation in conversations
    ]
    inputs = reference.processor.apply_chat_template(
        loaded,
        chat_template=DEFAULT_CHAT_TEMPLATE if STRING in conversations and has_images else None,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True},
    )
    generated, margin = reference.generate(inputs)
    assert margin > SMALLEST_MARGIN, f"{name}: margin {margin:.2e}"
    return {
        "name": name,
        "conversations": conversations,
        "prompts": reference.prompts(inputs),
        "input_ids": inputs["input_ids"].tolist(),
        "generated": generated,
        "text": reference.tokenizer.batch_decode(generated, skip_special_tokens=True),
        "versions": versions(),
    }


def write_examples(folder, root):
    reference = Reference(root / CHECKPOINT / "model", root, "float32")
    write_json(folder / "examples.json", [record(reference, name, root) for name in EXAMPLES])
