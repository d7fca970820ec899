"""Conversations as Python objects, for the compiled part."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from . import _native
from ._media import flat_videos, frames, is_array, is_file, is_pil, picture
from ._video import with_decoded_container

Conversation = Any  # A text, a message, or a list of messages.

# Keys of an item's data, and its types.
SOURCES = {
    "image": ("image", "image_url", "url", "path", "base64", "bytes"),
    "video": ("video", "video_url", "url", "path", "base64", "bytes"),
}
KINDS = {
    **dict.fromkeys(("image", "image_url", "input_image"), "image"),
    **dict.fromkeys(("video", "video_url", "input_video"), "video"),
}

# Keys of the data in an object such as OpenAI's `{"url": ..}`.
_NESTED = ("url", "path", "base64", "bytes")

# Stands for the source of an item whose data are given separately or not read.
_PLACEHOLDER = "-"


def is_batch(conversation: Any) -> bool:
    """Whether a value is a list of conversations rather than one conversation."""
    return isinstance(conversation, (list, tuple)) and bool(conversation) and isinstance(conversation[0], (list, tuple))


def messages_of(conversation: Conversation) -> list[dict[str, Any]]:
    """The messages of a conversation: a text is one message of the user, a message is a conversation of one.

    Messages and items may be objects with attributes, such as those of OpenAI's client. Keys with the value `None` are
    dropped. Raises `TypeError` for anything else.
    """
    if isinstance(conversation, str):
        conversation = [{"role": "user", "content": [{"type": "text", "text": conversation}]}]
    elif isinstance(_as_dict(conversation), dict):
        conversation = [conversation]
    if not isinstance(conversation, (list, tuple)):
        raise TypeError(
            "a conversation must be a text or a list of messages such as "
            f'{{"role": "user", "content": [..]}}, got {type(conversation).__name__}'
        )
    return [_message(message) for message in conversation]


def _as_dict(value: Any) -> Any:
    """A dictionary for an object of a data class or of pydantic; everything else unchanged."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return value.model_dump() if hasattr(value, "model_dump") else value


def _message(message: Any) -> dict[str, Any]:
    message = _as_dict(message)
    if not isinstance(message, dict):
        raise TypeError(
            f'a message must be a dictionary such as {{"role": "user", "content": [..]}}, got {type(message).__name__}'
        )
    message = _without_none(message)
    if isinstance(message.get("content"), (list, tuple)):
        items = map(_as_dict, message["content"])
        message["content"] = [_without_none(item) if isinstance(item, dict) else item for item in items]
    return message


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def media_items(messages: list[dict[str, Any]]) -> Iterator[tuple[int, int, str, dict[str, Any]]]:
    """Images and videos in order: indices of message and item, `"image"` or `"video"`, and the item."""
    for index, message in enumerate(messages):
        content = message.get("content")
        for position, item in enumerate(content if isinstance(content, list) else ()):
            kind = KINDS.get(item.get("type")) if isinstance(item, dict) else None
            if kind is not None:
                yield index, position, kind, item


def source_of(item: dict[str, Any], kind: str) -> Any:
    """The data of an item, also of an object such as OpenAI's `{"url": ..}`; `None` without any."""
    for key in SOURCES[kind]:
        if key in item:
            value = item[key]
            if isinstance(value, dict):
                return next((value[name] for name in _NESTED if value.get(name) is not None), None)
            return value
    return None


def to_native(conversation: Conversation, *, video_config: str = "{}", **options: Any) -> _native.Conversation:
    """Parses a conversation whose images and videos may be Python objects.

    `options` are `image_splitting`, `longest_edge`, `video_fps` and `video_frames`; `None` leaves one as configured.
    `video_config` is that of the model's processor, `Processor.video_config()`; it selects frames where PyAV decodes
    videos.

    Raises `TypeError` and `ValueError`.
    """
    options = _without_none(options)
    messages = messages_of(conversation)
    media = []
    for index, position, kind, item in media_items(messages):
        source = source_of(item, kind)
        value = _picture(source) if kind == "image" else _video(source, item, video_config, options)
        if value is not None:
            media.append((index, position, value))
            messages[index]["content"][position] = _reduced(item, kind)
    return _native.Conversation(_dumps(messages), media, json.dumps(options) if options else None)


def without_media(messages: list[dict[str, Any]]) -> _native.Conversation:
    """Parses messages for rendering only: their images and videos are never opened and may be missing."""
    messages = [dict(message) for message in messages]
    for message in messages:
        if isinstance(message.get("content"), list):
            message["content"] = list(message["content"])
    for index, position, kind, item in media_items(messages):
        messages[index]["content"][position] = _reduced(item, kind)
    return _native.Conversation(_dumps(messages))


def _reduced(item: dict[str, Any], kind: str) -> dict[str, Any]:
    """An item without its source."""
    kept = {key: value for key, value in item.items() if key not in SOURCES[kind]}
    detail = item["image_url"].get("detail") if isinstance(item.get("image_url"), dict) else None
    return {**kept, **({"detail": detail} if detail else {}), "type": kind, "path": _PLACEHOLDER}


def _dumps(messages: list[dict[str, Any]]) -> str:
    def convert(value: Any) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        raise TypeError(f"a conversation cannot hold a value of type {type(value).__name__} here")

    return json.dumps(messages, default=convert, ensure_ascii=False)


def _picture(source: Any) -> Any:
    """A picture that JSON cannot represent; `None` for one that it can."""
    return None if source is None or isinstance(source, (str, os.PathLike)) else picture(source)


def _video(source: Any, item: dict[str, Any], video_config: str, options: dict[str, Any]) -> Any:
    """A video that JSON cannot represent or that PyAV decodes; `None` for one that the compiled part opens."""
    if source is None:
        return None
    if is_file(source):
        source = bytes(source) if isinstance(source, (bytearray, memoryview)) else source
        if "base64" in item:
            return None
        decoded = with_decoded_container(source, _sampler(video_config, options))
        return None if isinstance(decoded, (str, os.PathLike)) else decoded
    if isinstance(source, (list, tuple)) and all(isinstance(frame, (str, os.PathLike)) for frame in source):
        return None
    if not (isinstance(source, (list, tuple)) or is_array(source) or is_pil(source)):
        raise TypeError(
            f"a video must be a path, URL, bytes, list of frames, or array or tensor of frames, "
            f"got {type(source).__name__}"
        )
    if not isinstance(source, (list, tuple)):
        (source,) = flat_videos(source)
    return _native.Frames(frames(source), item.get("fps"), item.get("duration"))


def _sampler(video_config: str, options: dict[str, Any]) -> Any:
    overrides = _without_none({"fps": options.get("video_fps"), "num_frames": options.get("video_frames")})
    return _native.VideoProcessor(json.dumps({**json.loads(video_config), **overrides})).sample
