"""The requests of the soak test: valid ones, and invalid ones with the errors that they must have."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from soak_pictures import data_url, png

CORPUS = Path(__file__).parent.parent / "corpus"
CHAT = "/v1/chat/completions"
# Width and height.
SIZES = [(1, 1), (1, 64), (64, 1), (3, 2), (17, 33), (64, 64), (200, 100), (512, 512), (640, 480), (1000, 30)]


@dataclass(frozen=True)
class Request:
    """A valid request with greedy decoding."""

    kind: str
    path: str
    fields: dict

    def body(self, stream: bool) -> bytes:
        more: dict = {"stream": stream} if self.can_stream else {}
        if stream and not self.path.startswith("/api/"):
            more["stream_options"] = {"include_usage": True}
        return json.dumps(self.fields | more).encode()

    @property
    def can_stream(self) -> bool:
        return self.path in (CHAT, "/v1/completions", "/api/chat", "/api/generate")


@dataclass(frozen=True)
class BadRequest:
    """An invalid request, and its status and words of its answer."""

    kind: str
    status: int
    words: str
    path: str = CHAT
    body: bytes = b""
    method: str = "POST"
    headers: dict = field(default_factory=dict)


def _image(url: str, detail: str = "high") -> dict:
    return {"type": "image_url", "image_url": {"url": url, "detail": detail}}


def _user(*content: dict | str) -> dict:
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    return {"messages": [{"role": "user", "content": parts}], "temperature": 0}


def valid(is_large_model: bool) -> list[Request]:
    """Requests for a small model, or fewer and cheaper ones for a large one."""
    detail, tokens = ("low", 6) if is_large_model else ("high", 12)

    def chat(kind: str, *content: dict | str, **more: object) -> Request:
        return Request(kind, CHAT, _user(*content) | {"max_tokens": tokens, "ignore_eos": True} | more)

    def picture(width: int, height: int) -> dict:
        return _image(data_url(png(width, height)), detail)

    jpeg, shapes = (CORPUS / "harbour.jpg").read_bytes(), (CORPUS / "world/shapes.png").read_bytes()
    gif = data_url((CORPUS / "world/clip.gif").read_bytes(), "image/gif")
    video = {"type": "video_url", "video_url": {"url": gif}}
    frames = [data_url(png(64, 48 + 8 * index)) for index in range(3)]
    turns = _user("One two three.")["messages"] + [{"role": "assistant", "content": "Four."}]
    questions = [
        {"type": "yes_no", "question": "Is it red?"},
        {"type": "choice", "question": "What is it?", "options": ["a circle", "a square"]},
        {"type": "number", "question": "How many?", "min": 0, "max": 5},
    ]
    decisions = {"messages": _user(picture(64, 64))["messages"], "questions": questions}
    ollama = {"options": {"temperature": 0, "num_predict": tokens}}
    inline = data_url(shapes).split(",")[1]
    requests = [chat("image", picture(*size), "What is this?") for size in SIZES[:: 2 if is_large_model else 1]]
    requests += [
        chat("jpeg", _image(data_url(jpeg, "image/jpeg"), "low"), "Where is this?"),
        chat("several images", picture(3, 2), "and", picture(64, 64), picture(200, 100), "Which is larger?"),
        chat("video", video, "What happens?", mm_processor_kwargs={"num_frames": 4}),
        chat("frames", {"type": "video", "video": frames}, "What happens?"),
        chat("two answers", picture(64, 64), "What is this?", n=2),
        chat("log-probabilities", "Count to ten.", logprobs=True, top_logprobs=3),
        chat("long prompt", "word " * (100 if is_large_model else 500), max_tokens=4),
        chat("long answer", "Go on.", max_tokens=100),
        Request("turns", CHAT, _user("Five?") | {"messages": turns + _user("Five?")["messages"], "max_tokens": tokens}),
        Request("text", "/v1/completions", {"prompt": "Once upon a time", "max_tokens": tokens, "temperature": 0}),
        Request("ollama", "/api/chat", {"messages": [{"role": "user", "content": "Hi.", "images": [inline]}]} | ollama),
        Request("ollama", "/api/generate", {"prompt": "What is a cat?"} | ollama),
        Request("decisions", "/v1/decisions", decisions),
        Request("tokens", "/tokenize", {"content": "One two three."}),
        Request("tokens", f"{CHAT}/input_tokens", _user(picture(640, 480), "What is this?")),
    ]  # fmt: skip
    return requests


def invalid() -> list[BadRequest]:
    def chat(kind: str, words: str, *content: dict | str, **more: object) -> BadRequest:
        return BadRequest(kind, 400, words, body=json.dumps(_user(*content) | more).encode())

    def image(kind: str, words: str, url: str) -> BadRequest:
        return chat(kind, words, _image(url), "What is this?")

    text = json.dumps(_user("Hi.")).encode()
    question = {"type": "choice", "question": "What?", "options": []}
    decisions = json.dumps(_user("Hi.") | {"questions": [question]}).encode()
    return [
        BadRequest("not JSON", 400, "JSON", body=b"{"),
        BadRequest("not UTF-8", 400, "invalid_request_error", body=b'{"messages": "\xff\xfe"}'),
        BadRequest("nested", 400, "JSON", body=b'{"messages": ' + b"[" * 50_000 + b"}"),
        BadRequest("many values", 400, "values", body=b'{"a": [' + b"0," * 200_000 + b"0]}"),
        chat("range", "temperature", "Hi.", temperature=-1),
        chat("type", "max_tokens", "Hi.", max_tokens="many"),
        chat("tools", "unsupported", "Hi.", tools=[{"type": "function"}]),
        chat("structured output", "uniqueItems", "Hi.", json_schema={"type": "array", "uniqueItems": True}),
        chat("too long", "context_length_exceeded", "word " * 20_000),
        chat("role", "role", messages=[{"role": "nobody", "content": "a"}]),
        chat("no messages", "messages", messages=[]),
        image("base64", "base64", "data:image/png;base64,!!!!"),
        image("truncated", "invalid_media", data_url(png(64, 64)[:60])),
        image("not an image", "invalid_media", data_url(b"<svg/>")),
        image("bomb", "invalid_media", data_url(png(1, 1, (20_000, 20_000)))),
        image("remote", "media_not_allowed", "http://127.0.0.1:1/a.png"),
        image("file", "media_not_allowed", "file:///etc/passwd"),
        chat("many images", "too_many_media", *[_image("data:image/png;base64,AAAA")] * 65),
        chat("not a video", "invalid_media", {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}),
        BadRequest("question", 400, "questions[0].options", "/v1/decisions", decisions),
        BadRequest("ollama", 400, "top_p", "/api/generate", b'{"prompt": "a", "options": {"top_p": 2}}'),
        BadRequest("key", 401, "authentication_error", body=text, headers={"Authorization": "Bearer wrong"}),
        BadRequest("host", 403, "permission_error", body=text, headers={"Host": "attacker.example"}),
        BadRequest("origin", 403, "permission_error", body=text, headers={"Origin": "https://attacker.example"}),
        BadRequest("path", 404, "not_found_error", "/v1/nothing", text),
        BadRequest("model", 404, "not_found_error", "/v1/models/none", method="GET"),
        BadRequest("method", 405, "invalid_request_error", method="GET"),
        BadRequest("too large", 413, "invalid_request_error", body=b" " * ((32 << 20) + 1)),
    ]  # fmt: skip
