"""Image processor."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np

from . import _native
from ._media import nested_pictures, picture
from ._pixel_processor import _FLAGS, PixelProcessor, check_sizes, finished
from .feature import BatchFeature

# Settings that transformers accepts and that have no effect on this model.
_IGNORED = (
    "crop_size",
    "do_center_crop",
    "pad_size",
    "data_format",
    "disable_grouping",
    "image_seq_length",
)


class SmolVLMImageProcessor(PixelProcessor):
    """Converts images to tiles for the vision encoder, as transformers' class of this name.

    An image is resized so that its longest edge is `size["longest_edge"]`, split into tiles of
    `max_image_size["longest_edge"]` pixels and a global tile, and normalized.
    """

    do_image_splitting = True
    return_row_col_info = False

    settings: ClassVar[tuple[str, ...]] = (
        *_FLAGS,
        "size",
        "default_to_square",
        "resample",
        "rescale_factor",
        "image_mean",
        "image_std",
        "input_data_format",
        "device",
        "do_image_splitting",
        "max_image_size",
        "return_row_col_info",
        *_IGNORED,
    )
    _flags = (*_FLAGS, "do_image_splitting")
    _not_saved = ("return_row_col_info", "default_to_square")
    _type_key = "image_processor_type"
    _section = "image_processor"
    _file_names = ("preprocessor_config.json",)

    def __call__(self, images: Any, *args: Any, **kwargs: Any) -> BatchFeature:
        """As `preprocess`."""
        return self.preprocess(images, *args, **kwargs)

    def preprocess(self, images: Any, **kwargs: Any) -> BatchFeature:
        """Converts one image, the images of one sample, or lists of images of several samples.

        Images are paths, URLs, base64 texts, encoded files, PIL images, or arrays or tensors of `uint8` pixels.
        Arguments override the settings; further ones are `return_tensors` (`"np"` by default, or `"pt"`) and `device`.

        Returns `pixel_values`, float32 `[samples, tiles, 3, edge, edge]`, with zeros after the tiles of a sample, and
        unless `do_pad` is false `pixel_attention_mask`, int64 `[samples, tiles, edge, edge]`. With
        `return_row_col_info`, `rows` and `cols` are lists of the grids of each sample's images; 0 means not split.

        Raises `TypeError`, `ValueError` and `OSError` that say what is wrong with an image or argument.
        """
        values = self._effective(kwargs)
        check_sizes(values)
        samples = nested_pictures(images)
        flat = [
            picture(image, convert_rgb=values["do_convert_rgb"], data_format=values["input_data_format"])
            for sample in samples
            for image in sample
        ]
        if not flat:
            raise ValueError("there are no images")
        processed = iter(_native.ImageProcessor(json.dumps(self._config(values))).process(flat))
        grids = [[next(processed) for _ in sample] for sample in samples]
        data = padded(grids) if values["do_pad"] else {"pixel_values": _stacked(grids)}
        if values["return_row_col_info"]:
            data["rows"] = [[rows for _, rows, _ in sample] for sample in grids]
            data["cols"] = [[cols for _, _, cols in sample] for sample in grids]
        return finished(data, {**kwargs, "device": values["device"]}, lists=("rows", "cols"))

    @staticmethod
    def _of_native(native: _native.Processor) -> dict[str, Any]:
        return json.loads(native.image_config())

    def get_number_of_image_patches(
        self, height: int, width: int, images_kwargs: dict[str, Any] | None = None
    ) -> tuple[int, int, int]:
        """Number of tiles, rows and columns of an image; all 0 if it is not split, as in transformers.

        Raises `ValueError` for invalid sizes.
        """
        values = self._effective({**(images_kwargs or {}), "do_convert_rgb": True})
        check_sizes(values)
        # Only the size matters, so the image is not worth more than the cheapest filter.
        values["resample"] = 0
        blank = np.broadcast_to(np.zeros(3, np.uint8), (height, width, 3))
        config = json.dumps(self._config(values))
        _, rows, cols = _native.ImageProcessor(config).process([np.ascontiguousarray(blank)])[0]
        return (rows * cols + 1 if rows else 0, rows, cols)


Grids = list[list[tuple[np.ndarray, int, int]]]


def padded(samples: Grids) -> dict[str, np.ndarray]:
    """Tiles of all samples, with zeros after those of a sample that has fewer, and a mask of the tiles."""
    counts = [sum(len(tiles) for tiles, _, _ in sample) for sample in samples]
    edge = next(tiles.shape[-1] for sample in samples for tiles, _, _ in sample)
    most = max(counts)
    if len(samples) == 1 and len(samples[0]) == 1:
        pixels = samples[0][0][0][None]
    else:
        pixels = np.zeros((len(samples), most, 3, edge, edge), np.float32)
        for out, sample in zip(pixels, samples, strict=True):
            start = 0
            for tiles, _, _ in sample:
                out[start : start + len(tiles)] = tiles
                start += len(tiles)
    mask = np.zeros((len(samples), most, edge, edge), np.int64)
    for out, count in zip(mask, counts, strict=True):
        out[:count] = 1
    return {"pixel_values": pixels, "pixel_attention_mask": mask}


def _stacked(samples: Grids) -> np.ndarray:
    """Tiles of samples with equal numbers of tiles. Raises `ValueError` for others."""
    counts = {sum(len(tiles) for tiles, _, _ in sample) for sample in samples}
    if len(counts) > 1:
        raise ValueError(f"the samples have different numbers of tiles, {sorted(counts)}; pass do_pad=True")
    return np.stack([np.concatenate([tiles for tiles, _, _ in sample]) for sample in samples])
