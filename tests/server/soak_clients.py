"""Clients of the soak test: some wait for their answers, others leave early or never send a whole request."""

import json
import random
import socket
import struct
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

from soak_requests import BadRequest, Request

# Longer than any answer takes.
TIMEOUT = 300


class Busy(Exception):
    """The server rejected a request because of its load."""


class Wrong(Exception):
    """The server's answer is not the expected one."""


class Client:
    """A client with a connection of its own, which is kept from request to request."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self.address = (parts.hostname, parts.port)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.connection = HTTPConnection(*self.address, timeout=TIMEOUT)

    def close(self) -> None:
        self.connection.close()

    def _send(self, method: str, path: str, body: bytes, headers: dict | None = None) -> HTTPResponse:
        headers = self.headers | (headers or {})
        is_kept = self.connection.sock is not None
        try:
            self.connection.request(method, path, body, headers)
            return self.connection.getresponse()
        except (HTTPException, OSError):
            # The server closes connections that are idle.
            self.close()
            if not is_kept:
                raise
            self.connection.request(method, path, body, headers)
            return self.connection.getresponse()

    def ask(self, request: Request, stream: bool) -> object:
        """The answer: texts, reasons of their ends and counts."""
        stream = stream and request.can_stream
        response = self._send("POST", request.path, request.body(stream))
        text = response.read().decode()
        if response.status == 200:
            return _streamed(request, text) if stream else _whole(json.loads(text))
        _check_busy(response, text)
        raise Wrong(f"{response.status} {text[:300]}")

    def fail(self, request: BadRequest) -> None:
        """Checks the error of an invalid request."""
        response = self._send(request.method, request.path, request.body, request.headers)
        text = response.read().decode()
        if (response.status, request.words in text) != (request.status, True):
            _check_busy(response, text)
            raise Wrong(f"{response.status} {text[:300]}")
        error = json.loads(text)["error"]
        if not (isinstance(error, str) or {"message", "type", "param", "code"} <= error.keys()):
            raise Wrong(f"no proper error: {text[:300]}")

    def leave(self, request: Request, chance: random.Random) -> None:
        """Sends a request, and leaves before the answer is complete."""
        self.close()
        self.connection.request("POST", request.path, request.body(True), self.headers)
        if chance.random() < 0.5:
            time.sleep(chance.random() ** 2 * 2)
        else:
            response = self.connection.getresponse()
            for _ in range(chance.randrange(1, 8)):
                response.readline()
        if self.connection.sock and chance.random() < 0.5:
            # A reset instead of an orderly end.
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def stall(self, request: Request, chance: random.Random, seconds: float) -> None:
        """Sends nothing, a part of a request, or no request at all, then waits for the end of the connection."""
        body = request.body(False)
        head = f"POST {request.path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers.items()) + "\r\n"
        whole = head.encode() + body
        half_body = whole[: len(head) + chance.randrange(len(body))]
        sent = chance.choice([b"", head[: chance.randrange(len(head))].encode(), half_body, chance.randbytes(200)])
        with socket.create_connection(self.address, TIMEOUT) as connection:
            connection.sendall(sent)
            connection.settimeout(seconds)
            try:
                while connection.recv(4096):
                    pass
            except OSError:
                pass


def _check_busy(response: HTTPResponse, text: str) -> None:
    if response.status in (429, 503) and response.headers["Retry-After"] and '"error"' in text:
        raise Busy


def _whole(answer: dict) -> object:
    if "choices" in answer:
        texts = [choice["text"] if "text" in choice else choice["message"]["content"] for choice in answer["choices"]]
        choices = [(text, choice["finish_reason"]) for text, choice in zip(texts, answer["choices"])]
        return choices, answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]
    if "decisions" in answer:
        return [(decision["answer"], decision["probability"]) for decision in answer["decisions"]]
    if "done" in answer:
        text = answer["message"]["content"] if "message" in answer else answer["response"]
        return text, answer["done_reason"], answer["prompt_eval_count"], answer["eval_count"]
    # The time is an estimate from earlier requests.
    return {name: value for name, value in answer.items() if "seconds" not in name}


def _streamed(request: Request, text: str) -> object:
    """The answer of a stream in the form of [`_whole`]; counts are those that it has."""
    if request.path.startswith("/api/"):
        parts = [json.loads(line) for line in text.splitlines()]
        pieces = [part["message"]["content"] if "message" in part else part["response"] for part in parts]
        last = parts[-1]
        return "".join(pieces), last["done_reason"], last["prompt_eval_count"], last["eval_count"]
    events = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    if not events or events.pop() != "[DONE]":
        raise Wrong(f"a stream without an end: {text[-300:]}")
    texts, reasons = {}, {}
    for event in map(json.loads, events):
        for choice in event["choices"]:
            index = choice["index"]
            piece = choice["text"] if "text" in choice else choice["delta"].get("content")
            texts[index] = texts.get(index, "") + (piece or "")
            reasons[index] = choice["finish_reason"] or reasons.get(index)
    usage = json.loads(events[-1])["usage"]
    return [(texts[i], reasons[i]) for i in sorted(texts)], usage["prompt_tokens"], usage["completion_tokens"]
