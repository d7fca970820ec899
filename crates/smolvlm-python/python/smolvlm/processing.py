"""Processor: conversations, images and videos to model inputs."""

from __future__ import annotations

import json
import os
import re
from typing import Any, ClassVar

import numpy as np

from . import _native, _processor_files
from ._call_arguments import NAMES, sort_arguments
from ._conversation import is_batch, media_items, messages_of, source_of, without_media
from ._expansion import (
    check_counts,
    check_counts_per_sample,
    check_not_truncated,
    count,
    in_order,
    media_texts,
    replaced,
)
from ._media import flat_videos, is_file, nested_pictures
from .feature import BatchFeature
from .image_processing import SmolVLMImageProcessor, padded
from .tokenization import SmolVLMTokenizer
from .video_processing import SmolVLMVideoProcessor, warn_about_rate


class SmolVLMProcessor:
    """Image processor, video processor, tokenizer and chat template, as transformers' class of this name.

    `image_seq_len` is the number of image tokens of a tile, which the model determines. The tokenizer may also be a
    fast tokenizer of transformers. A `chat_template` is a text, or a dictionary with one named `default`.
    """

    skip_tensor_conversion: ClassVar[list[str]] = ["video_metadata", "text_replacement_offsets"]
    unused_input_names: ClassVar[list[str]] = ["rows", "cols", "video_metadata"]

    def __init__(
        self,
        image_processor: SmolVLMImageProcessor,
        tokenizer: Any,
        video_processor: SmolVLMVideoProcessor,
        image_seq_len: int = 169,
        chat_template: str | dict[str, str] | None = None,
    ) -> None:
        for name, value, kind in (
            ("image_processor", image_processor, SmolVLMImageProcessor),
            ("video_processor", video_processor, SmolVLMVideoProcessor),
        ):
            if not isinstance(value, kind):
                raise TypeError(f"{name} must be a {kind.__name__} of this package, got {type(value).__name__}")
        if not isinstance(tokenizer, SmolVLMTokenizer):
            tokenizer = SmolVLMTokenizer.from_transformers(tokenizer)
        self.image_processor = image_processor
        self.tokenizer = tokenizer
        self.video_processor = video_processor
        self.image_seq_len = image_seq_len
        self.chat_template = chat_template
        self.image_token = getattr(tokenizer, "image_token", "<image>")
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token = getattr(tokenizer, "video_token", "<video>")
        self.fake_image_token = getattr(tokenizer, "fake_image_token", "<fake_token_around_image>")
        self.global_image_token = getattr(tokenizer, "global_image_token", "<global-img>")
        self.end_of_utterance_token = getattr(tokenizer, "end_of_utterance_token", "<end_of_utterance>")
        self._native: tuple[Any, _native.Processor] | None = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any) -> SmolVLMProcessor:
        """Reads the processor of a checkpoint: a folder, `owner/name` of the Hub, or `demo`.

        `kwargs` override settings of the parts that know them, or give parts themselves, such as `tokenizer`. Raises
        `OSError` for missing files and `ValueError` for invalid ones.
        """
        return _processor_files.load(cls, pretrained_model_name_or_path, kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike[str], push_to_hub: bool = False) -> list[str]:
        """Writes all files to a folder, which is created if needed; returns the path of `processor_config.json`."""
        return _processor_files.save(self, save_directory, push_to_hub)

    def to_dict(self) -> dict[str, Any]:
        """The settings of the parts, without tokenizer and chat template."""
        return {
            "image_seq_len": self.image_seq_len,
            "image_processor": self.image_processor.to_dict(),
            "video_processor": self.video_processor.to_dict(),
            "processor_class": type(self).__name__,
        }

    def to_json_string(self) -> str:
        """The settings as JSON."""
        return _processor_files.dumps(self.to_dict())

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Writes the settings to a JSON file."""
        _processor_files.write_json(json_file_path, self.to_dict())

    def __repr__(self) -> str:
        return f"{type(self).__name__}:\n- tokenizer: {self.tokenizer!r}\n\n{self.to_json_string()}"

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_native": None}

    @property
    def model_input_names(self) -> list[str]:
        """Names of the inputs that a call returns."""
        parts = (self.image_processor, self.tokenizer, self.video_processor)
        return list(dict.fromkeys(name for part in parts for name in part.model_input_names))

    def __call__(
        self,
        images: Any = None,
        text: str | list[str] | None = None,
        videos: Any = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Converts texts with placeholders and their images and videos to model inputs.

        `text` is one text or a list; `images` one list per text, with as many images as the text has placeholders
        (`<image>`); `videos` are assigned to placeholders (`<video>`) in order. Without `text`, images or videos alone
        are converted. `kwargs` are arguments of the parts, also grouped in `text_kwargs`, `images_kwargs` and
        `videos_kwargs`. `return_tensors` is `"np"` by default, `"pt"`, or `None` for lists of token ids.

        Returns `input_ids`, `attention_mask`, `pixel_values` and `pixel_attention_mask`; on request
        `mm_token_type_ids`, `text_replacement_offsets` and `video_metadata`. With images and videos, the tiles of a
        text are in the order of its placeholders.

        Raises `ValueError` and `TypeError` that say which input is wrong.
        """
        if images is None and text is None and videos is None:
            raise ValueError(f"You need to provide at least one input to call {type(self).__name__}")
        if text is None and images is not None and videos is not None:
            raise ValueError("You must specify exactly one of `images` or `videos`")
        groups, flat = sort_arguments(kwargs, self._defaults())
        if flat.get("sanitize_control_tokens"):
            raise ValueError("sanitize_control_tokens is not supported by the processor")
        texts = None if text is None else _texts(text)
        samples = None if images is None else nested_pictures(images)
        clips = None if videos is None else flat_videos(videos)
        if texts is not None:
            self._check(texts, samples, clips)
        returns_metadata = groups["videos_kwargs"].get("return_metadata")
        with_images, with_videos = {}, {}
        if samples is not None:
            with_images = self.image_processor(samples, **{**groups["images_kwargs"], "return_row_col_info": True})
        if clips is not None:
            with_videos = self.video_processor([clips], **{**groups["videos_kwargs"], "return_metadata": True})
        data: dict[str, Any] = {}
        if texts is not None:
            texts, offsets = self._expanded(texts, with_images, with_videos)
            data = self._tokenized(texts, groups["text_kwargs"])
            if flat.get("return_text_replacement_offsets"):
                data["text_replacement_offsets"] = offsets
            if flat.get("return_mm_token_type_ids"):
                data["mm_token_type_ids"] = self.create_mm_token_type_ids(data["input_ids"])
            if samples is not None and clips is not None:
                tiles = {"image": _image_tiles(with_images), "video": _video_tiles(with_videos)}
                with_videos = {**with_videos, **padded(in_order(offsets, tiles))}
        data |= {**with_images, **with_videos}
        kept = ("video_metadata",) if returns_metadata else ()
        data = {name: value for name, value in data.items() if name in kept or name not in self.unused_input_names}
        return BatchFeature(data, groups["text_kwargs"]["return_tensors"], self.skip_tensor_conversion)

    def _defaults(self) -> dict[str, dict[str, Any]]:
        """Arguments of calls that the tokenizer was created with."""
        known = self.tokenizer.init_kwargs
        return {"text_kwargs": {name: known[name] for name in ("padding", "truncation", "max_length") if name in known}}

    def _check(self, texts: list[str], samples: list[list[Any]] | None, clips: list[Any] | None) -> None:
        """Compares the numbers of placeholders with those of images and videos. Raises `ValueError`."""
        found = count(texts, self.image_token)
        check_counts("images", self.image_token, found, None if samples is None else sum(map(len, samples)))
        check_counts("videos", self.video_token, count(texts, self.video_token), None if clips is None else len(clips))
        if samples is not None:
            check_counts_per_sample(self.image_token, found, [len(sample) for sample in samples])

    def _expanded(
        self, texts: list[str], with_images: dict[str, Any], with_videos: dict[str, Any]
    ) -> tuple[list[str], list[list[dict]]]:
        native, replacements = self.native(), {}
        if with_images:
            samples = zip(with_images["rows"], with_images["cols"], strict=True)
            grids = [grid for rows, cols in samples for grid in zip(rows, cols, strict=True)]
            replacements["image"] = (self.image_token, media_texts(native, self.image_token, grids))
        if with_videos:
            warn_about_rate(with_videos["video_metadata"])
            plans = [metadata.plan() for metadata in with_videos["video_metadata"]]
            replacements["video"] = (self.video_token, media_texts(native, self.video_token, plans))
        return replaced(texts, replacements)

    def _tokenized(self, texts: list[str], kwargs: dict[str, Any]) -> dict[str, Any]:
        kwargs = {name: value for name, value in kwargs.items() if name != "return_tensors"}
        data = dict(self.tokenizer(texts, **kwargs))
        check_not_truncated(texts, self.image_token, data["input_ids"], self.image_token_id)
        return data

    def apply_chat_template(
        self,
        conversation: Any,
        chat_template: str | None = None,
        tools: list[Any] | None = None,
        documents: list[dict[str, str]] | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool | str = False,
        return_assistant_tokens_mask: bool = False,
        tokenize: bool = False,
        return_tensors: str | None = "np",
        return_dict: bool = False,
        load_audio_from_video: bool = False,
        processor_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Renders a conversation, or a list of them, with the chat template.

        Contents of messages are lists of items of type `text`, `image` (with `image`, `url`, `path` or `base64`) and
        `video`, or texts. `add_generation_prompt` appends the start of an answer; `continue_final_message` leaves the
        last message open. `chat_template` is another template or the name of one. Names in `kwargs` that the template
        uses are variables for it; others are arguments of a call, as is `processor_kwargs`.

        Returns the text, or a list of texts for a list. With `tokenize`, returns the token ids or, with `return_dict`,
        the inputs of a call with all images and videos of the conversations. Video files are then sampled unless
        `do_sample_frames` is false.

        Raises `ValueError`, `TypeError` and `OSError` that say what is wrong with the conversation or its media.
        """
        if return_assistant_tokens_mask:
            raise ValueError("return_assistant_tokens_mask is not supported")
        if continue_final_message and add_generation_prompt:
            raise ValueError("continue_final_message and add_generation_prompt exclude each other")
        if continue_final_message not in (True, False, "content"):
            raise ValueError(f"continue_final_message can only continue the content, not {continue_final_message!r}")
        template = self._template(chat_template)
        variables = {"tools": tools, "documents": documents}
        variables = {name: value for name, value in variables.items() if value is not None}
        arguments = dict(processor_kwargs or {})
        for name, value in kwargs.items():
            is_variable = name not in NAMES and re.search(rf"\b{re.escape(name)}\b", template or "")
            (variables if is_variable else arguments)[name] = value
        conversations = [messages_of(item) for item in (conversation if is_batch(conversation) else [conversation])]
        rendered = [
            self._rendered(
                messages, chat_template and template, variables, add_generation_prompt, continue_final_message
            )
            for messages in conversations
        ]
        if not tokenize:
            return rendered if is_batch(conversation) else rendered[0]
        arguments.setdefault("return_tensors", return_tensors)
        out = self._call_with_media(conversations, rendered, arguments)
        return out if return_dict else out["input_ids"]

    def _template(self, chat_template: str | None) -> str | None:
        """The template of a name or text, by default that of the processor; `None` if it has none."""
        named = self.chat_template if isinstance(self.chat_template, dict) else {}
        if chat_template is not None:
            return named.get(chat_template, chat_template)
        if not isinstance(self.chat_template, dict):
            return self.chat_template
        if "default" not in named:
            raise ValueError(f"pass chat_template to choose one of the templates {', '.join(named)}; none is `default`")
        return named["default"]

    def _rendered(
        self,
        messages: list[dict[str, Any]],
        template: str | None,
        variables: dict[str, Any],
        add_generation_prompt: bool,
        continue_final: bool | str,
    ) -> str:
        given = {} if template is None else {"template": template}
        if variables:
            given["variables"] = json.dumps(variables)
        conversation = without_media(messages)
        return self.native().render(conversation, add_generation_prompt, bool(continue_final), **given)

    def _call_with_media(
        self, conversations: list[list[dict[str, Any]]], texts: list[str], arguments: dict[str, Any]
    ) -> BatchFeature:
        found: dict[str, list[list[Any]]] = {"image": [], "video": []}
        for messages in conversations:
            for sources in found.values():
                sources.append([])
            for _, _, kind, item in media_items(messages):
                source = source_of(item, kind)
                if source is not None:
                    found[kind][-1].append(source)
        # Also images for a template that places them by other means than items.
        images = arguments.pop("images", found["image"] if any(found["image"]) else None)
        videos = [video for sources in found["video"] for video in sources]
        samplable = [video for video in videos if is_file(video)] or arguments.get("video_metadata")
        if videos and samplable and "do_sample_frames" not in arguments:
            # As in transformers, which does so if these settings exist.
            names = ("num_frames", "fps")
            settings = [arguments.get(name, getattr(self.video_processor, name)) for name in names]
            arguments["do_sample_frames"] = any(value is not None for value in settings)
        bos = self.tokenizer.bos_token
        if bos is not None and texts[0].startswith(bos):
            arguments.setdefault("add_special_tokens", False)
        return self(text=texts, images=images, videos=[videos] if videos else None, **arguments)

    def native(self) -> _native.Processor:
        """The compiled processor with the current settings."""
        template = self.chat_template
        template = template.get("default") if isinstance(template, dict) else template
        key = (self.tokenizer.native, self.image_seq_len, template)
        if self._native is None or self._native[0] != key:
            config = json.dumps({"image_seq_len": self.image_seq_len, "image_processor": {}, "video_processor": {}})
            self._native = (
                key,
                _native.Processor.from_parts(config, self.tokenizer.native, template, reference_video_text=True),
            )
        return self._native[1]

    def create_mm_token_type_ids(self, input_ids: Any) -> list[list[int]]:
        """For each token, 1 if it is an image token and otherwise 0."""
        return [[int(id == self.image_token_id) for id in row] for row in input_ids]

    def decode(self, *args: Any, **kwargs: Any) -> Any:
        """As `SmolVLMTokenizer.decode`."""
        return self.tokenizer.decode(*args, **kwargs)

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[str]:
        """As `SmolVLMTokenizer.batch_decode`."""
        return self.tokenizer.batch_decode(*args, **kwargs)

    def post_process_image_text_to_text(
        self, generated_outputs: Any, skip_special_tokens: bool = True, **kwargs: Any
    ) -> Any:
        """The texts of generated token ids."""
        return self.tokenizer.decode(generated_outputs, skip_special_tokens=skip_special_tokens, **kwargs)


def _texts(text: Any) -> list[str]:
    texts = [text] if isinstance(text, str) else text
    if not isinstance(texts, (list, tuple)) or not all(isinstance(item, str) for item in texts):
        raise ValueError("`text` must be a string or list of strings.")
    return list(texts)


def _image_tiles(features: dict[str, Any]) -> list[np.ndarray]:
    """Tiles of each image."""
    tiles = []
    for pixels, rows, cols in zip(features["pixel_values"], features["rows"], features["cols"], strict=True):
        start = 0
        for count_of in (max(r * c + 1, 1) for r, c in zip(rows, cols, strict=True)):
            tiles.append(pixels[start : start + count_of])
            start += count_of
    return tiles


def _video_tiles(features: dict[str, Any]) -> list[np.ndarray]:
    """Tiles of each video."""
    videos = zip(features["pixel_values"], features["video_metadata"], strict=True)
    return [pixels[: len(metadata.frames_indices)] for pixels, metadata in videos]
