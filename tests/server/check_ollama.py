"""The Python package ollama."""

import ollama
from common import raises


def check(url: str, key: str, image: bytes) -> None:
    client = ollama.Client(url, headers={"Authorization": f"Bearer {key}"})
    model = client.list().models[0].model
    assert "vision" in client.show(model).capabilities
    assert client.ps().models[0].model == model
    options = {"num_predict": 30, "temperature": 0}
    message = {"role": "user", "content": "Describe this picture.", "images": [image]}
    whole = client.chat(model, [message], options=options)
    text = whole.message.content
    assert text and whole.done and whole.eval_count > 0
    parts = list(client.chat(model, [message], options=options, stream=True))
    assert "".join(part.message.content for part in parts) == text and parts[-1].done
    generated = client.generate(model, "Describe this picture.", images=[image], options=options)
    assert generated.response == text
    streamed = client.generate(model, "Describe this picture.", images=[image], options=options, stream=True)
    assert "".join(part.response for part in streamed) == text
    with raises(ollama.ResponseError, "temperature", "400"):
        client.chat(model, [message], options={"temperature": -1})
