"""Streams of text."""

from __future__ import annotations

from typing import Any

from . import _native
from .generation import Generation


class Stream:
    """The text of an answer while it is generated.

    Iterate over it for pieces of text, with `for` or `async for`; between them, other threads and tasks run. The whole
    answer is in `result` afterwards. Generation runs by itself; dropping the stream ends it.

    >>> import smolvlm
    >>> model = smolvlm.SmolVLM.from_pretrained("demo")
    >>> stream = model.stream("Hello!", max_new_tokens=4)
    >>> text = "".join(stream)
    >>> text == stream.result.text
    True
    """

    def __init__(self, native: _native.Stream) -> None:
        self._native = native
        self._result: Generation | None = None
        self._has_text = False

    @property
    def result(self) -> Generation:
        """The whole answer. Raises `RuntimeError` before the end of the stream."""
        if self._result is None:
            raise RuntimeError("the answer is not complete yet: iterate over the stream to its end first")
        return self._result

    def cancel(self) -> None:
        """Ends generation; the stream ends with the text so far."""
        self._native.cancel()

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> str:
        while (event := self._native.next()) is not None:
            if text := self._text(event):
                return text
        raise StopIteration

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> str:
        # Imported here: it takes a third of the time of importing this package.
        import asyncio

        loop, ready = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            # The loop may have ended since.
            if not loop.is_closed():
                loop.call_soon_threadsafe(ready.set)

        while True:
            ready.clear()
            event = self._native.poll(wake)
            if event is None:
                raise StopAsyncIteration
            if isinstance(event, bool):
                await ready.wait()
            elif text := self._text(event):
                return text

    def _text(self, event: tuple[Any, ...]) -> str:
        """The text of an event, without the space that models generate first."""
        if event[0] == "finished":
            self._result = Generation.from_native(event[1])
        if event[0] != "text":
            return ""
        text = event[1] if self._has_text else event[1].lstrip()
        self._has_text |= bool(text)
        return text
