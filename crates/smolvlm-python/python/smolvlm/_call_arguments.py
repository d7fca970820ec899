"""Arguments of a call of the processor, sorted by the part that they are for."""

from __future__ import annotations

import warnings
from typing import Any

from ._parameters import suggestion
from .image_processing import SmolVLMImageProcessor
from .video_processing import SmolVLMVideoProcessor

_COMMON = ("return_tensors",)
_TEXT = (
    "text_pair",
    "text_target",
    "text_pair_target",
    "add_special_tokens",
    "padding",
    "truncation",
    "max_length",
    "stride",
    "is_split_into_words",
    "pad_to_multiple_of",
    "return_token_type_ids",
    "return_attention_mask",
    "return_overflowing_tokens",
    "return_special_tokens_mask",
    "return_offsets_mapping",
    "return_length",
    "verbose",
    "padding_side",
)
# Arguments for audio, which this model has no use for and transformers accepts.
_AUDIO = ("sampling_rate", "raw_speech", "load_audio_backend", "audio_kwargs")

GROUPS = {
    "text_kwargs": (*_TEXT, *_COMMON),
    "images_kwargs": (*SmolVLMImageProcessor.settings, *_COMMON),
    "videos_kwargs": (*SmolVLMVideoProcessor.settings, *_COMMON),
}
# Arguments of the processor itself.
FLAT = ("return_mm_token_type_ids", "return_text_replacement_offsets", "sanitize_control_tokens")
NAMES = frozenset().union(GROUPS, FLAT, _AUDIO, ("common_kwargs", "images"), *GROUPS.values())


def sort_arguments(
    kwargs: dict[str, Any], defaults: dict[str, dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], dict]:
    """Returns the arguments of each group and those of the processor itself.

    An argument is for every group that knows it, or in a dictionary such as `text_kwargs` for one; `common_kwargs` are
    for all of them. Unknown ones are ignored with a warning, as in transformers. Raises `ValueError` for an argument
    given both ways.
    """
    kwargs = dict(kwargs)
    groups = {group: {"return_tensors": "np", **defaults.get(group, {})} for group in GROUPS}
    common = kwargs.pop("common_kwargs", None) or {}
    for group, names in GROUPS.items():
        groups[group].update({name: value for name, value in common.items() if name in names})
        for name, value in (kwargs.pop(group, None) or {}).items():
            if name in kwargs and name in names:
                raise ValueError(f"argument {name} is given twice: in {group} and on its own")
            groups[group][name] = value
    flat = {}
    for name, value in kwargs.items():
        targets = [group for group, names in GROUPS.items() if name in names]
        for group in targets:
            groups[group][name] = value
        if name in FLAT:
            flat[name] = value
        elif not targets and name not in _AUDIO:
            warnings.warn(f"argument {name!r} is ignored{suggestion(name, NAMES)}", stacklevel=4)
    for name in FLAT:
        if name in groups["text_kwargs"]:
            flat.setdefault(name, groups["text_kwargs"].pop(name))
    return groups, flat
