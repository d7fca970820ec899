"""Files of a processor."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._files import Checkpoint, dumps, new_folder, write_json
from .image_processing import SmolVLMImageProcessor
from .tokenization import SmolVLMTokenizer
from .video_processing import SmolVLMVideoProcessor

if TYPE_CHECKING:
    from .processing import SmolVLMProcessor

__all__ = ["dumps", "load", "save", "write_json"]

_PARTS = {
    "image_processor": SmolVLMImageProcessor,
    "tokenizer": SmolVLMTokenizer,
    "video_processor": SmolVLMVideoProcessor,
}
# The folder of templates that are not the default.
_TEMPLATES = "additional_chat_templates"


def load(cls: type[SmolVLMProcessor], source: str | os.PathLike[str], kwargs: dict[str, Any]) -> SmolVLMProcessor:
    """Reads the parts that `kwargs` do not give, with the settings that they override."""
    checkpoint = Checkpoint(source, kwargs)
    parts = {name: kwargs.pop(name) for name in _PARTS if name in kwargs}
    image_seq_len, template = kwargs.pop("image_seq_len", None), kwargs.pop("chat_template", None)
    for name, kind in _PARTS.items():
        if name in parts:
            continue
        if kind is SmolVLMTokenizer:
            parts[name] = kind.read(checkpoint, **kwargs)
        else:
            settings = {key: value for key, value in kwargs.items() if key in kind.settings}
            parts[name] = kind.from_dict(kind.read(checkpoint), **settings)
    if checkpoint.folder is None:
        config = json.loads(checkpoint.native.config())
        stored = checkpoint.native.chat_template()
    else:
        config = checkpoint.json("processor_config.json") or {}
        stored = _stored_template(checkpoint, config, parts["tokenizer"])
    length = config.get("image_seq_len") if image_seq_len is None else image_seq_len
    given = {} if length is None else {"image_seq_len": length}
    return cls(**parts, **given, chat_template=stored if template is None else template)


def _stored_template(checkpoint: Checkpoint, config: dict[str, Any], tokenizer: Any) -> Any:
    """The chat template of the first file that has one; a dictionary if there are named ones."""
    template = config.get("chat_template") or (checkpoint.json("chat_template.json") or {}).get("chat_template")
    if template is None:
        template = checkpoint.text("chat_template.jinja") or getattr(tokenizer, "chat_template", None)
        folder = checkpoint.folder / _TEMPLATES
        named = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.jinja"))}
        if named:
            template = {**({"default": template} if template else {}), **named}
    if isinstance(template, list):
        template = {entry["name"]: entry["template"] for entry in template}
    return template


def save(processor: SmolVLMProcessor, save_directory: str | os.PathLike[str], push_to_hub: bool) -> list[str]:
    """Writes `processor_config.json`, the chat templates and the tokenizer.

    Raises `ValueError` for a template whose name is no file name.
    """
    folder = new_folder(save_directory, push_to_hub)
    processor.tokenizer.save_pretrained(folder)
    templates = processor.chat_template
    for name, template in (templates if isinstance(templates, dict) else {"default": templates}).items():
        if template is None:
            continue
        path = folder / "chat_template.jinja"
        if name != "default":
            path = folder / _TEMPLATES / f"{name}.jinja"
            if Path(name).name != name:
                raise ValueError(f"the name of a chat template must be a file name, got {name!r}")
            path.parent.mkdir(exist_ok=True)
        path.write_text(template, encoding="utf-8")
    path = folder / "processor_config.json"
    processor.to_json_file(path)
    return [str(path)]
