"""The Python package langchain-openai."""

import asyncio

import openai
from common import message, raises
from langchain_core.exceptions import ContextOverflowError
from langchain_openai import ChatOpenAI


def check(url: str, key: str, image: bytes) -> None:
    settings = {"base_url": f"{url}/v1", "model": "any", "max_retries": 0, "temperature": 0, "max_tokens": 24}
    chat = ChatOpenAI(**settings, api_key=key)
    question = [message(image)]
    whole = chat.invoke(question)
    assert whole.content and whole.response_metadata["finish_reason"] in ("stop", "length")
    used = whole.usage_metadata
    assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"]

    parts = list(chat.stream(question, stream_usage=True))
    assert len(parts) > 2 and "".join(part.content for part in parts) == whole.content
    assert sum(part.usage_metadata["output_tokens"] for part in parts if part.usage_metadata) == used["output_tokens"]
    assert [answer.content for answer in chat.batch([question] * 3)] == [whole.content] * 3
    asked = chat.bind(logprobs=True).invoke(question)
    assert "".join(token["token"] for token in asked.response_metadata["logprobs"]["content"]) == whole.content

    async def concurrent() -> list[str]:
        answers = await asyncio.gather(*(chat.ainvoke(question) for _ in range(3)))
        streamed = [part.content async for part in chat.astream(question)]
        return [answer.content for answer in answers] + ["".join(streamed)]

    assert asyncio.run(concurrent()) == [whole.content] * 4

    # Structured output is supported, except by calls of functions.
    color = {"enum": ["red", "green", "blue"]}
    schema = {"title": "Scene", "type": "object", "properties": {"color": color}}
    schema |= {"required": ["color"], "additionalProperties": False}
    assert chat.with_structured_output(schema, method="json_schema").invoke(question)["color"] in color["enum"]
    with raises(openai.BadRequestError, "support", "(parameter: tools)"):
        chat.with_structured_output(schema, method="function_calling").invoke(question)
    with raises(ContextOverflowError):
        chat.invoke("word " * 20_000)
    with raises(openai.AuthenticationError):
        ChatOpenAI(**settings, api_key=f"{key}1").invoke(question)
