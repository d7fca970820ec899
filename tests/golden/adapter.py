#!/usr/bin/env python3
"""LoRA adapters as PEFT writes them, and losses and answers with them; or the loss with an adapter of ours.

    pip install -r requirements.txt peft==0.21.2
    python adapter.py --write          rewrites adapter/ and adapters/
    python adapter.py --loss DIR       the loss of the checkpoint gqa-256m with the adapter in DIR, as PEFT computes it

Answers are greedy tokens and the logits of the first one; see cases_adapters.py. The loss is that of the training case:
the mean over the assistants' tokens of its conversations.
"""

import argparse
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForImageTextToText, AutoProcessor

from cases_adapters import write_adapters
from cases_training import CONVERSATIONS, inputs_of
from common import write_json

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE / "gqa-256m" / "model"
# Layers of all parts of the model, by the ends of their names.
LAYERS = ["q_proj", "down_proj", "fc1", "modality_projection.proj"]


def base():
    return AutoModelForImageTextToText.from_pretrained(CHECKPOINT, dtype=torch.float32).eval()


@torch.no_grad()
def loss_of(model):
    processor = AutoProcessor.from_pretrained(CHECKPOINT)
    total, learnt = 0.0, 0
    for conversation in CONVERSATIONS:
        ids, labels, pixels = inputs_of(processor, conversation, HERE)
        inputs = {} if pixels is None else {"pixel_values": pixels}
        logits = model(input_ids=ids[None], **inputs).logits[0]
        total += torch.nn.functional.cross_entropy(logits[:-1], labels[1:], reduction="sum").item()
        learnt += int((labels != -100).sum())
    return total / learnt


def write():
    torch.manual_seed(0)
    config = LoraConfig(r=2, lora_alpha=6, lora_dropout=0.1, target_modules=LAYERS)
    model = get_peft_model(base(), config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=1.0)
    model.peft_config["default"].base_model_name_or_path = "gqa-256m"
    model.eval().save_pretrained(HERE / "adapter")
    (HERE / "adapter" / "adapter_model.safetensors").chmod(0o644)
    (HERE / "adapter" / "README.md").unlink(missing_ok=True)
    write_json(HERE / "adapter" / "loss.json", {"base": loss_of(base()), "adapted": loss_of(model)})
    write_adapters(HERE)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--write", action="store_true")
parser.add_argument("--loss", type=Path, metavar="DIR")
arguments = parser.parse_args()
if arguments.write:
    write()
elif arguments.loss:
    print(loss_of(PeftModel.from_pretrained(base(), arguments.loss).eval()))
else:
    parser.error("give --write or --loss DIR")
