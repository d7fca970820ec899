"""The Python package openai."""

import openai
from common import message, raises


def check(url: str, key: str, image: bytes) -> None:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    model = client.models.list().data[0].id
    assert client.models.retrieve(model).id == model
    request = {"model": model, "messages": [message(image)], "max_completion_tokens": 40}
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

    for param, more in [
        ("temperature", {"temperature": -1}),
        ("tools", {"tools": [{"type": "function", "function": {"name": "f"}}]}),
        ("messages", {"messages": [{"role": "user", "content": "word " * 20_000}]}),
    ]:
        with raises(openai.BadRequestError, f"(parameter: {param})"):
            client.chat.completions.create(**(request | more))
    with raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{url}/v1", api_key=f"{key}1", max_retries=0).models.list()
