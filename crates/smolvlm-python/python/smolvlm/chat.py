"""Conversations of several turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._conversation import messages_of
from .generation import Generation

if TYPE_CHECKING:
    from .model import SmolVLM


class Chat:
    """A conversation of several turns. Later turns cost only their own tokens while the model keeps the earlier ones.

    Control tokens in messages and answers, such as `<image>`, are plain text.

    >>> import smolvlm
    >>> chat = smolvlm.SmolVLM.from_pretrained("demo").chat()
    >>> answer = chat.send("Hello!", max_new_tokens=4)
    >>> [message["role"] for message in chat.history]
    ['user', 'assistant']
    """

    def __init__(self, model: SmolVLM, history: Any = ()) -> None:
        self._model = model
        self.history: list[dict[str, Any]] = messages_of(history) if history else []
        """All messages so far, answers included."""

    def send(self, message: Any, **params: Any) -> Generation:
        """Answers a message, a text or a dictionary, and adds both to the history, which an error leaves unchanged."""
        if params.get("num_return_sequences", 1) != 1:
            raise TypeError("a chat has one answer to each message: omit num_return_sequences")
        messages = self.history + messages_of(message)
        answer = self._model.generate(messages, sanitize_control_tokens=True, **params)
        self._add(messages, answer)
        return answer

    def stream(self, message: Any, **params: Any) -> Iterator[str]:
        """As `send`, as pieces of text. The history changes at the end."""
        messages = self.history + messages_of(message)
        stream = self._model.stream(messages, sanitize_control_tokens=True, **params)
        yield from stream
        self._add(messages, stream.result)

    def rewind(self, length: int) -> None:
        """Keeps only the first `length` messages."""
        del self.history[length:]

    def _add(self, messages: list[dict[str, Any]], answer: Generation) -> None:
        reply = {"role": "assistant", "content": [{"type": "text", "text": answer.text}]}
        self.history = [*messages, reply]
