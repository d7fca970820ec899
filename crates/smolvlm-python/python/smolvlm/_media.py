"""Pictures and videos of every kind, as the compiled part takes them."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

import numpy as np

Picture = Any  # A path, URL, base64 text, encoded file, PIL image, or array or tensor of pixels.

CHANNELS = (1, 3, 4)


def is_file(value: Any) -> bool:
    """Whether a value is a path, URL or encoded file."""
    return isinstance(value, (str, os.PathLike, bytes, bytearray, memoryview))


def is_pil(value: Any) -> bool:
    """Whether a value is a PIL image. Does not import PIL: without it, there are none."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def is_array(value: Any) -> bool:
    """Whether a value is an array or tensor of any library."""
    if isinstance(value, np.ndarray):
        return True
    return not is_pil(value) and hasattr(value, "shape") and any(hasattr(value, name) for name in _ARRAY_METHODS)


_ARRAY_METHODS = ("__dlpack__", "__array__", "numpy")


def is_picture(value: Any) -> bool:
    """Whether a value is one picture or, as an array of four dimensions, several."""
    return is_file(value) or is_pil(value) or is_array(value)


def to_array(value: Any) -> np.ndarray:
    """The NumPy array of an array or tensor, without a copy where its memory can be shared."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):
        # A tensor of PyTorch, perhaps on another device or with a gradient.
        value = value.detach().cpu()
    try:
        if hasattr(value, "__dlpack__"):
            try:
                return np.from_dlpack(value)
            except (BufferError, RuntimeError, ValueError):
                # On another device, or of a type that NumPy lacks: its own conversion may still work.
                pass
        return np.asarray(value) if hasattr(value, "__array__") else np.asarray(value.numpy())
    except TypeError as error:
        raise TypeError(f"cannot read pixels of type {getattr(value, 'dtype', type(value))}: {error}") from error


def picture(value: Picture, *, convert_rgb: bool | None = True, data_format: Any = None) -> Any:
    """A picture as the compiled part takes it: a path, URL or file unchanged, otherwise `uint8` `[height, width, 3]`.

    `data_format` is `"channels_first"` or `"channels_last"`; by default it is inferred from an array's shape. With
    `convert_rgb`, other color modes are converted and transparency is composited over white.

    Raises `TypeError` for what is no picture, and `ValueError` for pixels that are not RGB levels from 0 to 255.
    """
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if is_file(value):
        return value
    if is_pil(value):
        return _from_pil(value, convert_rgb)
    if is_array(value):
        array = to_array(value)
        if array.ndim == 2:
            array = array[..., None]
        if array.ndim != 3:
            raise ValueError(
                f"a picture has the shape [height, width], [height, width, channels] or [channels, height, width], "
                f"got {list(array.shape)}"
            )
        return _rgb(_channels_last(array, data_format), convert_rgb)
    raise TypeError(f"a picture must be a path, URL, bytes, PIL image, array or tensor, got {type(value).__name__}")


def _from_pil(image: Any, convert_rgb: bool | None) -> np.ndarray:
    if not convert_rgb:
        array = np.asarray(image)
        return _rgb(array[..., None] if array.ndim == 2 else array, convert_rgb)
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        from PIL import Image

        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return np.ascontiguousarray(image.convert("RGB"))


def _channels_last(array: np.ndarray, data_format: Any) -> np.ndarray:
    """Moves the channels of `[.., channels, height, width]` or `[.., height, width, channels]` to the end."""
    first, last = array.shape[-3] in CHANNELS, array.shape[-1] in CHANNELS
    data_format = getattr(data_format, "value", data_format)
    if data_format is None:
        if not first and not last:
            raise ValueError(
                f"cannot tell which axis of the shape {list(array.shape)} has the channels; "
                "pass input_data_format='channels_first' or 'channels_last'"
            )
        if first and last:
            warnings.warn(
                f"the first axis of a picture of shape {list(array.shape)} is taken for its channels; "
                "pass input_data_format to say otherwise",
                stacklevel=2,
            )
        data_format = "channels_first" if first else "channels_last"
    if data_format not in ("channels_first", "channels_last"):
        raise ValueError(f"input_data_format must be 'channels_first' or 'channels_last', got {data_format!r}")
    return np.moveaxis(array, -3, -1) if data_format == "channels_first" else array


def _rgb(array: np.ndarray, convert_rgb: bool | None) -> np.ndarray:
    """Converts `[.., height, width, channels]` to contiguous `uint8` with three channels."""
    channels = array.shape[-1]
    if channels == 4 and array.dtype != np.uint8:
        raise ValueError(f"a picture with transparency must be uint8, got {array.dtype}; {_ADVICE}")
    array = _levels(array)
    if channels == 1 and convert_rgb:
        array = np.repeat(array, 3, axis=-1)
    elif channels == 4 and convert_rgb:
        array = _over_white(array)
    elif channels != 3:
        advice = "pass do_convert_rgb=True" if channels in CHANNELS else "convert it to RGB"
        raise ValueError(f"a picture has {channels} channels, not 3; {advice}")
    return np.ascontiguousarray(array)


_ADVICE = "pass uint8 pixels from 0 to 255, such as (pixels * 255).round().astype('uint8') for values from 0 to 1"


def _levels(array: np.ndarray) -> np.ndarray:
    """Converts whole numbers from 0 to 255 of any type to `uint8`."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iuf":
        raise ValueError(f"cannot read pixels of type {array.dtype}; {_ADVICE}")
    with np.errstate(invalid="ignore"):
        levels = array.astype(np.uint8)
    if not np.array_equal(levels, array):
        raise ValueError(f"the pixels of type {array.dtype} are not whole numbers from 0 to 255; {_ADVICE}")
    return levels


def _over_white(array: np.ndarray) -> np.ndarray:
    """Composites RGBA over white in single precision and truncates, as the reference does for arrays."""
    values = array.astype(np.float32) * np.float32(1 / 255)
    color, alpha = values[..., :3], values[..., 3:]
    return ((color * alpha + (1 - alpha)) * np.float32(255.999)).astype(np.uint8)


def nested_pictures(images: Any) -> list[list[Picture]]:
    """Groups pictures by sample: one picture, a flat list (one sample) or a list of lists.

    An array of four dimensions is a list of pictures. Raises `TypeError` and `ValueError`.
    """
    if isinstance(images, (list, tuple)):
        if all(isinstance(item, (list, tuple)) for item in images):
            samples = [list(sample) for sample in images]
        elif images and all(_is_stack(item) for item in images):
            samples = [list(item) for item in images]
        else:
            samples = [list(images)]
    else:
        samples = [list(images) if _is_stack(images) else [images]]
    for item in (item for sample in samples for item in sample):
        if isinstance(item, (list, tuple)):
            raise ValueError("images must be one picture, a list of pictures, or a list with one list per sample")
        if not is_picture(item):
            raise TypeError(
                f"images must be paths, URLs, bytes, PIL images, arrays or tensors, got {type(item).__name__}"
            )
    return samples


def _is_stack(value: Any) -> bool:
    return is_array(value) and len(value.shape) == 4


def flat_videos(videos: Any, depth: int = 0) -> list[Any]:
    """Lists videos: files, arrays of four dimensions, and lists of frames. Nested lists of videos are flattened.

    A flat list of paths is a list of videos; in lists of three levels, the innermost are paths of frames. `depth` is
    the number of lists around `videos`. Raises `TypeError`.
    """
    if is_file(videos) or _is_stack(videos):
        return [videos]
    if is_array(videos) and len(videos.shape) == 5:
        return list(videos)
    if is_pil(videos) or is_array(videos):
        return [[videos]]
    if not isinstance(videos, (list, tuple)):
        raise TypeError(
            f"a video must be a path, URL, bytes, list of frames, or array or tensor of frames, "
            f"got {type(videos).__name__}"
        )
    if _is_frames(videos):
        return [list(videos)]
    found = []
    for item in videos:
        found.extend([list(item)] if depth > 0 and _is_frame_files(item) else flat_videos(item, depth + 1))
    return found


def _is_frames(value: Any) -> bool:
    """Whether a value is a non-empty list of decoded frames."""
    return isinstance(value, (list, tuple)) and bool(value) and all(_is_frame(item) for item in value)


def _is_frame(value: Any) -> bool:
    return is_pil(value) or (is_array(value) and len(value.shape) in (2, 3))


def _is_frame_files(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(is_file(item) for item in value)


def frames(video: Any, *, convert_rgb: bool | None = True, data_format: Any = None) -> list[Any]:
    """The frames of a decoded video, a list of pictures or an array of four dimensions, as `picture` returns them."""
    if isinstance(video, (list, tuple)):
        return [picture(frame, convert_rgb=convert_rgb, data_format=data_format) for frame in video]
    array = to_array(video)
    if array.ndim != 4:
        raise ValueError(
            f"a video has the shape [frames, height, width, channels] or [frames, channels, height, width], "
            f"got {list(array.shape)}"
        )
    return list(_rgb(_channels_last(array, data_format), convert_rgb))
