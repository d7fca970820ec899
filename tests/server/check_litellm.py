"""The Python package litellm, through its providers for servers of OpenAI's, vLLM's and Ollama's API."""

import asyncio
import os

# Otherwise importing it downloads a table of prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402
from common import message, raises  # noqa: E402

litellm.suppress_debug_info = True


def check(url: str, key: str, image: bytes) -> None:
    shared = {"messages": [message(image)], "max_tokens": 24, "temperature": 0, "api_key": key, "num_retries": 0}
    texts = set()
    for provider, base in [("openai", f"{url}/v1"), ("hosted_vllm", f"{url}/v1"), ("ollama_chat", url)]:
        request = shared | {"model": f"{provider}/any", "api_base": base}
        whole = litellm.completion(**request)
        text = whole.choices[0].message.content
        assert text and whole.choices[0].finish_reason in ("stop", "length"), whole
        assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
        parts = list(litellm.completion(**request, stream=True))
        assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == text, parts
        assert asyncio.run(answers(request)) == [text] * 3
        texts.add(text)
    assert len(texts) == 1, texts

    request = shared | {"model": "openai/any", "api_base": f"{url}/v1"}
    continued = litellm.text_completion(
        model=request["model"], api_base=request["api_base"], api_key=key, prompt="One two", max_tokens=4
    )
    assert continued.choices[0].text
    with raises(litellm.BadRequestError, "temperature"):
        litellm.completion(**(request | {"temperature": -1}))
    with raises(litellm.ContextWindowExceededError):
        litellm.completion(**(request | {"messages": [{"role": "user", "content": "word " * 20_000}]}))
    with raises(litellm.AuthenticationError):
        litellm.completion(**(request | {"api_key": f"{key}1"}))


async def answers(request: dict) -> list[str]:
    whole = await asyncio.gather(*(litellm.acompletion(**request) for _ in range(2)))
    parts = [part async for part in await litellm.acompletion(**request, stream=True)]
    streamed = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    return [answer.choices[0].message.content for answer in whole] + [streamed]
