"""Asks a running server through the Python packages openai and ollama: clients.py URL IMAGE."""

import base64
import sys
from pathlib import Path

import ollama
import openai


def check_openai(url: str, image: bytes) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="secret", max_retries=0)
    model = client.models.list().data[0].id
    assert client.models.retrieve(model).id == model
    data_url = "data:image/png;base64," + base64.b64encode(image).decode()
    content = [
        {"type": "image_url", "image_url": {"url": data_url, "detail": "high"}},
        {"type": "text", "text": "Describe this picture."},
    ]
    request = {"model": model, "messages": [{"role": "user", "content": content}], "max_completion_tokens": 40}
    whole = client.chat.completions.create(**request, temperature=0, logprobs=True, top_logprobs=2)
    text = whole.choices[0].message.content
    assert text and whole.choices[0].finish_reason in ("stop", "length")
    assert "".join(token.token for token in whole.choices[0].logprobs.content) == text
    usage = whole.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens

    stream = client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text
    # The second time, more of the prompt is known.
    last = chunks[-1].usage
    assert (last.prompt_tokens, last.completion_tokens) == (usage.prompt_tokens, usage.completion_tokens)
    assert len({chunk.id for chunk in chunks}) == 1

    # Leaving a stream early must not block the next request.
    with client.chat.completions.create(**request, stream=True) as stream:
        next(iter(stream))
    several = client.chat.completions.create(**request, n=2, seed=3, temperature=2)
    assert [choice.index for choice in several.choices] == [0, 1]
    stopped = client.chat.completions.create(**request, stop=[text.split()[1]])
    assert stopped.choices[0].message.content == text.split(text.split()[1])[0]
    completion = client.completions.create(model=model, prompt=["Hello", "One two"], max_tokens=4, echo=True)
    assert completion.object == "text_completion" and completion.usage.completion_tokens <= 8
    assert [choice.text[:3] for choice in completion.choices] == ["Hel", "One"]
    penalized = client.chat.completions.create(**request, frequency_penalty=2, presence_penalty=-0.5)
    assert penalized.choices[0].message.content
    parts = client.chat.completions.create(**request, stream=True, logprobs=True, top_logprobs=1)
    parts = [part.choices[0] for part in parts if part.choices and part.choices[0].logprobs]
    assert "".join(token.token for part in parts for token in part.logprobs.content) == text and len(parts) > 2

    for error, more in [
        (openai.BadRequestError, {"temperature": -1}),
        (openai.BadRequestError, {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        (openai.BadRequestError, {"messages": [{"role": "user", "content": "word " * 20_000}]}),
    ]:
        try:
            client.chat.completions.create(**(request | more))
        except error as found:
            assert found.param and found.type, found
        else:
            raise AssertionError(more)
    try:
        openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0).models.list()
    except openai.AuthenticationError:
        pass
    else:
        raise AssertionError("a wrong key was accepted")


def check_ollama(url: str, image: bytes) -> None:
    client = ollama.Client(url, headers={"Authorization": "Bearer secret"})
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
    try:
        client.chat(model, [message], options={"temperature": -1})
    except ollama.ResponseError as found:
        assert "temperature" in found.error and found.status_code == 400, found
    else:
        raise AssertionError("a negative temperature was accepted")


if __name__ == "__main__":
    address, path = sys.argv[1:]
    check_openai(address, Path(path).read_bytes())
    check_ollama(address, Path(path).read_bytes())
    print("openai and ollama: ok")
