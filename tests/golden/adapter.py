#!/usr/bin/env python3
"""A LoRA adapter written by PEFT and the loss with it; or the loss with an adapter written by this project.

    python adapter.py --loss DIR       the loss of the checkpoint gqa-256m with the adapter in DIR, as PEFT computes it

The loss is that of the training case: the mean over the assistants' tokens of its conversations.
"""

import argparse
import json
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor

from cases_training import CONVERSATIONS, inputs_of
from common import write_json

HERE = Path(__file__).resolve().parent
CHECKPOINT = "gqa-256m"
# Layers of all parts of the model, by the ends of their names.
LAYERS = ["q_proj", "down_proj", "fc1", "modality_projection.proj"]


def base(root):
    return AutoModelForImageTextToText.from_pretrained(root / CHECKPOINT / "model", dtype=torch.float32).eval()


@torch.no_grad()
def loss_of(model, root):
    processor = AutoProcessor.from_pretrained(root / CHECKPOINT / "model")
    total, targets = 0.0, 0
    for conversation in CONVERSATIONS:
        ids, labels, pixels = inputs_of(processor, conversation, root)
        inputs = {} if pixels is None else {"pixel_values": pixels}
        logits = model(input_ids=ids[None], **inputs).logits[0]
        total += torch.nn.functional.cross_entropy(logits[:-1], labels[1:], reduction="sum").item()
        targets += int((labels != -100).sum())
    return total / targets


def write_adapter(folder, root):
    torch.manual_seed(0)
    config = LoraConfig(r=2, lora_alpha=6, lora_dropout=0.1, target_modules=LAYERS)
    model = get_peft_model(base(root), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=1.0)
    model.peft_config["default"].base_model_name_or_path = CHECKPOINT
    model.eval().save_pretrained(folder)
    (folder / "adapter_model.safetensors").chmod(0o644)
    (folder / "README.md").unlink(missing_ok=True)
    # A set, which PEFT writes in a different order each time.
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True))
    write_json(folder / "loss.json", {"base": loss_of(base(root), root), "adapted": loss_of(model, root)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", type=Path, metavar="DIR", required=True)
    arguments = parser.parse_args()
    print(loss_of(PeftModel.from_pretrained(base(HERE), arguments.loss).eval(), HERE))


if __name__ == "__main__":
    main()
