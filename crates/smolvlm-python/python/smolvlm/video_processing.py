"""Video processor."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from . import _native
from ._files import Checkpoint
from ._media import flat_videos, frames, is_file, picture
from ._pixel_processor import _FLAGS, PixelProcessor, check_sizes, finished
from ._video import with_decoded_container
from .feature import BatchFeature

# Settings that transformers accepts and that have no effect on this model.
_IGNORED = ("do_center_crop", "crop_size", "data_format")


@dataclass
class VideoMetadata(Mapping):
    """A video's length, rate and size. `frames_indices` are the frames in use, by default all."""

    total_num_frames: int
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    video_backend: str | None = None
    frames_indices: Any = None

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))

    def __len__(self) -> int:
        return len(fields(self))

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self, name, value)

    @property
    def timestamps(self) -> list[float]:
        """Seconds of the frames in use. Raises `ValueError` if they or the rate are unknown."""
        if self.fps is None or self.frames_indices is None:
            raise ValueError("timestamps need fps and frames_indices")
        return [index / self.fps for index in self.frames_indices]

    @property
    def sampled_fps(self) -> float:
        """Frames in use per second."""
        if self.frames_indices is None or self.total_num_frames is None or self.fps is None:
            return self.fps or 24
        return len(self.frames_indices) / self.total_num_frames * self.fps

    def plan(self) -> _native.VideoPlan:
        """The frames that a prompt describes."""
        return _native.VideoPlan(
            [int(index) for index in self.frames_indices],
            int(self.total_num_frames),
            None if self.fps is None else float(self.fps),
            None if self.duration is None else float(self.duration),
            self.height or 1,
            self.width or 1,
        )


class SmolVLMVideoProcessor(PixelProcessor):
    """Converts videos to one tile per frame, as transformers' class of this name.

    With `do_sample_frames`, `fps` frames per second are used, at most `num_frames`; otherwise all frames.
    """

    do_sample_frames = False
    return_metadata = False

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
        "do_sample_frames",
        "video_metadata",
        "fps",
        "num_frames",
        "return_metadata",
        "max_image_size",
        *_IGNORED,
    )
    _flags = (*_FLAGS, "do_sample_frames")
    _not_saved = ("default_to_square",)
    _type_key = "video_processor_type"
    _section = "video_processor"
    _file_names = ("video_preprocessor_config.json", "preprocessor_config.json")

    def __init__(self, **kwargs: Any) -> None:
        kwargs.pop("image_processor_type", None)
        sampling = kwargs.get("video_sampling")
        if sampling is not None:
            # An older spelling of three settings; a size of its own has precedence over that of the sampling.
            size = kwargs.get("size", sampling["video_size"])
            kwargs["video_sampling"] = {**sampling, "video_size": size}
            kwargs.update(num_frames=sampling["max_frames"], fps=sampling["fps"], size=size)
        super().__init__(**kwargs)

    @classmethod
    def from_dict(cls, settings: dict[str, Any], **kwargs: Any) -> Any:
        """A processor with the settings of a dictionary and the overrides in `kwargs`; see `from_pretrained`."""
        sampling = settings.get("video_sampling")
        if sampling is not None:
            names = (("fps", "fps"), ("num_frames", "max_frames"))
            overrides = {old: kwargs[new] for new, old in names if new in kwargs}
            settings = {**settings, "video_sampling": {**sampling, **overrides}}
        return super().from_dict(settings, **kwargs)

    def __call__(self, videos: Any, **kwargs: Any) -> BatchFeature:
        """As `preprocess`."""
        return self.preprocess(videos, **kwargs)

    def preprocess(self, videos: Any, **kwargs: Any) -> BatchFeature:
        """Converts one video or a list of videos.

        Videos are paths, URLs, encoded files, lists of frames, or arrays or tensors `[frames, height, width, 3]` or
        `[frames, 3, height, width]`. Arguments override the settings; further ones are `video_metadata` (one
        `VideoMetadata` or dictionary per video; needed to sample decoded frames), `return_metadata`, `return_tensors`
        (`"np"` by default, or `"pt"`) and `device`.

        Returns `pixel_values`, float32 `[videos, frames, 3, edge, edge]`, with zeros after the frames of a shorter
        video, and unless `do_pad` is false `pixel_attention_mask`, int64 `[videos, frames, edge, edge]`, which is 1 for
        those frames, too, as in transformers. With `return_metadata`, `video_metadata` is a list of `VideoMetadata`.

        Raises `TypeError`, `ValueError` and `OSError` that say what is wrong with a video or argument.
        """
        values = self._effective(kwargs)
        check_sizes(values)
        videos = flat_videos(videos)
        if not videos:
            raise ValueError("there are no videos")
        given = _metadata(videos, values["video_metadata"])
        native = _native.VideoProcessor(json.dumps(self._sampling_config(values)))
        processed = [
            self._process(native, video, metadata, values) for video, metadata in zip(videos, given, strict=True)
        ]
        pixels = [tiles for tiles, _ in processed]
        data: dict[str, Any] = _padded(pixels) if values["do_pad"] else {"pixel_values": _stacked(pixels)}
        if values["return_metadata"]:
            data["video_metadata"] = [metadata for _, metadata in processed]
        return finished(data, {**kwargs, "device": values["device"]}, lists=("video_metadata",))

    def _process(
        self, native: _native.VideoProcessor, video: Any, metadata: VideoMetadata | None, values: dict[str, Any]
    ) -> tuple[np.ndarray, VideoMetadata]:
        """Tiles of a video and its metadata."""
        samples = bool(values["do_sample_frames"])
        if is_file(video):
            return _process_file(native, picture(video), samples)
        are_files = isinstance(video, list) and all(is_file(frame) for frame in video)
        if are_files and samples:
            raise ValueError(
                "Sampling frames from a list of images is not supported! Set `do_sample_frames=False`, "
                "or pass a list with the frames to use."
            )
        images = frames(video, convert_rgb=values["do_convert_rgb"], data_format=values["input_data_format"])
        if samples:
            indices = _sample(native, metadata)
            images = [images[index] for index in indices]
        else:
            indices = metadata.frames_indices if metadata is not None else None
            indices = list(range(len(images))) if indices is None else indices
            if len(indices) != len(images):
                raise ValueError(f"video_metadata has {len(indices)} frames_indices for {len(images)} frames")
        tiles, plan = native.process(_native.Frames(images), sample=False)
        if metadata is None:
            metadata = VideoMetadata(len(images), height=plan.height, width=plan.width)
        return tiles, replace(metadata, frames_indices=indices)

    def sample_frames(
        self,
        metadata: VideoMetadata | None,
        num_frames: int | None = None,
        fps: float | None = None,
        skip_secs: float | None = 1,
        **kwargs: Any,
    ) -> np.ndarray:
        """Indices of the frames to use: `fps` per second, at most `num_frames`, evenly spaced.

        `skip_secs` seconds at both ends are left out of a video that is long enough. Raises `ValueError` if the
        metadata or its rate are missing.
        """
        overrides = {"num_frames": num_frames, "fps": fps}
        values = self._effective({name: value for name, value in overrides.items() if value is not None})
        config = {**self._sampling_config(values), "do_resize": True, "skip_secs": skip_secs}
        return _sample(_native.VideoProcessor(json.dumps(config)), metadata)

    def _sampling_config(self, values: dict[str, Any]) -> dict[str, Any]:
        config = self._config(values)
        for name, kind in (("fps", (int, float)), ("num_frames", int)):
            value = getattr(self, name) if values[name] is None else values[name]
            if value is not None and (isinstance(value, bool) or not isinstance(value, kind) or not value >= 0):
                raise ValueError(f"{name} must be a number that is not negative, got {value!r}")
            config[name] = value
        return config

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> dict[str, Any]:
        """The settings in a checkpoint's files; those of its image processor if it has no others."""
        try:
            return super().read(checkpoint)
        except OSError:
            settings = checkpoint.section("image_processor")
            if settings is None:
                raise
            return settings

    @staticmethod
    def _of_native(native: _native.Processor) -> dict[str, Any]:
        return json.loads(native.video_config())


def _process_file(native: _native.VideoProcessor, video: Any, samples: bool) -> tuple[np.ndarray, VideoMetadata]:
    video = with_decoded_container(video, native.sample if samples else _every_frame)
    tiles, plan = native.process(video, sample=samples)
    metadata = VideoMetadata(
        plan.total_num_frames,
        fps=plan.fps,
        width=plan.width,
        height=plan.height,
        duration=plan.duration,
        frames_indices=plan.indices,
    )
    return tiles, metadata


def _every_frame(total_num_frames: int, fps: float, duration: float) -> list[int]:
    return list(range(total_num_frames))


def _sample(native: _native.VideoProcessor, metadata: VideoMetadata | None) -> np.ndarray:
    if metadata is None or metadata.fps is None:
        raise ValueError(
            "frames are sampled by time, but the video's frame rate is unknown: pass video_metadata with fps and "
            "total_num_frames, or do_sample_frames=False to use all frames"
        )
    total = metadata.total_num_frames
    duration = total / metadata.fps if metadata.duration is None else metadata.duration
    return np.array(native.sample(int(total), float(metadata.fps), float(duration)), dtype=np.int64)


def _metadata(videos: list[Any], given: Any) -> list[VideoMetadata | None]:
    """Metadata of each video. Raises `ValueError` for a wrong number of entries or unknown keys."""
    if given is None:
        return [None] * len(videos)
    entries = [given] if isinstance(given, Mapping) else list(given)
    if entries and isinstance(entries[0], (list, tuple)):
        entries = [entry for sample in entries for entry in sample]
    if len(entries) != len(videos):
        raise ValueError(f"Received {len(videos)} videos but {len(entries)} video_metadata entries; pass one per video")
    names = {field.name for field in fields(VideoMetadata)}
    for entry in entries:
        unknown = sorted(set(entry) - names)
        if unknown:
            raise ValueError(f"video_metadata has unknown keys {unknown}; the keys are {sorted(names)}")
    return [entry if isinstance(entry, VideoMetadata) else VideoMetadata(**entry) for entry in entries]


def _padded(videos: list[np.ndarray]) -> dict[str, np.ndarray]:
    most, edge = max(len(tiles) for tiles in videos), videos[0].shape[-1]
    if len(videos) == 1:
        pixels = videos[0][None]
    else:
        pixels = np.zeros((len(videos), most, 3, edge, edge), np.float32)
        for out, tiles in zip(pixels, videos, strict=True):
            out[: len(tiles)] = tiles
    return {"pixel_values": pixels, "pixel_attention_mask": np.ones((len(videos), most, edge, edge), np.int64)}


def _stacked(videos: list[np.ndarray]) -> np.ndarray:
    if len({len(tiles) for tiles in videos}) > 1:
        raise ValueError("the videos have different numbers of frames; pass do_pad=True")
    return np.stack(videos)


def warn_about_rate(metadata: list[VideoMetadata]) -> None:
    """Warns if the times that a prompt states are not known."""
    if any(entry.fps is None for entry in metadata):
        warnings.warn(
            "the frame rate of a video is unknown, so its prompt assumes 24 frames per second; pass video_metadata",
            stacklevel=3,
        )
