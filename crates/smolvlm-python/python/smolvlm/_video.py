"""Decoding of video containers with PyAV where FFmpeg's programs are missing."""

from __future__ import annotations

import io
import os
import shutil
import urllib.request
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np

from . import _native

# Indices of the frames to decode, for a number of frames, frames per second and a duration in seconds.
Sampler = Callable[[int, float, float], list[int]]

# First bytes of images and animations, which need no FFmpeg.
_IMAGES = (b"GIF8", b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")


def with_decoded_container(video: Any, sampler: Sampler) -> Any:
    """Decodes a path, URL or file of a video container if only PyAV can; returns everything else unchanged."""
    if isinstance(video, _native.Frames) or not _needs_pyav():
        return video
    source = _open(video)
    if source is None:
        return video
    head = source.read(12)
    source.seek(0)
    if head.startswith(_IMAGES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return video
    with source:
        return decode(source, sampler)


def _needs_pyav() -> bool:
    programs = all(shutil.which(name) for name in ("ffmpeg", "ffprobe"))
    return not programs and find_spec("av") is not None


def _open(video: str | os.PathLike[str] | bytes) -> io.BufferedIOBase | None:
    """Opens a file, URL or bytes for reading; `None` for a folder or what the compiled part has to explain."""
    if isinstance(video, bytes):
        return io.BytesIO(video)
    text = os.fspath(video)
    if isinstance(text, str) and text.partition(":")[0].lower() in ("http", "https", "file", "data"):
        with urllib.request.urlopen(text) as response:
            return io.BytesIO(response.read())
    return open(text, "rb") if os.path.isfile(text) else None


def decode(source: io.BufferedIOBase, sampler: Sampler) -> _native.Frames:
    """Decodes the frames that `sampler` selects.

    The result has a frame for every index of the video, so that it is sampled like the container; those that are not
    selected are one black pixel. Raises `ValueError` for a file without video frames.
    """
    import av

    try:
        with av.open(source) as container:
            if not container.streams.video:
                raise ValueError("the file has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            starts, end = _times(container, stream)
            if not starts:
                raise ValueError("the video has no frames")
            duration = end - starts[0]
            rate = Fraction(stream.average_rate or (len(starts) / duration if duration else 24))
            wanted = sampler(len(starts), float(rate), float(duration))
            container.seek(0)
            return _frames(container, stream, len(starts), wanted, rate, duration)
    except av.error.FFmpegError as error:
        raise ValueError(f"cannot decode the video: {error}") from error


def _times(container: Any, stream: Any) -> tuple[list[Fraction], Fraction]:
    """Start of each frame and end of the last one, in seconds, in display order; read without decoding."""
    starts, end = [], Fraction(0)
    base = stream.time_base or Fraction(1)
    for packet in container.demux(stream):
        if packet.size and not packet.is_discard:
            time = packet.pts if packet.pts is not None else packet.dts
            start = Fraction(len(starts) if time is None else time) * base
            starts.append(start)
            end = max(end, start + (packet.duration or 0) * base)
    return sorted(starts), end


def _frames(
    container: Any, stream: Any, total: int, wanted: list[int], rate: Fraction, duration: Fraction
) -> _native.Frames:
    blank = np.zeros((1, 1, 3), np.uint8)
    images = [blank] * total
    remaining = set(wanted)
    for index, frame in enumerate(container.decode(stream)):
        if index == 0:
            # The size of the first frame is that of the video.
            images[0] = np.zeros(_pixels(frame).shape, np.uint8)
        if index in remaining:
            images[index] = _pixels(frame)
            remaining.discard(index)
        if not remaining:
            break
    if remaining:
        raise ValueError(f"the video ends before its frame {min(remaining)}; it may be truncated")
    return _native.Frames(images, float(rate), float(duration))


def _pixels(frame: Any) -> np.ndarray:
    """RGB levels of a frame, `[height, width, 3]`, turned upright."""
    pixels = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns))
