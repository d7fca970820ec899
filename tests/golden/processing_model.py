"""Model side: position ids, rotary tables, pixel shuffle, the vision tower on partly masked tiles."""

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, LlamaConfig, SmolVLMVisionConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMConnector, SmolVLMVisionEmbeddings

from common import f32_list, lcg_image, write_json, write_tensors


def position_ids(grid, mask):
    """Indices into the position table for patch mask [gh, gw] and a table of grid x grid."""
    config = SmolVLMVisionConfig(hidden_size=8, num_attention_heads=1, image_size=grid * 2, patch_size=2)
    embeddings = SmolVLMVisionEmbeddings(config)
    seen = []

    def keep(_module, inputs):
        seen.append(inputs[0])

    embeddings.position_embedding.register_forward_pre_hook(keep)
    pixels = torch.zeros(1, 3, mask.shape[0] * 2, mask.shape[1] * 2)
    with torch.no_grad():
        embeddings(pixels, mask[None])
    return seen[0][0].tolist()


def rectangle(height, width, valid_height, valid_width):
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[:valid_height, :valid_width] = True
    return mask


def position_cases():
    """`axis`: buckets of one axis for every count n; `tiles`: whole masks, the valid part in the top left corner."""
    axis = []
    for grid in (4, 6, 8, 27, 32):
        for count in [*range(1, grid + 1), grid + 1, grid + grid // 4, 2 * grid]:
            ids = position_ids(grid, rectangle(1, count, 1, count))
            axis.append({"grid": grid, "valid": count, "buckets": ids})
    tiles = []
    for grid, height, width, valid_height, valid_width in (
        (4, 4, 4, 4, 4),
        (4, 4, 4, 2, 3),
        (4, 4, 4, 1, 1),
        (4, 3, 6, 3, 5),
        (8, 8, 8, 5, 8),
        (8, 8, 8, 8, 3),
        (8, 10, 12, 10, 12),
        (27, 6, 27, 5, 20),
        (32, 32, 4, 32, 3),
    ):
        mask = rectangle(height, width, valid_height, valid_width)
        tiles.append(
            {
                "grid": grid,
                "height": height,
                "width": width,
                "valid_height": valid_height,
                "valid_width": valid_width,
                "position_ids": position_ids(grid, mask),
            }
        )
    return {"axis": axis, "tiles": tiles}


ROPES = {
    "default": {"rope_type": "default", "rope_theta": 100000.0},
    "default, theta 130000": {"rope_type": "default", "rope_theta": 130000.0},
    "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
    "llama3": {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "llama3, short": {
        "rope_type": "llama3",
        "rope_theta": 500.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
}
ROPE_POSITIONS = [0, 1, 2, 17, 1000, 8191]


def rope_cases():
    for name, parameters in ROPES.items():
        for head_dim in (8, 64):
            config = LlamaConfig(
                hidden_size=head_dim,
                num_attention_heads=1,
                head_dim=head_dim,
                max_position_embeddings=8192,
                rope_parameters=dict(parameters),
            )
            rotary = LlamaRotaryEmbedding(config)
            half = head_dim // 2
            cos, sin = rotary(torch.zeros(1), torch.tensor([ROPE_POSITIONS]))
            assert torch.equal(cos[..., :half], cos[..., half:]) and torch.equal(sin[..., :half], sin[..., half:])
            yield {
                "name": name,
                "rope_parameters": parameters,
                "head_dim": head_dim,
                "inverse_frequencies": f32_list(rotary.inv_freq),
                "attention_scaling": rotary.attention_scaling,
                "positions": ROPE_POSITIONS,
                "cos": [f32_list(row[:half]) for row in cos[0]],
                "sin": [f32_list(row[:half]) for row in sin[0]],
            }


def pixel_shuffle_cases():
    for grid, factor, width in ((4, 2, 1), (4, 2, 3), (6, 3, 2), (6, 2, 2), (8, 4, 1), (4, 4, 2), (3, 1, 2), (5, 5, 1)):
        tiles = 2
        values = torch.arange(tiles * grid * grid * width, dtype=torch.float32).reshape(tiles, grid * grid, width)
        out = SmolVLMConnector.pixel_shuffle(None, values, factor)
        yield {
            "grid": grid,
            "scale_factor": factor,
            "width": width,
            "tiles": tiles,
            "shape": list(out.shape),
            "output": [int(v) for v in out.reshape(-1)],
        }


def masked_vision(golden_root):
    """The gqa-256m tower on tiles whose right and bottom parts are padding, and on tiles larger than trained for."""
    model = AutoModelForImageTextToText.from_pretrained(golden_root / "gqa-256m" / "model", dtype=torch.float32).eval()
    tower, patch = model.model.vision_model, model.config.vision_config.patch_size
    tensors = {}
    for name, edge, valid in (
        ("partial", 64, [(8, 8), (5, 8), (3, 2)]),
        ("large", 96, [(12, 12)]),
        ("large_partial", 96, [(9, 12), (12, 1)]),
    ):
        count = edge // patch
        levels = np.stack([lcg_image(seed, edge, edge).transpose(2, 0, 1) for seed in range(1, len(valid) + 1)])
        masks = torch.stack([rectangle(count, count, *v) for v in valid])
        pixels = (torch.from_numpy(levels.copy()).to(torch.float32) - 127.5) / 127.5
        wide = masks.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, None]
        pixels = pixels * wide  # padding is 0.0, as the image processor leaves it
        with torch.no_grad():
            out = tower(pixel_values=pixels, patch_attention_mask=masks).last_hidden_state
        real = masks.reshape(len(valid), -1)
        tensors[f"{name}_patch_mask"] = masks.to(torch.uint8)
        # rows of valid patches only: nothing defines the others
        tensors[f"{name}_last_hidden_state"] = out[real]
    return tensors


def write(folder, golden_root):
    write_json(folder / "position_ids.json", position_cases())
    write_json(folder / "rope.json", list(rope_cases()))
    write_json(folder / "pixel_shuffle.json", list(pixel_shuffle_cases()))
    write_tensors(folder / "masked_vision.safetensors", masked_vision(golden_root))
