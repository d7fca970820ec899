"""Training throughput of transformers in samples per second, on the model of `cargo run --release -p smolvlm-train
--example speed`: `python train_peer.py STEPS THREADS`. Inputs are random: only their sizes matter."""

import sys
import time

import torch
from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

BATCH, TOKENS, TARGETS, TILES, IMAGE_TOKEN = 32, 222, 64, 5, 510

steps, threads = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(0)
config = SmolVLMConfig(
    image_token_id=IMAGE_TOKEN,
    scale_factor=2,
    tie_word_embeddings=True,
    pad_token_id=2,
    text_config=dict(
        model_type="llama", vocab_size=640, hidden_size=128, intermediate_size=384, num_hidden_layers=6,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, pad_token_id=2, tie_word_embeddings=True,
    ),
    vision_config=dict(
        hidden_size=128, intermediate_size=512, num_hidden_layers=6, num_attention_heads=4, image_size=64, patch_size=8,
    ),
)
model = SmolVLMForConditionalGeneration._from_config(config, attn_implementation="sdpa").float().train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.01)
ids = torch.randint(3, 500, (BATCH, TOKENS))
ids[:, 10 : 10 + TILES * 16] = IMAGE_TOKEN
labels = torch.full_like(ids, -100)
labels[:, -TARGETS:] = ids[:, -TARGETS:]
pixels = torch.rand(BATCH, TILES, 3, 64, 64) * 2 - 1
for step in range(steps):
    start = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    logits = model(input_ids=ids, pixel_values=pixels, use_cache=False).logits[:, :-1]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    seconds = time.perf_counter() - start
    print(f"step {step + 1}: loss {loss.item():.4f}, {BATCH / seconds:.2f} samples/s")
