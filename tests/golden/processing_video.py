"""Video side without pixels: frame sampling, and the prompt text around frames."""

import random
from types import SimpleNamespace

import numpy as np
from transformers import AutoProcessor
from transformers.video_utils import VideoMetadata

from common import crc32, write_json

# Lists of more indices than this are stored by their ends.
LONGEST_LIST, END = 20, 8
# Released sampling settings: fps, num_frames, skip_secs
RELEASED = (1, 64, 1)


def released_cases():
    """(n, F) with the settings of the released checkpoints, at and around every threshold of the rule."""
    for n in [1, 2, 15, 29, 30, 44, 45, 46, 74, 75, 76, 89, 90, 105, 135, 1919, 1920, 1950, 1979, 1980, 1981, 2000, 3600]:
        yield n, (30, 1)
    for n in [1, 12, 36, 60, 100, 240, 1583, 1584, 1585, 1608]:
        yield n, (24, 1)
    for n in [1, 5, 10, 300, 1650, 1651, 100_000]:
        yield n, (25, 1)
    for n in [1, 2, 45, 75, 1978, 1979, 5000, 107_892]:
        yield n, (30000, 1001)
        yield n, (24000, 1001)
    for n in [1, 2, 63, 64, 65, 66, 67, 68, 100, 4000, 90_000]:
        yield n, (1, 1)
    for n in [1, 5, 6, 7, 8, 33, 34, 500]:
        yield n, (1, 2)
        yield n, (1, 10)
    for n in [1, 120, 360, 15_840, 15_841, 2_000_000]:
        yield n, (240, 1)
    yield 2500, (5, 2)
    yield 4_294_967_295, (60, 1)


def varied_cases():
    """(n, F, D, fps, num_frames, skip_secs)"""
    for fps, most in [(2, 8), (1, 8), (1, 1), (1, 2), (1, 3), (0, 8), (0, 0), (1, 0), (0.5, 8), (2.5, 8), (24, 500), (30, 300)]:
        for skip in [0, 1, 2.5]:
            for n in [1, 300, 303, 1000]:
                yield n, (30, 1), None, fps, most, skip
    # fps * D halfway between two integers: rounded to the even one
    for half in [0.5, 1.5, 2.5, 3.5, 4.5, 7.5, 8.5]:
        yield 200, (25, 1), half, 1, 64, 1
        yield 200, (25, 1), half / 2, 2, 64, 1
    # a container's duration need not be n / F
    for seconds in [0, 0.1, 3.99, 8.01, 12.5, 66.0, 66.001, 100_000.5]:
        yield 200, (25, 1), seconds, 1, 64, 1
        yield 200, (25, 1), seconds, 1, 8, 1
    # a skip that leaves nothing, or a fraction of a frame
    for n, skip in [(10, 1), (12, 0.3), (40, 1.5), (40, 2), (100, 0.7)]:
        yield n, (3, 1), None, 0.1, 2, skip


def random_cases(count):
    rng = random.Random(73)
    rates = [(1, 10), (1, 2), (1, 1), (5, 2), (10, 1), (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1)]
    rates += [(60000, 1001), (60, 1), (119, 4), (120, 1), (240, 1)]
    for _ in range(count):
        n = int(10 ** rng.uniform(0, 5))
        duration = round(rng.uniform(0, 500), 3) if rng.random() < 0.25 else None
        fps = rng.choice([0.2, 0.5, 1, 1, 1, 2, 3, 4.5])
        yield n, rng.choice(rates), duration, fps, rng.choice([1, 2, 4, 8, 16, 64]), rng.choice([0, 0.5, 1, 1, 1, 2, 2.5])


def sampling(processor):
    for n, rate, duration, fps, most, skip in [
        *[(n, rate, None, *RELEASED) for n, rate in released_cases()],
        *varied_cases(),
        *random_cases(150),
    ]:
        per_second = rate[0] / rate[1]
        seconds = n / per_second if duration is None else duration
        metadata = VideoMetadata(total_num_frames=n, fps=per_second, duration=seconds)
        indices = processor.sample_frames(metadata, num_frames=most, fps=fps, skip_secs=skip)
        case = {"n": n, "F": rate, "D": duration, "fps": fps, "num_frames": most, "skip_secs": skip}
        if len(indices) <= LONGEST_LIST:
            yield {**case, "indices": indices.tolist()}
        else:
            ends = {"first": indices[:END].tolist(), "last": indices[-END:].tolist()}
            yield {**case, "count": len(indices), **ends, "crc32": crc32(indices.astype(np.uint32))}


def prompt_cases():
    """(announced, frames_indices, fps, duration)"""
    for count in [*range(1, 65), 99, 100, 101, 110, 111, 119, 120, 199, 200, 342, 999, 1000, 1001, 1010, 1100, 1234]:
        yield count, [0], 1, 1
    for count in [9999, 10_000, 12_345, 99_999, 100_000, 123_456, 999_999, 1_000_000, 1_000_001, 1_234_567]:
        yield count, [0], 1, 1
    for seconds in [0, 0.9, 1, 5.2, 59, 59.999, 60, 61, 599, 600, 3599.9, 3600, 3661.5, 4000, 35_999, 36_000, 86_399]:
        yield 1, [0], 30, seconds
    for seconds in [86_399.99, 86_400, 90_000, 172_799, 172_800, 200_000.5, 864_000, 1_000_000]:
        yield 1, [0], 30, seconds
    yield 5, [0, 9, 19, 29, 39], 8, 5
    yield 6, [0, 29, 30, 59, 60, 61], 30, 2.1
    yield 6, [0, 29, 30, 59, 60, 61], 30000 / 1001, 2.1
    yield 8, [59, 60, 599, 600, 3599, 3600, 3700, 89_999], 1, 90_000
    yield 3, [0, 1, 2], 0.1, 30
    yield 3, [1438, 1439, 1440], 24000 / 1001, None
    yield 3, [0, 45, 89], 30, None
    yield 1, [4000], 1, None
    yield 1, [90_000], 1, None
    yield 3, [0, 1, 2], None, None
    yield 2, [0, 48], None, None
    yield 2, [0, 48], None, 3.5
    yield 7, [0, 44, 89], 30, 3  # padded to the longest video of a batch


def prompts(processor):
    for announced, indices, fps, duration in prompt_cases():
        metadata = VideoMetadata(total_num_frames=announced, fps=fps, duration=duration, frames_indices=indices)
        inputs = {"pixel_values": SimpleNamespace(shape=(1, announced)), "video_metadata": [metadata]}
        text = processor.replace_video_token(inputs, 0)
        yield {"announced": announced, "frames_indices": indices, "fps": fps, "duration": duration, "text": text}


def write(folder, golden_root):
    processor = AutoProcessor.from_pretrained(golden_root / "gqa-256m" / "model")
    write_json(folder / "video_sampling.json", list(sampling(processor.video_processor)))
    write_json(folder / "video_prompts.json", list(prompts(processor)))
