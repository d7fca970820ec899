"""A pipeline with the calls and results of transformers'."""

from __future__ import annotations

from typing import Any

from ._conversation import is_batch
from .auto import AutoProcessor
from .model import DEFAULT_MODEL
from .modeling import SmolVLMForConditionalGeneration

TASK = "image-text-to-text"


class ImageTextToTextPipeline:
    """Answers conversations, as transformers' pipeline of this name does.

    >>> import smolvlm
    >>> ask = smolvlm.pipeline("image-text-to-text", model="demo")
    >>> [record] = ask(text=[{"role": "user", "content": "Hello!"}], max_new_tokens=4)
    >>> record["generated_text"][-1]["role"]
    'assistant'
    """

    def __init__(self, model: SmolVLMForConditionalGeneration, processor: Any) -> None:
        self.model = model
        self.processor = processor

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        *,
        return_full_text: bool = True,
        continue_final_message: bool | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        generate_kwargs: dict[str, Any] | None = None,
        **params: Any,
    ) -> Any:
        """Generates texts.

        Args:
            images: Pictures for `text`, or conversations.
            text: A conversation, a list of them, or texts with an `<image>` for each picture.
            return_full_text: Whether results repeat the conversation or text before what was generated.
            continue_final_message: Whether the last message is continued; by default if it is the assistant's.
            processor_kwargs: Arguments of the processor.
            generate_kwargs: Arguments of `generate`, as `params`.

        Returns:
            A list of `{"input_text": .., "generated_text": ..}`; a list of such lists for several conversations.
        """
        params = {**(generate_kwargs or {}), **params}
        if _is_chat(images) and text is None:
            images, text = None, images
        if text is None:
            raise ValueError("pass a conversation or a text as `text`")
        if _is_chat(text):
            if images is not None:
                raise ValueError(
                    "pictures of a conversation belong into the content of its messages, not into `images`"
                )
            many = is_batch(text)
            records = [
                self._chat(chat, continue_final_message, return_full_text, processor_kwargs or {}, params)
                for chat in (text if many else [text])
            ]
            return records if many else records[0]
        inputs = self.processor(images=images, text=text, padding=True, return_tensors="np", **(processor_kwargs or {}))
        texts = [text] if isinstance(text, str) else list(text)
        return [
            {"input_text": prompt, "generated_text": prompt + new if return_full_text else new}
            for prompt, new in self._generated(texts, inputs, params)
        ]

    def _chat(
        self,
        chat: list[dict[str, Any]],
        continues: bool | None,
        full: bool,
        processor_kwargs: dict[str, Any],
        params: dict[str, Any],
    ) -> list[dict[str, Any]]:
        continues = chat[-1]["role"] == "assistant" if continues is None else continues
        inputs = self.processor.apply_chat_template(
            chat,
            tokenize=True,
            return_dict=True,
            return_tensors="np",
            add_generation_prompt=not continues,
            continue_final_message=continues,
            processor_kwargs=processor_kwargs,
        )
        records = []
        for _, new in self._generated([chat], inputs, params):
            result: Any = new
            if full:
                result = [*chat[:-1], _continued(chat[-1], new)] if continues else [*chat, _reply(new)]
            records.append({"input_text": chat, "generated_text": result})
        return records

    def _generated(self, prompts: list[Any], inputs: Any, params: dict[str, Any]) -> list[tuple[Any, str]]:
        """Each prompt with each of its generated texts."""
        length = inputs["input_ids"].shape[1]
        ids = self.model.generate(**inputs, **params)[:, length:]
        texts = self.processor.batch_decode(ids, skip_special_tokens=True)
        count = len(texts) // len(prompts)
        return [(prompts[index // count], text) for index, text in enumerate(texts)]


def _is_chat(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], (list, tuple, dict))


def _reply(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def _continued(message: dict[str, Any], text: str) -> dict[str, Any]:
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": content + text}
    return {**message, "content": [*content[:-1], {**content[-1], "text": content[-1]["text"] + text}]}


def pipeline(
    task: str = TASK,
    model: Any = DEFAULT_MODEL,
    *,
    processor: Any = None,
    device: Any = None,
    device_map: Any = None,
    dtype: Any = None,
    torch_dtype: Any = None,
    **options: Any,
) -> ImageTextToTextPipeline:
    """A pipeline for `image-text-to-text`. `options` are those of `SmolVLM.from_pretrained`."""
    if task != TASK:
        raise ValueError(f"the task {task!r} is not available; this package has {TASK!r}")
    if not isinstance(model, SmolVLMForConditionalGeneration):
        place = device_map if device is None else device
        place = f"cuda:{place}" if isinstance(place, int) and place >= 0 else "cpu" if place == -1 else place
        name = model
        options = {**options, "dtype": torch_dtype if dtype is None else dtype, "device_map": place}
        model = SmolVLMForConditionalGeneration.from_pretrained(name, **options)
        if processor is None:
            revision = options.get("revision")
            processor = AutoProcessor.from_pretrained(name, **({"revision": revision} if revision else {}))
    if processor is None:
        raise ValueError("a loaded model needs its processor: pass `processor`")
    if not callable(processor):
        processor = AutoProcessor.from_pretrained(processor)
    return ImageTextToTextPipeline(model, processor)
