"""LoRA adapters in every form that PEFT writes, and the model's answers with them, alone and combined."""

import json
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from cases import MAX_NEW_TOKENS, SMALLEST_MARGIN, image, message, text
from common import f32_list, versions, write_json

CONVERSATION = [message("user", image("size-17x31.png"), text("What is it?"))]
TEXT = [message("user", text("What is it?"))]

# name -> (checkpoint, options of LoraConfig)
ADAPTERS = {
    # Ranks and factors by pattern; rank-stabilized.
    "patterns": (
        "gqa-256m",
        dict(
            r=4,
            lora_alpha=3,
            use_rslora=True,
            target_modules=["k_proj", "o_proj", "gate_proj", "lm_head"],
            rank_pattern={"gate_proj": 2, "layers.1.self_attn.k_proj": 3},
            alpha_pattern={r"^model\.text_model\..*k_proj": 5, "lm_head": 1.5},
        ),
    ),
    # A module of its own beside the matrices.
    "module": ("gqa-256m", dict(r=2, lora_alpha=4, target_modules=["v_proj"], modules_to_save=["lm_head", "norm"])),
    # Biases of both kinds, a convolution and both tables.
    "biases": (
        "unusual",
        dict(
            r=2,
            lora_alpha=5,
            bias="all",
            lora_bias=True,
            target_modules=["q_proj", "up_proj", "fc2", "patch_embedding"],
        ),
    ),
    "own-biases": ("unusual", dict(r=2, lora_alpha=5, bias="lora_only", target_modules=["out_proj", "q_proj"])),
    "tables": (
        "gqa-256m",
        dict(r=3, lora_alpha=2, target_modules=["embed_tokens", "position_embedding", "q_proj"]),
    ),
    "table": ("gqa-256m", dict(r=1, lora_alpha=2, target_modules=["embed_tokens"])),
    # On one of two tied matrices.
    "tied-head": ("tied", dict(r=2, lora_alpha=3, target_modules=["lm_head", "v_proj"])),
    "tied-embeddings": ("tied", dict(r=2, lora_alpha=3, target_modules=["embed_tokens"])),
    "tied-module": ("tied", dict(r=2, lora_alpha=3, target_modules=["v_proj"], modules_to_save=["lm_head"])),
}

# Adapters on one model with a weight each; `adapter` is the folder beside.
COMBINED = {
    "two": [("adapter", 0.5), ("adapters/patterns", -0.75)],
    "three": [("adapter", 1.0), ("adapters/patterns", 0.25), ("adapters/tables", 2.0)],
    "one": [("adapter", -1.5)],
    # PEFT saves the table that both change along with their matrices.
    "same-table": [("adapters/tables", 0.5), ("adapters/table", 1.0)],
}


def base(golden, checkpoint):
    return AutoModelForImageTextToText.from_pretrained(golden / checkpoint / "model", dtype=torch.float32).eval()


def randomize(model):
    """Matrices, biases and saved modules that a training could have made."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "lora_embedding_A" in name:
            torch.nn.init.normal_(parameter, std=0.5)
        elif parameter.requires_grad and "lora_" not in name:
            parameter.data += torch.randn_like(parameter) * parameter.std() * 0.5


@torch.no_grad()
def answer(golden, checkpoint, model, conversation):
    processor = AutoProcessor.from_pretrained(golden / checkpoint / "model")
    opened = [
        {
            "role": turn["role"],
            "content": [
                {"type": "image", "image": Image.open(golden / "media" / Path(item["path"]).name)}
                if item["type"] == "image"
                else item
                for item in turn["content"]
            ],
        }
        for turn in conversation
    ]
    inputs = processor.apply_chat_template(
        opened, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    logits = model(**inputs).logits[0, -1]
    out = model.generate(
        **inputs, do_sample=False, max_new_tokens=MAX_NEW_TOKENS, output_logits=True, return_dict_in_generate=True
    )
    best = torch.stack(out.logits)[:, 0].topk(2).values
    margin = float((best[:, 0] - best[:, 1]).min())
    assert margin > SMALLEST_MARGIN, margin
    return {
        "conversation": conversation,
        "generated": out.sequences[0, inputs["input_ids"].shape[1] :].tolist(),
        "smallest_margin": margin,
        "logits": f32_list(logits),
    }


def expected(golden, checkpoint, model, adapters):
    answers = [answer(golden, checkpoint, model, conversation) for conversation in (CONVERSATION, TEXT)]
    return {"checkpoint": checkpoint, "adapters": adapters, "answers": answers}


def write_adapters(folder, golden):
    records = {"adapter": expected(golden, "gqa-256m", adapted(golden, "gqa-256m", "adapter"), [("adapter", 1.0)])}
    for seed, (name, (checkpoint, options)) in enumerate(ADAPTERS.items()):
        torch.manual_seed(seed)
        model = get_peft_model(base(golden, checkpoint), LoraConfig(**options))
        randomize(model)
        model.peft_config["default"].base_model_name_or_path = f"../../{checkpoint}/model"
        model.eval().save_pretrained(folder / name)
        tidy(folder / name)
        model = adapted(golden, checkpoint, f"adapters/{name}")
        records[name] = expected(golden, checkpoint, model, [(f"adapters/{name}", 1.0)])
    for name, adapters in COMBINED.items():
        model = PeftModel.from_pretrained(base(golden, "gqa-256m"), golden / adapters[0][0], adapter_name="0")
        for number, (other, _) in enumerate(adapters[1:], 1):
            model.load_adapter(golden / other, adapter_name=str(number))
        names, weights = [str(number) for number in range(len(adapters))], [weight for _, weight in adapters]
        model.add_weighted_adapter(names, weights, "sum", combination_type="cat")
        model.set_adapter("sum")
        records[name] = expected(golden, "gqa-256m", model.eval(), adapters)
    write_json(folder / "expected.json", records | {"versions": versions()})


def tidy(folder):
    """The same bytes in every run: PEFT keeps the names of the layers in a set."""
    (folder / "adapter_model.safetensors").chmod(0o644)
    (folder / "README.md").unlink(missing_ok=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"target_modules": sorted(config["target_modules"])}, indent=2) + "\n")


def adapted(golden, checkpoint, adapter):
    return PeftModel.from_pretrained(base(golden, checkpoint), golden / adapter).eval()
