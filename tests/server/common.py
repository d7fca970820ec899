"""What the checks of several clients share."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager


def message(image: bytes, prompt: str = "Describe this picture.") -> dict:
    """A message of OpenAI's API with a PNG image."""
    data_url = "data:image/png;base64," + base64.b64encode(image).decode()
    picture = {"type": "image_url", "image_url": {"url": data_url, "detail": "high"}}
    return {"role": "user", "content": [picture, {"type": "text", "text": prompt}]}


@contextmanager
def raises(kind: type[Exception], *words: str) -> Iterator[None]:
    """Fails unless the block raises this kind of error with all words in its message, or as its parameter."""
    try:
        yield
    except kind as error:
        text = f"{error} (parameter: {getattr(error, 'param', None)})"
        assert all(word in text for word in words), text
    else:
        raise AssertionError(f"no {kind.__name__}")
