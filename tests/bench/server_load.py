"""Figures of a server: `python server_load.py URL photos|texts|again|decide|contexts|waiting`. See README.md."""

import base64
import http.client
import io
import json
import os
import random
import sys
import threading
import time
import urllib.parse

from PIL import Image

SERVER = urllib.parse.urlparse(sys.argv[1])
# llama.cpp's server takes texts here only, and rejects `ignore_eos` for the vocabulary of the random checkpoint.
IS_LLAMA = bool(os.environ.get("LLAMA"))
CLIENTS = 8


def post(path, body):
    """The answer and the seconds until it was complete."""
    connection, start = http.client.HTTPConnection(SERVER.hostname, SERVER.port, timeout=900), time.perf_counter()
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    if response.status != 200:
        raise SystemExit(f"{response.status} {text[:300]}")
    return json.loads(text), time.perf_counter() - start


def first_token(body):
    """The seconds until the first text of a streamed answer."""
    connection, start = http.client.HTTPConnection(SERVER.hostname, SERVER.port, timeout=900), time.perf_counter()
    body = json.dumps(body | {"stream": True})
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    for line in connection.getresponse():
        if line.startswith(b"data: {") and (choices := json.loads(line[6:])["choices"]):
            if choices[0]["delta"].get("content"):
                return time.perf_counter() - start
    raise SystemExit("an answer without text")


def together(requests):
    """The answers to requests of as many clients, and the seconds until all were complete."""
    answers = [None] * len(requests)

    def client(index):
        answers[index] = post(*requests[index])[0]

    threads = [threading.Thread(target=client, args=(index,)) for index in range(len(requests))]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, time.perf_counter() - start


def image(seed, width=1024, height=768):
    """A data URL of a JPEG file with smooth random colors."""
    pixels = random.Random(seed).randbytes(16 * 12 * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", (16, 12), pixels).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def chat(text, tokens, url=None):
    content = [{"type": "image_url", "image_url": {"url": url}}] * bool(url) + [{"type": "text", "text": text}]
    body = {"messages": [{"role": "user", "content": content}], "max_tokens": tokens, "temperature": 0}
    return body if IS_LLAMA else body | {"ignore_eos": True}


def tokens(seed, count):
    """A prompt of random tokens; for llama.cpp of letters, which are tokens of the random checkpoint."""
    source = random.Random(seed)
    if IS_LLAMA:
        return "".join(source.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(count))
    return [source.randrange(300, 40_000) for _ in range(count)]


def completion(seed, prompt, count):
    body = {"prompt": tokens(seed, prompt), "max_tokens": count, "temperature": 0}
    return body if IS_LLAMA else body | {"ignore_eos": True}


def photos():
    ask = lambda seed: chat("What is this?", 64, image(seed))
    alone = sum(post("/v1/chat/completions", ask(seed))[1] for seed in range(3)) / 3 * CLIENTS
    _, wall = together([("/v1/chat/completions", ask(10 + seed)) for seed in range(CLIENTS)])
    print(f"photos: {CLIENTS} clients {wall:.1f} s, one after the other {alone:.1f} s")


def texts():
    _, alone = post("/v1/completions", completion(1, 200, 200))
    answers, wall = together([("/v1/completions", completion(10 + seed, 200, 200)) for seed in range(CLIENTS)])
    total = sum(answer["usage"]["completion_tokens"] for answer in answers)
    print(f"texts: one client {200 / alone:.1f} tokens/s, {CLIENTS} clients {total / wall:.1f} tokens/s")


def again():
    photo = image(20)
    first = first_token(chat("What is this?", 8, photo))
    others = [first_token(chat(text, 8, photo)) for text in ("Is it old?", "How many are there?", "Where is it?")]
    others = ", ".join(f"{other * 1e3:.0f}" for other in others)
    print(f"again: first token {first * 1e3:.0f} ms, of further questions {others} ms")


def decide():
    content = [{"type": "image_url", "image_url": {"url": image(20)}}]

    def seconds(count):
        questions = [{"type": "yes_no", "question": f"Is there a thing of kind {index}?"} for index in range(count)]
        body = {"messages": [{"role": "user", "content": content}], "questions": questions}
        return min(post("/v1/decisions", body)[1] for _ in range(3))

    one, many = seconds(1), seconds(16)
    print(f"decide: one question {one * 1e3:.0f} ms, each further one {(many - one) / 15 * 1e3:.1f} ms")


def contexts():
    for length in (139, 1954, 6952):
        answer, _ = post("/v1/completions", completion(length, length, 96))
        print(f"context of {length}: {answer['timings']['predicted_per_second']:.1f} tokens/s")


def waiting():
    text = lambda seed: chat(f"Tell me about number {seed}.", 8)
    alone = first_token(text(1))
    other = threading.Thread(target=post, args=("/v1/chat/completions", chat("What?", 4, image(30, 2000, 1950))))
    other.start()
    time.sleep(1)
    beside = first_token(text(2))
    other.join()
    print(f"waiting: first token of a text {alone * 1e3:.0f} ms, beside 17 tiles {beside * 1e3:.0f} ms")


for name in sys.argv[2:]:
    globals()[name]()
