"""Writes OpenVINO models of a checkpoint: `python openvino_convert.py CHECKPOINT OUT f32|bf16|int8|int4|int4-asym`.
See README.md.

vision.xml (pixels to image features, through the connector), text.xml (embeddings to logits of chosen tokens, with a
stateful KV cache, as optimum-intel exports it) and embeddings.npy.
"""

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import nncf
import numpy
import openvino as ov
import torch
from openvino import opset13
from openvino._offline_transformations import apply_make_stateful_transformation
from transformers import AutoModelForImageTextToText


class Vision(torch.nn.Module):
    """Full tiles only: patch positions in order, no mask."""

    def __init__(self, model):
        super().__init__()
        self.vision, self.connector = model.vision_model, model.connector

    def forward(self, pixels):
        embeddings = self.vision.embeddings
        patches = embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
        hidden = self.vision.encoder(inputs_embeds=patches + embeddings.position_embedding.weight).last_hidden_state
        return self.connector(self.vision.post_layernorm(hidden))


class Cache:
    """The cache interface that the layers use, over plain tensors [key, value, key, ...]."""

    is_compileable = False

    def __init__(self, tensors):
        self.tensors = list(tensors)

    def get_seq_length(self, layer=0):
        return self.tensors[2 * layer].shape[2]

    def update(self, key, value, layer, *_, **__):
        pair = slice(2 * layer, 2 * layer + 2)
        self.tensors[pair] = (torch.cat([past, new], 2) for past, new in zip(self.tensors[pair], (key, value)))
        return self.tensors[pair]


class Rotary(torch.nn.Module):
    """Tables of cosines and sines: in a graph that runs in bf16, angles would be multiplied in bf16, too, and those of
    positions in the hundreds would be off by whole radians."""

    def __init__(self, rotary, length):
        super().__init__()
        cos, sin = rotary(torch.zeros(1), torch.arange(length)[None])
        self.register_buffer("cos", cos[0])
        self.register_buffer("sin", sin[0])

    def forward(self, _, position_ids):
        return self.cos[position_ids], self.sin[position_ids]


class Text(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.head = model.model.text_model, model.lm_head
        self.model.rotary_emb = Rotary(self.model.rotary_emb, model.config.text_config.max_position_embeddings)

    def forward(self, embeddings, positions, outputs, *past):
        cache = Cache(past)
        keys = torch.arange(past[0].shape[2] + embeddings.shape[1])
        mask = torch.where(keys <= positions[:, None, :, None], 0.0, torch.finfo(torch.float32).min)
        hidden = self.model(
            inputs_embeds=embeddings, position_ids=positions, attention_mask=mask, cache=cache, use_cache=True
        ).last_hidden_state
        return (self.head(hidden[:, outputs]), *cache.tensors)


def convert_vision(model, edge):
    vision = ov.convert_model(Vision(model.model), example_input=torch.zeros(2, 3, edge, edge))
    vision.reshape([-1, 3, edge, edge])
    return vision


def convert_text(model, config):
    heads, head_dim, pairs = config.num_key_value_heads, config.head_dim, 2 * config.num_hidden_layers
    past = [torch.zeros(2, heads, 5, head_dim) for _ in range(pairs)]
    example = (torch.zeros(2, 3, config.hidden_size), torch.tensor([[5, 6, 7]] * 2), torch.tensor([1, 2]), *past)
    text = ov.convert_model(Text(model), example_input=example)
    inputs = ["embeddings", "positions", "outputs"] + [f"past.{i}" for i in range(pairs)]
    outputs = ["logits"] + [f"present.{i}" for i in range(pairs)]
    for port, name in zip(text.inputs + text.outputs, inputs + outputs):
        port.get_tensor().set_names({name})
    shapes = {"embeddings": [-1, -1, config.hidden_size], "positions": [-1, -1], "outputs": [-1]}
    text.reshape(shapes | {name: [-1, heads, -1, head_dim] for name in inputs if "past" in name})
    make_stateful(text, pairs)
    return text


def make_stateful(text, pairs):
    """The pattern that the CPU plugin fuses into one stateful attention operation."""
    rows = opset13.parameter([-1], ov.Type.i32, name="rows")
    rows.output(0).get_tensor().set_names({"rows"})
    text.add_parameters([rows])
    for i in range(pairs):
        past = text.input(f"past.{i}")
        consumers = past.get_target_inputs()
        gathered = opset13.gather(past, rows, opset13.constant(0))
        for consumer in consumers:
            consumer.replace_source_output(gathered.output(0))
    text.validate_nodes_and_infer_types()
    apply_make_stateful_transformation(text, {f"past.{i}": f"present.{i}" for i in range(pairs)})
    batch = opset13.gather(opset13.shape_of(text.input("embeddings")), opset13.constant([0]), opset13.constant(0))
    for op in text.get_ops():
        if op.get_type_name() == "ReadValue":
            _, heads, _, head_dim = op.get_output_partial_shape(0)
            sizes = [opset13.constant([size]) for size in (heads.get_length(), 0, head_dim.get_length())]
            shape = opset13.concat([batch, *sizes], 0)
            op.set_arguments([opset13.broadcast(opset13.constant(numpy.float32(0)), shape)])
    text.validate_nodes_and_infer_types()


def compress(vision, text, dtype, edge):
    tiles = numpy.random.default_rng(1).uniform(-1, 1, (8, 1, 3, edge, edge)).astype(numpy.float32)
    vision = nncf.quantize(vision, nncf.Dataset(tiles), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(tiles))
    if dtype == "int8":
        return vision, nncf.compress_weights(text, mode=nncf.CompressWeightsMode.INT8_SYM)
    mode = nncf.CompressWeightsMode.INT4_ASYM if dtype == "int4-asym" else nncf.CompressWeightsMode.INT4_SYM
    return vision, nncf.compress_weights(text, mode=mode, group_size=32)


def main(checkpoint, out, dtype):
    model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=torch.float32).eval()
    edge = model.config.vision_config.image_size
    with torch.inference_mode():
        vision, text = convert_vision(model, edge), convert_text(model, model.config.text_config)
    if dtype.startswith("int"):
        vision, text = compress(vision, text, dtype, edge)
    out.mkdir(parents=True, exist_ok=True)
    ov.save_model(vision, out / "vision.xml", compress_to_fp16=dtype != "f32")
    ov.save_model(text, out / "text.xml", compress_to_fp16=dtype != "f32")
    numpy.save(out / "embeddings.npy", model.get_input_embeddings().weight.detach().numpy())


main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
