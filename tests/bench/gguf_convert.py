"""Writes llama.cpp files of a checkpoint: `python gguf_convert.py CHECKPOINT OUT f32|bf16|int8|int4|int4-asym`. See
README.md.

text.gguf (the decoder, architecture llama) and mmproj.gguf (vision encoder and connector). int8 is Q8_0, int4 is Q4_0
and int4-asym Q4_1, both with Q8_0 for the output layer and for the vision encoder. Tokenization is not timed: the vocabulary has no merges.
"""

import json
import sys
from pathlib import Path

import gguf
import torch
from gguf import GGMLQuantizationType as Type
from safetensors import safe_open
from transformers import AutoConfig

TYPES = {"f32": Type.F32, "bf16": Type.BF16, "int8": Type.Q8_0, "int4": Type.Q4_0, "int4-asym": Type.Q4_1}
FOUR_BITS = (Type.Q4_0, Type.Q4_1)


def tensors(checkpoint):
    for path in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                yield name, file.get_tensor(name).to(torch.float32)


def interleave(weight, heads):
    """The order of rows in which llama.cpp rotates queries and keys: pairs side by side, not halves."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def add(writer, name, weight, dtype):
    plain = weight.ndim != 2 or "_embd" in name and name.startswith("v.")
    dtype = Type.F32 if plain else dtype
    writer.add_tensor(name, gguf.quants.quantize(weight.contiguous().numpy(), dtype), raw_dtype=dtype)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_vocabulary(writer, checkpoint, size):
    tokenizer = json.loads((checkpoint / "tokenizer.json").read_text())
    tokens, kinds = [f"[unused{i}]" for i in range(size)], [gguf.TokenType.UNUSED] * size
    for token, i in tokenizer["model"]["vocab"].items():
        tokens[i], kinds[i] = token, gguf.TokenType.NORMAL
    for token in tokenizer["added_tokens"]:
        tokens[token["id"]], kinds[token["id"]] = token["content"], gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])


def text(checkpoint, path, config, dtype):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    write_vocabulary(writer, checkpoint, config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weight in tensors(checkpoint):
        new = names.get_name(name.replace("text_model.", ""), (".weight",))
        if new is None:
            continue
        if "attn_q" in new:
            weight = interleave(weight, config.num_attention_heads)
        if "attn_k" in new:
            weight = interleave(weight, config.num_key_value_heads)
        add(writer, new, weight, Type.Q8_0 if dtype in FOUR_BITS and new == "output.weight" else dtype)
    finish(writer)


def vision(checkpoint, path, config, dtype):
    encoder = config.vision_config
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("idefics3")
    writer.add_vision_projection_dim(config.text_config.hidden_size)
    writer.add_vision_image_size(encoder.image_size)
    writer.add_vision_patch_size(encoder.patch_size)
    writer.add_vision_embedding_length(encoder.hidden_size)
    writer.add_vision_feed_forward_length(encoder.intermediate_size)
    writer.add_vision_block_count(encoder.num_hidden_layers)
    writer.add_vision_head_count(encoder.num_attention_heads)
    writer.add_vision_attention_layernorm_eps(encoder.layer_norm_eps)
    writer.add_vision_projector_scale_factor(config.scale_factor)
    writer.add_vision_preproc_image_size(4 * encoder.image_size)
    writer.add_vision_use_gelu(True)
    writer.add_vision_image_mean([0.5] * 3)
    writer.add_vision_image_std([0.5] * 3)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.MMPROJ, encoder.num_hidden_layers)
    for name, weight in tensors(checkpoint):
        if new := names.get_name(name, (".weight", ".bias")):
            add(writer, new, weight, Type.Q8_0 if dtype in FOUR_BITS else dtype)
    finish(writer)


def main(checkpoint, out, dtype):
    config = AutoConfig.from_pretrained(checkpoint)
    out.mkdir(parents=True, exist_ok=True)
    vision(checkpoint, out / "mmproj.gguf", config, TYPES[dtype])
    text(checkpoint, out / "text.gguf", config.text_config, TYPES[dtype])


main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
