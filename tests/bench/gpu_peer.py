"""The stages of `smolvlm bench --device cuda` in transformers on a GPU, in bf16 with SDPA attention:

    python gpu_peer.py CHECKPOINT [--compile] [--device cuda]

The last line is a JSON object with the keys of README.md, and `tiles64_s`, `decode64_tokens_s`, `images_s` (questions
about an image of 13 tiles answered in 64 tokens, per second) and `peak_mib` of the GPU's memory. `--compile` compiles
the decode step with a cache of fixed size, as transformers recommends, and the vision encoder."""

import argparse
import inspect
import json
import os
import statistics
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from transformers import AutoModelForImageTextToText, StaticCache

import measure

TILE_COUNTS, PROMPT_LENGTHS, ROW_COUNTS = (1, 13, 64), (94, measure.PREFILL), (1, 8, 64)


class Gpu:
    def __init__(self, checkpoint, device, compiled):
        model = AutoModelForImageTextToText.from_pretrained(
            checkpoint, dtype=torch.bfloat16, attn_implementation="sdpa"
        )
        self.device, self.compiled, self.model = device, compiled, model.eval().to(device)
        # Its name before transformers 5.24, which a machine with a GPU may have.
        is_new = "cache" in inspect.signature(model.model.forward).parameters
        self.cache_name = "cache" if is_new else "past_key_values"
        edge = model.config.vision_config.image_size
        self.tiles = torch.rand(1, max(TILE_COUNTS), 3, edge, edge, device=device).mul(2).sub(1).bfloat16()
        self.forward = torch.compile(self.model.forward, mode="reduce-overhead") if compiled else self.model
        self.encode = self.model.get_image_features
        if compiled:
            self.encode = torch.compile(self.encode)

    def wait(self):
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()

    @torch.inference_mode()
    def see(self, tiles):
        seen = torch.cat(tuple(self.encode(self.tiles[:, :tiles]).pooler_output))
        self.wait()
        return seen

    @torch.inference_mode()
    def start(self, rows, length, features=None):
        vocabulary = self.model.config.text_config.vocab_size
        ids = (torch.arange(length, device=self.device) % min(1000, vocabulary // 2) + 3).repeat(rows, 1)
        inputs = {"input_ids": ids}
        if features is not None:
            inputs = {"inputs_embeds": self.model.get_input_embeddings()(ids)}
            features = features.reshape(-1, features.shape[-1])
            inputs["inputs_embeds"][0, : len(features)] = features
        if self.compiled:
            room = length + measure.NEW_TOKENS
            inputs[self.cache_name] = StaticCache(config=self.model.config.text_config, max_cache_len=room)
        out = self.model(**inputs, use_cache=True, logits_to_keep=1)
        self.cache, self.length = getattr(out, self.cache_name), length
        tokens = out.logits.argmax(-1)
        self.wait()
        return tokens

    @torch.inference_mode()
    def step(self, tokens):
        inputs = {"input_ids": tokens, self.cache_name: self.cache, "use_cache": True}
        if self.compiled:
            inputs["cache_position"] = torch.tensor([self.length], device=self.device)
        tokens = self.forward(**inputs).logits.argmax(-1)
        self.length += 1
        # The host needs the token to detect the end of the answer.
        tokens.cpu()
        return tokens.clone()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    peer = Gpu(arguments.checkpoint, arguments.device, arguments.compile)
    figures = {"peer": f"transformers {transformers.__version__}", "torch": torch.__version__, "dtype": "bf16", "device": arguments.device, "compile": arguments.compile}

    def note(key, value):
        figures[key] = round(value, 5)
        # Printed immediately: compiling takes long, and GPU time is limited.
        print(f"{key:<18}{value:12.5f}", file=sys.stderr, flush=True)

    for rows in ROW_COUNTS:
        note(f"decode{rows}_tokens_s", measure.decode_rate(peer, rows))
    answers = [measure.answer(peer) for _ in range(measure.LONG_RUNS + 1)][1:]
    for key, column in zip(("first_token_s", "total_s"), zip(*answers)):
        note(key, statistics.median(column))
    note("images_s", 1 / figures["total_s"])
    for n in TILE_COUNTS:
        note(f"tile{'' if n == 1 else f's{n}'}_s", measure.median(lambda: peer.see(n), measure.LONG_RUNS) / n)
    for tokens in PROMPT_LENGTHS:
        note(f"prefill{tokens}_s", measure.median(lambda: peer.start(1, tokens)))
    if arguments.device.startswith("cuda"):
        note("peak_mib", torch.cuda.max_memory_allocated() / 2**20)
    print(json.dumps(figures))


if __name__ == "__main__":
    sys.exit(main())
