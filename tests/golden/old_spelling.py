"""Saves a checkpoint with the spelling of the released ones: older file names, keys and tensor names."""

import json

import torch
from safetensors.torch import save_file


def old_spelling_config(plan, config, family):
    """config.json as the released checkpoints spell it (written by transformers 4.47)."""
    text, vision = plan["text"], plan["vision"]
    cls = {"smolvlm": "SmolVLMForConditionalGeneration", "idefics3": "Idefics3ForConditionalGeneration"}[family]
    return {
        "architectures": [cls],
        "image_token_id": config.image_token_id,
        "model_type": family,
        "pad_token_id": 128002,
        "scale_factor": plan["scale_factor"],
        "text_config": {
            "architectures": ["VLlama3ForCausalLM"],
            "head_dim": text["head_dim"],
            "hidden_size": text["hidden_size"],
            "intermediate_size": text["intermediate_size"],
            "is_llama_config": True,
            "max_position_embeddings": 2048,
            "model_type": "llama",
            "neftune_noise_alpha": 0.0,
            "num_attention_heads": text["num_attention_heads"],
            "num_hidden_layers": text["num_hidden_layers"],
            "num_key_value_heads": text["num_key_value_heads"],
            "pad_token_id": 2,
            "pixel_shuffle_factor": plan["scale_factor"],
            "qk_layer_norms": False,
            "rms_norm_eps": 1e-5,
            "rope_interleaved": False,
            "rope_theta": text["rope_theta"],
            "torch_dtype": "bfloat16",
            "use_resampler": False,
            "vocab_size": config.text_config.vocab_size,
        },
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "transformers_version": "4.47.1",
        "use_cache": False,
        "use_reentrant_checkpointing": False,
        "vision_config": {
            **vision,
            "max_image_size": {"longest_edge": plan["tile"]},
            "model_type": {"smolvlm": "smolvlm_vision", "idefics3": "idefics3"}[family],
            "size": {"longest_edge": plan["longest_edge"]},
            "tie_word_embeddings": False,
            "use_base_siglip": False,
        },
        "vocab_size": config.text_config.vocab_size,
    }


def old_spelling_files(plan, config, tokenizer, family, template):
    prefix = {"smolvlm": "SmolVLM", "idefics3": "Idefics3"}[family]
    preprocessor = {
        "do_convert_rgb": True,
        "do_image_splitting": True,
        "do_normalize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": f"{prefix}ImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "max_image_size": {"longest_edge": plan["tile"]},
        "processor_class": f"{prefix}Processor",
        "resample": 1,
        "rescale_factor": 0.00392156862745098,
        "size": {"longest_edge": plan["longest_edge"]},
    }
    if family == "smolvlm":
        tile = {"longest_edge": plan["tile"]}
        preprocessor["video_sampling"] = {"fps": 1, "max_frames": 8, "video_size": tile}
    return {
        "config.json": old_spelling_config(plan, config, family),
        "preprocessor_config.json": preprocessor,
        "processor_config.json": {"image_seq_len": plan["image_seq_len"], "processor_class": f"{prefix}Processor"},
        "generation_config.json": {
            "_from_model_config": True,
            "bos_token_id": 0,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": 2,
            "transformers_version": "4.47.1",
        },
        "chat_template.json": {"chat_template": template},
    }


def save_shards(folder, weights):
    """Two shards and their index."""
    names = sorted(weights)
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    where, total = {}, 0
    for number, half in enumerate(halves, 1):
        file = f"model-{number:05}-of-{len(halves):05}.safetensors"
        save_file({n: weights[n].contiguous() for n in half}, folder / file, metadata={"format": "pt"})
        where.update({n: file for n in half})
        total += sum(weights[n].numel() * weights[n].element_size() for n in half)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def save_old_spelling(folder, plan, model, tokenizer, family, template):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    for name, value in old_spelling_files(plan, model.config, tokenizer, family, template).items():
        (folder / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    weights = dict(model.state_dict())
    if family == "idefics3":
        save_file({n: w.contiguous() for n, w in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})
        return
    # Old names lack the leading `model.`; old files also contain two kinds of tensor that models no longer have.
    weights = {n.removeprefix("model."): w for n, w in weights.items()}
    half = plan["text"]["head_dim"] // 2
    weights["text_model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(half)
    weights["vision_model.embeddings.position_ids"] = torch.arange((plan["tile"] // plan["vision"]["patch_size"]) ** 2)[None]
    save_shards(folder, weights)
