"""The model."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _native
from ._conversation import to_native
from ._parameters import device_name, dtype_name, dumps, sampling_json, unknown
from ._progress import Downloads, bar, reporter
from .chat import Chat
from .generation import Decision, Generation
from .streaming import Stream

DEFAULT_MODEL = "HuggingFaceTB/SmolVLM2-256M-Video-Instruct"

# Conversations of one call of the compiled part: bounds the memory of their pictures.
_SLICE = 64

# Keyword arguments of a request that are about its media, and their names in the compiled part.
_MEDIA = ("image_splitting", "longest_edge", "video_fps", "video_frames")


class SmolVLM:
    """A SmolVLM model. Many threads may share it: their requests run together.

    >>> import smolvlm
    >>> model = smolvlm.SmolVLM.from_pretrained("demo")
    >>> answer = model.generate("Hello!", max_new_tokens=4)
    >>> answer.finish_reason in ("eos", "length")
    True
    """

    def __init__(self, native: _native.Model, source: str, options: str) -> None:
        self._native = native
        self.source = source
        """What it was loaded from."""
        self._options = options
        self._known = frozenset(native.defaults())
        self._video_config = native.video_config()

    @classmethod
    def from_pretrained(
        cls,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        *,
        revision: str | None = None,
        mmproj: str | os.PathLike[str] | None = None,
        dtype: Any = "auto",
        device: Any = "auto",
        threads: int | None = None,
        adapters: Sequence[str | os.PathLike[str]] = (),
        image_splitting: bool | None = None,
        resize: str | None = None,
        video_fps: float | None = None,
        video_frames: int | None = None,
        truncate: bool = False,
        sanitize_control_tokens: bool = False,
        feature_cache: str | os.PathLike[str] | None = None,
        feature_cache_bytes: int | None = None,
        max_image_pixels: int | None = None,
        vision_batch: int | None = None,
        progress: bool | Callable[[str, int, int], None] = True,
        cancel: _native.Cancel | None = None,
    ) -> SmolVLM:
        """Loads a model.

        Args:
            model: A checkpoint's folder, a repository `owner/name` of the Hugging Face Hub, `demo` (a small model that
                is part of this package), or `random:tiny`, `random:256m`, `random:500m`, `random:2.2b` (random
                weights, for measurements). Also GGUF: a folder with a text model and its mmproj file, a text model
                alone (no images), or a repository such as `owner/name-GGUF:Q8_0`.
            revision: Branch, tag or commit of the repository.
            mmproj: Vision encoder and connector in GGUF, for a text model in GGUF.
            dtype: `auto`, `float32`, `bfloat16`, `float16`, `q8` or `q4`; also one of torch's or numpy's.
            device: `auto`, `cpu`, or, in builds with GPU backends, `cuda`, `wgpu`, `vulkan`, `metal`, optionally
                numbered as in `cuda:1`.
            threads: Threads on a CPU; one per physical core unless given.
            adapters: LoRA adapters to merge into the weights, each a folder or `FOLDER=WEIGHT`.
            image_splitting: Whether images are split into tiles.
            resize: `faithful` (as the reference), `no-upscale`, `max-tiles=N` or `global-only`.
            video_fps: Frames per second to sample from videos.
            video_frames: Maximum number of frames to sample from a video.
            truncate: Drop the oldest turns of a conversation that is too long, instead of an error.
            sanitize_control_tokens: Treat control tokens in texts, such as `<image>`, as plain text.
            feature_cache: A folder that keeps features of images between processes.
            feature_cache_bytes: The size of that folder, 1 GiB unless given.
            max_image_pixels: Maximum width times height of an image.
            vision_batch: Tiles per batch of the vision encoder.
            progress: Show a bar while files are downloaded (with tqdm, if installed), or a function that gets the
                file's name, the bytes done and in total.
            cancel: A token that stops loading.

        Raises:
            ConfigError, WeightsError, DeviceError, FileError: What is wrong and what to do.
        """
        source = os.fspath(model)
        if revision not in (None, "main"):
            source = f"{source}@{revision}"
        if isinstance(adapters, (str, os.PathLike)):
            adapters = [adapters]
        options = {
            "mmproj": None if mmproj is None else os.fspath(mmproj),
            "dtype": dtype_name(dtype),
            "device": device_name(device),
            "threads": threads,
            "adapters": [os.fspath(adapter) for adapter in adapters],
            "image_splitting": image_splitting,
            "resize": resize,
            "video_fps": video_fps,
            "video_frames": video_frames,
            "truncate": truncate,
            "sanitize_control_tokens": sanitize_control_tokens,
            "feature_cache": None if feature_cache is None else os.fspath(feature_cache),
            "feature_cache_bytes": feature_cache_bytes,
            "max_image_pixels": max_image_pixels,
            "vision_batch": vision_batch,
        }
        encoded = dumps(options)
        report = reporter(progress)
        try:
            native = _native.Model.load(source, encoded, report, cancel)
        finally:
            if isinstance(report, Downloads):
                report.close()
        return cls(native, source, encoded)

    def generate(
        self,
        conversation: Any,
        *,
        continue_final_message: bool = False,
        sanitize_control_tokens: bool = False,
        cancel: _native.Cancel | None = None,
        **params: Any,
    ) -> Any:
        """Answers a conversation.

        Args:
            conversation: A list of messages `{"role": .., "content": [..]}`, one message, or a text of the user. An
                image is a path, a URL, bytes, a picture of PIL, or an array or tensor of uint8; a video a path, a URL,
                bytes, or a list of frames.
            continue_final_message: Continue the text of the last message instead of answering it.
            sanitize_control_tokens: Treat control tokens in texts, such as `<image>`, as plain text.
            cancel: A token that ends generation; the answer so far is returned.
            params: Sampling parameters, named as in transformers' `GenerationConfig` (`max_new_tokens`, `do_sample`,
                `temperature`, `top_p`, `seed`, `stop_strings`, `num_beams`, ...), `loop_guard=True` to end endless
                repetition, `logprobs=N`; and preprocessing of this request's media: `image_splitting`,
                `longest_edge`, `video_fps`, `video_frames`. One of these says what the text must match:
                `json_schema` (a dict, JSON, or a model of pydantic), `regex`, `lark` (a grammar), `choices`.

        Returns:
            The answer, a `Generation`; a list of them, the best one first, with `num_return_sequences` above 1.

        Raises:
            InputError, LimitError: A conversation, medium or parameter that cannot be used.
        """
        media, sampling = self._split(params)
        answers = self._native.generate(
            [self._prompt(conversation, media)],
            sampling,
            continue_final=continue_final_message,
            sanitize=sanitize_control_tokens,
            cancel=cancel,
        )
        return _result(answers[0])

    def complete(self, prompt: str | Sequence[int], *, cancel: _native.Cancel | None = None, **params: Any) -> Any:
        """Continues a text, or token ids, without the chat template. Arguments and result as for `generate`."""
        media, sampling = self._split(params)
        if media:
            raise TypeError(f"a text has no media: {', '.join(media)} cannot be set")
        prompt = prompt if isinstance(prompt, str) else [int(token) for token in prompt]
        return _result(self._native.generate([prompt], sampling, cancel=cancel)[0])

    def stream(
        self,
        conversation: Any,
        *,
        continue_final_message: bool = False,
        sanitize_control_tokens: bool = False,
        **params: Any,
    ) -> Stream:
        """Answers a conversation as a stream of text. Arguments as for `generate`."""
        media, sampling = self._split(params)
        prompt = self._prompt(conversation, media)
        return Stream(self._native.stream(prompt, sampling, continue_final_message, sanitize_control_tokens))

    def batch(
        self,
        conversations: Sequence[Any],
        *,
        return_exceptions: bool = False,
        progress: bool = False,
        continue_final_message: bool = False,
        sanitize_control_tokens: bool = False,
        cancel: _native.Cancel | None = None,
        **params: Any,
    ) -> list[Any]:
        """Answers conversations together: several times as fast as one after the other, with the same answers.

        Args:
            conversations: As for `generate`.
            return_exceptions: Put the exception of a conversation into the list, instead of raising the first one.
            progress: Show a bar (with tqdm, if installed).
            continue_final_message, sanitize_control_tokens: As for `generate`.
            cancel: A token that ends the work.
            params: As for `generate`.

        Returns:
            An answer for each conversation.
        """
        if isinstance(conversations, (str, dict)) or any(isinstance(entry, dict) for entry in conversations[:1]):
            raise TypeError("batch takes a list of conversations: put a single one into a list, or call generate")
        rendering = {"continue_final": continue_final_message, "sanitize": sanitize_control_tokens}
        results: list[Any] = []
        shown = bar(len(conversations), "row") if progress else None
        media, sampling = self._split(params)
        for start in range(0, len(conversations), _SLICE):
            for answer in self._answers(
                conversations[start : start + _SLICE], media, sampling, return_exceptions, cancel, rendering
            ):
                results.append(answer)
            if shown is not None:
                shown.update(len(results) - shown.n)
        if shown is not None:
            shown.close()
        return results

    def decide(
        self,
        conversation: Any,
        questions: Any,
        *,
        calibration: dict[str, float] | None = None,
        cancel: _native.Cancel | None = None,
    ) -> list[Decision]:
        """Answers questions with known options by the probabilities of the options.

        Args:
            conversation: As for `generate`, usually a message with an image. It is read once for all questions.
            questions: Questions made by `yes_no`, `choice` and `number`; a text is a question for yes or no.
            calibration: Temperatures `yes_no`, `choice` and `number`, by which log-probabilities are divided.
            cancel: A token that ends the work with the exception `Cancelled`.

        >>> import numpy, smolvlm
        >>> model = smolvlm.SmolVLM.from_pretrained("demo")
        >>> picture = {"role": "user", "content": [{"type": "image", "image": numpy.zeros((64, 64, 3), "uint8")}]}
        >>> [decision] = model.decide(picture, [smolvlm.choice("Which color is it?", ["red", "black"])])
        >>> decision.answer in ("red", "black")
        True
        """
        if isinstance(questions, (str, dict)):
            questions = [questions]
        questions = [{"type": "yes_no", "question": q} if isinstance(q, str) else q for q in questions]
        encoded = None if calibration is None else dumps(calibration)
        prompt = self._prompt(conversation, {})
        answer = self._native.decide(prompt, dumps(questions), encoded, cancel)
        return [Decision.from_native(decision) for decision in answer["decisions"]]

    def embed(self, conversations: Any, *, pooling: str = "mean") -> npt.NDArray[np.float32]:
        """Embeddings of conversations, `[conversations, hidden]`: the mean of the last layer, or its `last` state."""
        if pooling not in ("mean", "last"):
            raise ValueError(f"pooling is {pooling!r}, but must be 'mean' or 'last'")
        states = self.hidden_states(conversations)
        return np.stack(
            [rows.mean(axis=0, dtype=np.float64) if pooling == "mean" else rows[-1] for _, rows in states]
        ).astype(np.float32)

    def hidden_states(self, conversations: Any) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """The last layer's states after the final norm: token ids `[tokens]` and states `[tokens, hidden]` of each."""
        if isinstance(conversations, (str, dict)) or (conversations and isinstance(conversations[0], dict)):
            conversations = [conversations]
        return self._native.hidden_states([self._prompt(conversation, {}) for conversation in conversations])

    def estimate(self, conversation: Any, *, max_new_tokens: int = 256) -> dict[str, Any]:
        """Tokens, tiles and bytes of memory that a conversation needs, from the headers of its media."""
        return _native.estimate(self.source, self._options, self._prompt(conversation, {}), max_new_tokens)

    def chat(self, history: Any = ()) -> Chat:
        """Starts a conversation of several turns."""
        return Chat(self, history)

    @property
    def device(self) -> str:
        """The device in use."""
        return self._native.device

    @property
    def dtype(self) -> str:
        """The format of the weights in memory."""
        return self._native.dtype

    @property
    def config(self) -> dict[str, Any]:
        """The checkpoint's `config.json`."""
        return json.loads(self._native.config())

    @property
    def generation_defaults(self) -> dict[str, Any]:
        """The checkpoint's own sampling parameters."""
        return self._native.defaults()

    def stats(self) -> dict[str, int]:
        """Counts of the engine's work since loading."""
        return self._native.stats()

    def __repr__(self) -> str:
        return f"SmolVLM({self.source!r}, device={self.device!r}, dtype={self.dtype!r})"

    def __reduce__(self) -> Any:
        raise TypeError(
            "a loaded model cannot be pickled; pass its name to the other process and call "
            "SmolVLM.from_pretrained there"
        )

    def _split(self, params: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Media options, and sampling parameters as JSON."""
        media = {name: params.pop(name) for name in _MEDIA if name in params}
        for name in params:
            if name not in self._known and name.startswith(("image", "video", "longest")):
                raise TypeError(unknown(name, _MEDIA))
        return media, sampling_json(params, self._known)

    def _prompt(self, conversation: Any, media: dict[str, Any]) -> _native.Conversation:
        return to_native(conversation, video_config=self._video_config, **media)

    def _answers(
        self,
        conversations: Sequence[Any],
        media: dict[str, Any],
        sampling: str,
        return_exceptions: bool,
        cancel: _native.Cancel | None,
        rendering: dict[str, bool],
    ) -> Iterator[Any]:
        """Answers, or exceptions of conversations that cannot be read or answered."""
        prompts: list[Any] = []
        failed: dict[int, Exception] = {}
        for index, conversation in enumerate(conversations):
            try:
                prompts.append(self._prompt(conversation, media))
            except Exception as error:
                if not return_exceptions:
                    raise
                failed[index] = error
        answers = iter(
            self._native.generate(prompts, sampling, return_exceptions=return_exceptions, cancel=cancel, **rendering)
        )
        for index in range(len(conversations)):
            if index in failed:
                yield failed[index]
            else:
                answer = next(answers)
                yield answer if isinstance(answer, Exception) else _result(answer)


def _result(answers: list[dict[str, Any]]) -> Any:
    """The answer to a prompt, or the list of its answers if there are several."""
    generations = [Generation.from_native(answer) for answer in answers]
    return generations[0] if len(generations) == 1 else generations
