"""The stages in transformers: `python transformers_peer.py CHECKPOINT f32|bf16 THREADS`. See README.md."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
import measure
import torch
from transformers import AutoModelForImageTextToText


class Transformers:
    def __init__(self, checkpoint, dtype, threads):
        torch.set_num_threads(threads)
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
        model = AutoModelForImageTextToText.from_pretrained(checkpoint, dtype=dtype, attn_implementation="sdpa")
        self.model = model.eval()
        edge = model.config.vision_config.image_size
        generator = torch.Generator().manual_seed(1)
        self.tiles = (torch.rand(1, measure.TILES, 3, edge, edge, generator=generator) * 2 - 1).to(dtype)

    @torch.inference_mode()
    def see(self, tiles):
        return torch.cat(tuple(self.model.get_image_features(self.tiles[:, :tiles]).pooler_output))

    @torch.inference_mode()
    def start(self, rows, length, features=None):
        ids = (torch.arange(length) % 1000 + 3).repeat(rows, 1)
        inputs = {"input_ids": ids}
        if features is not None:
            inputs = {"inputs_embeds": self.model.get_input_embeddings()(ids)}
            features = features.reshape(-1, features.shape[-1])
            inputs["inputs_embeds"][0, : len(features)] = features
        out = self.model(**inputs, use_cache=True, logits_to_keep=1)
        self.cache = out.cache
        return out.logits.argmax(-1)

    @torch.inference_mode()
    def step(self, tokens):
        return self.model(input_ids=tokens, cache=self.cache, use_cache=True).logits.argmax(-1)


measure.main("transformers", Transformers)
