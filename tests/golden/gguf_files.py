"""Writes the GGUF files of the tests of smolvlm-checkpoint: `python gguf_files.py OUT`, with gguf 0.19.0 and numpy.

blocks.safetensors: blocks of every type and their values. model.safetensors, text.gguf and mmproj.gguf: a tiny model
with random weights under the names of transformers and of llama.cpp; old-mmproj.gguf is the latter as old converters
wrote it.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy
from gguf import GGMLQuantizationType as Type

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, VOCABULARY = 32, 64, 2, 2, 1, 300
PIXELS, PATCH, VISION, VISION_INNER, SCALE = 16, 4, 16, 24, 2
TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "F16", "Q4_K", "Q5_K", "Q6_K"]


def safetensors(path, tensors):
    names = {"uint8": "U8", "float32": "F32", "float16": "F16"}
    header, data = {}, b""
    for name, values in tensors.items():
        end = len(data) + values.nbytes
        header[name] = {"dtype": names[str(values.dtype)], "shape": values.shape, "data_offsets": [len(data), end]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def blocks(path, rng):
    tensors = {}
    for name in TYPES:
        kind = Type[name]
        values, size = gguf.GGML_QUANT_SIZES[kind]
        rows = rng.standard_normal((3, 512)).astype(numpy.float32)
        if "K" in name:
            data = rng.integers(0, 256, (3, 512 // values * size), dtype=numpy.uint8)
            # Scales are halves that must be finite: their exponents are bits 2 to 6 of the upper byte.
            for at in [209] if name == "Q6_K" else [1, 3]:
                data[:, at::size] = data[:, at::size] & 0b10000011 | 0b00100000
        else:
            data = gguf.quants.quantize(rows, kind).view(numpy.uint8)
        tensors[f"{name}.source"] = rows
        tensors[name] = data
        tensors[f"{name}.values"] = gguf.quants.dequantize(
            data.view(numpy.float16) if name == "F16" else data, kind
        ).astype(numpy.float32)
    safetensors(path, tensors)


def text_tensors(rng):
    """Name in the checkpoint, name in the file, type in the file, values."""

    def random(*shape):
        return (rng.standard_normal(shape) * 0.1).astype(numpy.float32)

    yield "model.text_model.embed_tokens.weight", "token_embd.weight", Type.Q8_0, random(VOCABULARY, HIDDEN)
    yield "model.text_model.norm.weight", "output_norm.weight", Type.F32, random(HIDDEN)
    head = HIDDEN // HEADS
    for layer in range(LAYERS):
        hf, own = f"model.text_model.layers.{layer}.", f"blk.{layer}."
        yield hf + "input_layernorm.weight", own + "attn_norm.weight", Type.F32, random(HIDDEN)
        yield hf + "post_attention_layernorm.weight", own + "ffn_norm.weight", Type.F32, random(HIDDEN)
        kind = [Type.Q4_1, Type.F16][layer]
        yield hf + "self_attn.q_proj.weight", own + "attn_q.weight", kind, random(HIDDEN, HIDDEN)
        yield hf + "self_attn.k_proj.weight", own + "attn_k.weight", kind, random(KV_HEADS * head, HIDDEN)
        yield hf + "self_attn.v_proj.weight", own + "attn_v.weight", Type.Q5_0, random(KV_HEADS * head, HIDDEN)
        yield hf + "self_attn.o_proj.weight", own + "attn_output.weight", Type.Q4_0, random(HIDDEN, HIDDEN)
        yield hf + "mlp.gate_proj.weight", own + "ffn_gate.weight", Type.Q4_1, random(INNER, HIDDEN)
        yield hf + "mlp.up_proj.weight", own + "ffn_up.weight", Type.Q5_1, random(INNER, HIDDEN)
        yield hf + "mlp.down_proj.weight", own + "ffn_down.weight", Type.BF16, random(HIDDEN, INNER)


def vision_tensors(rng):
    def random(*shape):
        return (rng.standard_normal(shape) * 0.1).astype(numpy.float32)

    def linear(hf, own, out, size):
        yield hf + ".weight", own + ".weight", Type.F16, random(out, size)
        yield hf + ".bias", own + ".bias", Type.F32, random(out)

    def norm(hf, own):
        yield hf + ".weight", own + ".weight", Type.F32, random(VISION)
        yield hf + ".bias", own + ".bias", Type.F32, random(VISION)

    hf = "model.vision_model."
    yield hf + "embeddings.patch_embedding.weight", "v.patch_embd.weight", Type.F16, random(VISION, 3, PATCH, PATCH)
    yield hf + "embeddings.patch_embedding.bias", "v.patch_embd.bias", Type.F32, random(VISION)
    positions = random((PIXELS // PATCH) ** 2, VISION)
    yield hf + "embeddings.position_embedding.weight", "v.position_embd.weight", Type.F32, positions
    yield from norm(hf + "encoder.layers.0.layer_norm1", "v.blk.0.ln1")
    yield from norm(hf + "encoder.layers.0.layer_norm2", "v.blk.0.ln2")
    for name, own in [("q_proj", "attn_q"), ("k_proj", "attn_k"), ("v_proj", "attn_v"), ("out_proj", "attn_out")]:
        yield from linear(hf + f"encoder.layers.0.self_attn.{name}", f"v.blk.0.{own}", VISION, VISION)
    yield from linear(hf + "encoder.layers.0.mlp.fc1", "v.blk.0.ffn_up", VISION_INNER, VISION)
    yield from linear(hf + "encoder.layers.0.mlp.fc2", "v.blk.0.ffn_down", VISION, VISION_INNER)
    yield from norm(hf + "post_layernorm", "v.post_ln")
    connector = random(HIDDEN, VISION * SCALE**2)
    yield "model.connector.modality_projection.proj.weight", "mm.model.fc.weight", Type.F16, connector


def permute(weight, heads):
    """The order of rows of llama.cpp's converter."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write(path, architecture, keys, tensors, rename=lambda name: name):
    """Writes a file; returns the decoded values by their names in the checkpoint."""
    writer, decoded = gguf.GGUFWriter(path, architecture), {}
    keys(writer)
    for hf, own, kind, values in tensors:
        data = gguf.quants.quantize(values, kind)
        decoded[hf] = gguf.quants.dequantize(data, kind).astype(numpy.float32).reshape(values.shape)
        heads = HEADS if own.endswith("attn_q.weight") else KV_HEADS
        if own.startswith("blk.") and own.endswith(("attn_q.weight", "attn_k.weight")):
            data = gguf.quants.quantize(permute(values, heads), kind)
        writer.add_tensor(rename(own), data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return decoded


def vocabulary():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    chars = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    words = ["he", "ll", "hell", "hello", chars[32] + "w"]
    tokens = special + [chars[byte] for byte in range(256)] + words
    tail = ["<global-img>", "<row_1_col_1>", "<fake_token_around_image>", "<image>", "<end_of_utterance>"]
    unused = VOCABULARY - len(tokens) - len(tail)
    kinds = [3] * 3 + [1] * (256 + len(words)) + [5] * unused + [3] * len(tail)
    merges = ["h e", "l l", "he ll", "hell o", chars[32] + " w"]
    return tokens + [f"[PAD{i}]" for i in range(unused)] + tail, kinds, merges


def text_keys(writer):
    writer.add_block_count(LAYERS)
    writer.add_context_length(256)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    tokens, kinds, merges = vocabulary()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(VOCABULARY - 1)
    writer.add_pad_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")


def vision_keys(old=False):
    def keys(writer):
        writer.add_type(gguf.GGUFType.MMPROJ)
        writer.add_clip_has_vision_encoder(True)
        writer.add_clip_projector_type("idefics3")
        writer.add_vision_projection_dim(HIDDEN)
        writer.add_vision_image_size(PIXELS)
        writer.add_vision_patch_size(PATCH)
        writer.add_vision_embedding_length(VISION)
        writer.add_vision_feed_forward_length(VISION_INNER)
        writer.add_vision_block_count(1)
        writer.add_vision_head_count(2)
        writer.add_vision_attention_layernorm_eps(1e-6)
        writer.add_vision_projector_scale_factor(SCALE)
        writer.add_vision_use_gelu(True)
        writer.add_vision_image_mean([0.5] * 3)
        writer.add_vision_image_std([0.5] * 3)
        if not old:
            writer.add_vision_preproc_image_size(3 * PIXELS)

    return keys


def swapped(name):
    up, down = ".ffn_up.", ".ffn_down."
    return name.replace(up, down) if up in name else name.replace(down, up)


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    rng = numpy.random.default_rng(7)
    blocks(out / "blocks.safetensors", rng)
    values = write(out / "text.gguf", "llama", text_keys, text_tensors(rng))
    vision = list(vision_tensors(rng))
    values |= write(out / "mmproj.gguf", "clip", vision_keys(), vision)
    write(out / "old-mmproj.gguf", "clip", vision_keys(old=True), vision, swapped)
    safetensors(out / "model.safetensors", values)


main(Path(sys.argv[1]))
