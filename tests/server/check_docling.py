"""The requests of docling's pipelines for pages and pictures, with the options that docs/serving.md names."""

from io import BytesIO

from docling.datamodel.pipeline_options_vlm_model import ApiVlmOptions, ResponseFormat
from docling.utils.api_image_request import api_image_request, api_image_request_streaming
from PIL import Image


def check(url: str, key: str, image: bytes) -> None:
    options = ApiVlmOptions(
        url=f"{url}/v1/chat/completions",
        prompt="Convert this page to docling.",
        response_format=ResponseFormat.DOCTAGS,
        params={"skip_special_tokens": False, "max_tokens": 24},
        headers={"Authorization": f"Bearer {key}"},
        timeout=90,
    )
    shared = {"url": options.url, "timeout": options.timeout}
    page = Image.open(BytesIO(image))
    whole = api_image_request(page, options.prompt, headers=options.headers, **shared, **options.params)
    assert whole.error is None and whole.text, whole
    assert whole.usage["total_tokens"] == whole.num_tokens > 24
    streamed = api_image_request_streaming(
        page.convert("RGBA"), options.prompt, headers=options.headers, **shared, **options.params,
        stream_options={"include_usage": True}, logprobs=True,
    )  # fmt: skip
    assert streamed.error is None and streamed.text.strip() == whole.text, (streamed, whole)
    assert streamed.num_tokens == whole.num_tokens and streamed.stop_reason == whole.stop_reason
    assert "".join(token.token for token in streamed.logprobs.content) == streamed.text

    # Some checkpoints end descriptions of pictures after one word.
    question = {"prompt": "What colour is the star?", "headers": options.headers, **shared}
    short, longer = (api_image_request(page, **question, min_tokens=tokens) for tokens in (0, 12))
    assert short.usage["completion_tokens"] < 12 <= longer.usage["completion_tokens"], (short, longer)

    refused = api_image_request(page, "a", headers=options.headers, **shared, temperature=-1)
    assert refused.error.startswith("HTTP 400") and "temperature" in refused.error, refused
    refused = api_image_request_streaming(page, "a", **shared)
    assert refused.error.startswith("HTTP 401"), refused
