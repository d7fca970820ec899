"""Settings of the image and the video processor, and their files."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ._files import Checkpoint, dumps, new_folder
from ._parameters import unknown
from .feature import BatchFeature, check_tensor_type

P = TypeVar("P", bound="PixelProcessor")

# Sets of keys that a `size` may have.
_SIZE_KEYS = (
    {"longest_edge"},
    {"height", "width"},
    {"shortest_edge"},
    {"shortest_edge", "longest_edge"},
    {"max_height", "max_width"},
    {"min_pixels", "max_pixels"},
)
_FLAGS = ("do_convert_rgb", "do_resize", "do_rescale", "do_normalize", "do_pad")
_NUMBERS = ("size", "resample", "max_image_size", "rescale_factor", "image_mean", "image_std")


class PixelProcessor:
    """Settings as attributes, with the class's values as defaults; every call can override them.

    An argument that is no setting is kept as an attribute and saved, as in transformers.
    """

    resample = 1
    image_mean = (0.5, 0.5, 0.5)
    image_std = (0.5, 0.5, 0.5)
    size: ClassVar[dict[str, int]] = {"longest_edge": 4 * 364}
    max_image_size: ClassVar[dict[str, int]] = {"longest_edge": 364}
    rescale_factor = 1 / 255
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True
    do_pad = True
    default_to_square = True
    model_input_names: ClassVar[list[str]] = ["pixel_values", "pixel_attention_mask"]

    # Names of the settings, which of them are switches, which are not saved, and where they are saved.
    settings: ClassVar[tuple[str, ...]]
    _flags: ClassVar[tuple[str, ...]] = _FLAGS
    _not_saved: ClassVar[tuple[str, ...]] = ()
    _type_key: ClassVar[str]
    _section: ClassVar[str]
    _file_names: ClassVar[tuple[str, ...]]

    def __init__(self, **kwargs: Any) -> None:
        for name in ("processor_class", "feature_extractor_type"):
            kwargs.pop(name, None)
        given = {name: kwargs.pop(name) if name in kwargs else self._default(name) for name in self.settings}
        vars(self).update(kwargs)
        vars(self).update(self._standardized(given))

    @classmethod
    def _default(cls, name: str) -> Any:
        return copy.deepcopy(getattr(cls, name, None))

    def _standardized(self, values: dict[str, Any]) -> dict[str, Any]:
        """Settings in their usual spelling. Raises `ValueError` for a `size` that means nothing."""
        values = dict(values)
        square = values.get("default_to_square", self._default("default_to_square"))
        for name in ("size", "crop_size", "pad_size"):
            if values.get(name) is not None:
                values[name] = size_dict(values[name], square is not False or name != "size", name)
        for name in ("image_mean", "image_std"):
            if isinstance(values.get(name), list):
                values[name] = tuple(values[name])
        if values.get("resample") is not None:
            values["resample"] = int(values["resample"])
        return values

    def _effective(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The settings with the overrides of a call. Raises `TypeError` and `ValueError`."""
        for name in kwargs:
            if name not in self.settings and name != "return_tensors":
                raise TypeError(unknown(name, self.settings))
        values = {name: kwargs.get(name, getattr(self, name, None)) for name in self.settings}
        values = self._standardized(values)
        for name in self._flags:
            if not isinstance(values[name], (bool, type(None))):
                raise TypeError(f"{name} must be True, False or None, got {values[name]!r}")
        required = {
            "do_resize": ("size", "resample"),
            "do_rescale": ("rescale_factor",),
            "do_normalize": ("image_mean", "image_std"),
        }
        for flag, names in required.items():
            for name in names:
                if values[flag] and values[name] is None:
                    raise ValueError(f"{name} must be set if {flag} is True")
        return values

    def _config(self, values: dict[str, Any]) -> dict[str, Any]:
        """Settings for the compiled part."""
        config = {name: bool(values[name]) for name in self._flags}
        return {**config, **{name: values[name] for name in _NUMBERS if values[name] is not None}}

    @classmethod
    def from_pretrained(cls: type[P], pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> Any:
        """Reads the settings of a checkpoint: a folder, its JSON file, `owner/name` of the Hub, or `demo`.

        `kwargs` override settings. With `return_unused_kwargs=True`, also returns those that are none. Raises `OSError`
        if the checkpoint has no such settings, and `ValueError` for a file that is not JSON.
        """
        checkpoint = Checkpoint(pretrained_model_name_or_path, kwargs)
        return cls.from_dict(cls.read(checkpoint), **kwargs)

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> dict[str, Any]:
        """The settings in a checkpoint's files. Raises `OSError` and `ValueError`."""
        if checkpoint.folder is None:
            return cls._of_native(checkpoint.native)
        found = checkpoint.section(cls._section, *cls._file_names)
        if found is None:
            raise checkpoint.missing(cls._section.replace("_", " "), "processor_config.json", *cls._file_names)
        return found

    @staticmethod
    def _of_native(native: Any) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_dict(cls: type[P], settings: dict[str, Any], **kwargs: Any) -> Any:
        """A processor with the settings of a dictionary and the overrides in `kwargs`; see `from_pretrained`."""
        return_unused_kwargs = kwargs.pop("return_unused_kwargs", False)
        overrides = {name: kwargs.pop(name) for name in list(kwargs) if name in cls.settings}
        processor = cls(**{**copy.deepcopy(settings), **overrides})
        for name in [name for name in kwargs if hasattr(processor, name)]:
            setattr(processor, name, kwargs.pop(name))
        return (processor, kwargs) if return_unused_kwargs else processor

    @classmethod
    def from_json_file(cls: type[P], json_file: str | os.PathLike[str]) -> P:
        """A processor with the settings of a JSON file."""
        return cls(**json.loads(Path(json_file).read_text(encoding="utf-8-sig")))

    def to_dict(self) -> dict[str, Any]:
        """The settings, without those that are `None` by default."""
        values = {
            name: value
            for name, value in vars(self).items()
            if (value is not None or self._default(name) is not None) and name not in self._not_saved
        }
        return {**copy.deepcopy(values), self._type_key: type(self).__name__}

    def to_json_string(self) -> str:
        """The settings as JSON."""
        return dumps(self.to_dict())

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Writes the settings to a JSON file."""
        Path(json_file_path).write_text(self.to_json_string(), encoding="utf-8")

    def save_pretrained(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False) -> list[str]:
        """Writes the settings to a folder, which is created if needed; returns the paths of the files."""
        path = new_folder(save_directory, push_to_hub) / self._file_names[0]
        self.to_json_file(path)
        return [str(path)]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def size_dict(size: Any, square: bool = True, name: str = "size") -> dict[str, int]:
    """A size as a dictionary: a length is a square or, without `square`, the shortest edge; a pair is height and width.

    Raises `ValueError` for other keys than those of transformers.
    """
    if isinstance(size, int) and not isinstance(size, bool):
        return {"height": size, "width": size} if square else {"shortest_edge": size}
    if isinstance(size, (list, tuple)) and len(size) == 2:
        return {"height": size[0], "width": size[1]}
    try:
        found = dict(size)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a dictionary, a pair (height, width) or a length, got {size!r}") from error
    if set(found) not in _SIZE_KEYS:
        allowed = "; ".join(", ".join(sorted(keys)) for keys in _SIZE_KEYS)
        raise ValueError(f"{name} must have one of these sets of keys: {allowed}; got {', '.join(map(str, found))}")
    return found


def check_sizes(values: dict[str, Any]) -> None:
    """Checks that a resized picture has a size and a tile an edge. Raises `KeyError` and `ValueError`."""
    size = values["size"]
    if values["do_resize"] and not (size.get("longest_edge") or (size.get("height") and size.get("width"))):
        raise ValueError(f"size must have the key 'longest_edge', or 'height' and 'width', got {size}")
    if "longest_edge" not in (values["max_image_size"] or {}):
        raise KeyError("max_image_size must have the key 'longest_edge'")


def finished(data: dict[str, Any], kwargs: dict[str, Any], lists: Iterable[str] = ()) -> BatchFeature:
    """Model inputs as `return_tensors` and `device` of a call ask for; `lists` stay lists."""
    tensor_type = kwargs.get("return_tensors", "np")
    tensor_type = None if tensor_type is None else check_tensor_type(tensor_type)
    features = BatchFeature(data, tensor_type=tensor_type, skip_tensor_conversion=list(lists))
    device = kwargs.get("device")
    if device is not None and str(device) != "cpu":
        if tensor_type != "pt":
            raise ValueError(f"device {str(device)!r} needs return_tensors='pt'")
        features.to(device)
    return features
