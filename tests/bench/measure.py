"""Measurements shared by all peers: sizes, medians, peak memory and the JSON line. See README.md."""

import json
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy

TILES, PREFILL, CONTEXT, ROWS, STEPS = 13, 900, 200, 8, 30
PROMPT, NEW_TOKENS = 888, 64
RUNS, LONG_RUNS = 5, 3


def seconds(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def median(work, runs=RUNS):
    """Median time of several runs in seconds, after a warm-up run."""
    work()
    return statistics.median(seconds(work)[0] for _ in range(runs))


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def decode(peer, steps, tokens):
    for _ in range(steps):
        tokens = peer.step(tokens)


def decode_rate(peer, rows):
    """Tokens per second of all rows together, with a context of CONTEXT tokens each."""
    rates = []
    for _ in range(LONG_RUNS + 1):
        tokens = peer.start(rows, CONTEXT)
        rates.append(rows * STEPS / seconds(lambda: decode(peer, STEPS, tokens))[0])
    return statistics.median(rates[1:])


def answer(peer):
    """Seconds to the first token and to the last one of an answer about TILES tiles in memory."""
    first, tokens = seconds(lambda: peer.start(1, PROMPT, peer.see(TILES)))
    return first, first + seconds(lambda: decode(peer, NEW_TOKENS - 1, tokens))[0]


def quality(peer, texts, out):
    """Saves the logits of all tokens of the texts, one after the other, and measures the speed of the same model."""
    logits = [peer.logits(numpy.array(ids)) for ids in json.loads(texts.read_text())]
    numpy.save(out, numpy.concatenate(logits))
    yield "prefill900_s", median(lambda: peer.start(1, PREFILL))
    yield "decode1_tokens_s", decode_rate(peer, 1)


def main(name, load):
    """`load(checkpoint, dtype, threads)` gives a peer:

    `see(n)` runs n tiles through vision encoder and connector, `start(rows, length, features)` begins a new cache with
    so many tokens, the features among them, and `step(tokens)` decodes one token a row; both give the next tokens.
    `logits(ids)` gives the logits of all tokens of a text.
    """
    checkpoint, dtype, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    load_s, peer = seconds(lambda: load(checkpoint, dtype, threads))
    figures = {"peer": name, "dtype": dtype, "threads": threads, "load_s": load_s}
    if len(sys.argv) > 4:
        print(json.dumps(figures | dict(quality(peer, Path(sys.argv[4]), Path(sys.argv[5])))))
        return
    answers = [answer(peer) for _ in range(LONG_RUNS + 1)][1:]
    figures["peak_mib"] = peak_mib()
    figures["first_token_s"], figures["total_s"] = (statistics.median(column) for column in zip(*answers))
    for key, work in {
        "tile_s": lambda: median(lambda: peer.see(1)),
        "tiles13_s": lambda: median(lambda: peer.see(TILES), LONG_RUNS) / TILES,
        "prefill900_s": lambda: median(lambda: peer.start(1, PREFILL)),
        "decode1_tokens_s": lambda: decode_rate(peer, 1),
        "decode8_tokens_s": lambda: decode_rate(peer, ROWS),
    }.items():
        figures[key] = work()
        print(f"{key:<18}{figures[key]:10.4f}", file=sys.stderr)
    print(json.dumps({key: round(v, 5) if isinstance(v, float) else v for key, v in figures.items()}))
