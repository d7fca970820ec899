"""Model classes with the names and the calls of transformers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._parameters import device_name, dtype_name
from .model import SmolVLM

# Arguments of `from_pretrained` that only concern how transformers runs a model.
_IGNORED_ON_LOADING = {
    "_attn_implementation",
    "attn_implementation",
    "force_download",
    "low_cpu_mem_usage",
    "max_memory",
    "offload_folder",
    "trust_remote_code",
    "use_safetensors",
}

# Arguments of `generate` that do not change its result here.
_IGNORED = {
    "bos_token_id",
    "cache_implementation",
    "disable_compile",
    "position_ids",
    "rows",
    "cols",
    "synced_gpus",
    "use_cache",
    "video_metadata",
}


class SmolVLMForConditionalGeneration:
    """A model that takes the arrays of `SmolVLMProcessor`, as transformers' class of this name does.

    `SmolVLM` is simpler to use: it takes conversations and returns texts.
    """

    def __init__(self, model: SmolVLM) -> None:
        self.model = model
        """The model behind it."""
        self._arguments: dict[str, Any] = {"model": model.source}

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str],
        *,
        dtype: Any = None,
        torch_dtype: Any = None,
        device_map: Any = None,
        revision: str | None = None,
        **options: Any,
    ) -> SmolVLMForConditionalGeneration:
        """Loads a model. `options` are those of `SmolVLM.from_pretrained`.

        The default number format is `auto`, not float32 as in transformers: on a CPU that of quantized weights, else
        bfloat16 where the device supports it, which rounds float32 checkpoints, else float32.
        """
        options = {
            name: value for name, value in options.items() if name not in _IGNORED_ON_LOADING and value is not None
        }
        dtype = torch_dtype if dtype is None else dtype
        if isinstance(device_map, dict):
            device_map = next(iter(device_map.values()), None)
        arguments = {"dtype": "auto" if dtype is None else dtype, "device": _place(device_map), **options}
        loaded = cls(SmolVLM.from_pretrained(model, revision=revision, **arguments))
        loaded._arguments = {"model": model, "revision": revision, **arguments}
        return loaded

    def to(self, *targets: Any, device: Any = None, dtype: Any = None) -> SmolVLMForConditionalGeneration:
        """Moves the model to a device or number format, by loading it again where that is another one."""
        for target in targets:
            if _is_dtype(target):
                dtype = target
            else:
                device = target
        wanted = dict(self._arguments)
        if device is not None and _place(device) not in ("auto", _kind(self.model.device)):
            wanted["device"] = _place(device)
        if dtype is not None and _short(dtype_name(dtype)) != self.model.dtype:
            wanted["dtype"] = dtype
        if wanted != self._arguments:
            self.model = SmolVLM.from_pretrained(**wanted)
            self._arguments = wanted
        return self

    def eval(self) -> SmolVLMForConditionalGeneration:
        """Returns the model, which only does inference."""
        return self

    def cuda(self, device: int | None = None) -> SmolVLMForConditionalGeneration:
        """Moves the model to an NVIDIA GPU."""
        return self.to("cuda" if device is None else f"cuda:{device}")

    def cpu(self) -> SmolVLMForConditionalGeneration:
        """Moves the model to the CPU."""
        return self.to("cpu")

    @property
    def device(self) -> str:
        """The device for inputs, which stay in main memory."""
        return "cpu"

    @property
    def dtype(self) -> str:
        """The format of the weights in memory."""
        return self.model.dtype

    @property
    def config(self) -> dict[str, Any]:
        """The checkpoint's `config.json`."""
        return self.model.config

    def generate(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        pixel_values: Any = None,
        pixel_attention_mask: Any = None,
        pad_token_id: int | None = None,
        **params: Any,
    ) -> Any:
        """Generates tokens for the prompts of a batch.

        Args:
            input_ids: `[rows, tokens]`, padded on the left.
            attention_mask: `[rows, tokens]`, 0 for padding.
            pixel_values: `[rows, tiles, 3, edge, edge]`.
            pixel_attention_mask: `[rows, tiles, edge, edge]`, 0 for tiles that are padding; without it, tiles of zeros
                are padding.
            pad_token_id: The token after the end of shorter rows.
            params: As for `SmolVLM.generate`, except for media.

        Returns:
            Prompts and generated tokens `[rows, tokens]`, as the type of `input_ids`.
        """
        if input_ids is None:
            raise TypeError("generate needs input_ids: call the processor first, and pass its result with **")
        # transformers has more arguments, which are absent if they are None, false or empty.
        known = self.model._known
        params = {
            name: value
            for name, value in params.items()
            if name not in _IGNORED and (name in known or value not in (None, False, [], ()))
        }
        ids = _numpy(input_ids).astype(np.int64)
        mask = np.ones_like(ids) if attention_mask is None else _numpy(attention_mask)
        rows = [row[kept != 0].tolist() for row, kept in zip(ids, mask)]
        media, sampling = self.model._split(params)
        if media:
            raise TypeError(f"media are processed already: {', '.join(media)} cannot be set here")
        answers = self.model._native.generate_from_inputs(
            rows, self._tiles(rows, pixel_values, pixel_attention_mask), sampling
        )
        count = len(answers) // len(rows)
        new = [answer["token_ids"] for answer in answers]
        longest = max(map(len, new))
        pad = self._pad_token_id(pad_token_id)
        out = np.full((len(new), ids.shape[1] + longest), pad, dtype=np.int64)
        for index, tokens in enumerate(new):
            out[index, : ids.shape[1]] = ids[index // count]
            out[index, ids.shape[1] : ids.shape[1] + len(tokens)] = tokens
        return _like(input_ids, out)

    def _tiles(self, rows: Sequence[list[int]], pixel_values: Any, mask: Any) -> list[Any]:
        """The tiles of each row: in order, as many as its image tokens need."""
        if pixel_values is None:
            return [None] * len(rows)
        pixels = _numpy(pixel_values).astype(np.float32, copy=False)
        pixels = pixels.reshape(-1, *pixels.shape[-3:])
        if mask is None:
            pixels = pixels[pixels.any(axis=(1, 2, 3))]
        else:
            mask = _numpy(mask)
            pixels = pixels[mask.reshape(-1, *mask.shape[-2:]).any(axis=(1, 2))]
        config = self.model.config
        image_token = config["image_token_id"]
        tokens = self._tokens_per_tile(config)
        counts = [row.count(image_token) // tokens for row in rows]
        if sum(counts) != len(pixels):
            raise ValueError(f"the prompts have image tokens for {sum(counts)} tiles, but there are {len(pixels)}")
        return [np.ascontiguousarray(part) for part in np.split(pixels, np.cumsum(counts)[:-1])]

    @staticmethod
    def _tokens_per_tile(config: dict[str, Any]) -> int:
        vision = config["vision_config"]
        return (vision["image_size"] // vision["patch_size"]) ** 2 // config["scale_factor"] ** 2

    def _pad_token_id(self, given: int | None) -> int:
        if given is not None:
            return int(given)
        config = self.model.config
        return int(config.get("pad_token_id") or config.get("text_config", {}).get("pad_token_id") or 0)


class AutoModelForImageTextToText:
    """Loads a `SmolVLMForConditionalGeneration`."""

    from_pretrained = SmolVLMForConditionalGeneration.from_pretrained


def _numpy(array: Any) -> np.ndarray:
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        array = array.float() if "float" in str(array.dtype) else array
    return np.asarray(array)


def _like(given: Any, array: np.ndarray) -> Any:
    if not hasattr(given, "detach"):
        return array
    import torch

    return torch.from_numpy(array).to(given.device)


def _place(device: Any) -> str:
    if isinstance(device, int):
        device = f"cuda:{device}"
    return "auto" if device in (None, "balanced", "sequential") else device_name(device)


def _kind(device: str) -> str:
    return "cpu" if device == "flex" else device


def _short(dtype: str) -> str:
    return {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}.get(dtype, dtype)


def _is_dtype(target: Any) -> bool:
    name = dtype_name(target)
    return name.startswith(("float", "bfloat")) or name in ("f32", "bf16", "f16", "q8", "q4")
